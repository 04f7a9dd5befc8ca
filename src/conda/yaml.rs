//! As much of YAML as environment files use, with the place of everything: texts, lists and tables; no aliases, one document.

use std::ops::Range;

use saphyr_parser::{Event, Parser, Span, StrInput};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 16;

/// A value, and the bytes of the text where it stands.
#[derive(Debug)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands; of a list or a table where it begins.
    pub span: Range<usize>,
}

/// What a node is.
#[derive(Debug)]
pub enum Value {
    /// A text, a number, or whatever else is no collection.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A table in its file's order.
    Table(Vec<(Node, Node)>),
}

/// Why a text is not YAML, or not what is read of it.
#[derive(Debug)]
pub struct YamlError {
    /// The reason.
    pub reason: String,
    /// Where.
    pub span: Range<usize>,
}

impl Node {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether there is nothing: `key:` alone, or `~`.
    pub fn is_null(&self) -> bool {
        matches!(self.text(), Some("" | "~" | "null"))
    }
}

/// Reads the one document of a text; none where it is empty.
///
/// # Errors
/// [`YamlError`].
pub fn parse(text: &str) -> Result<Option<Node>, YamlError> {
    let mut reader = Reader { text, parser: Parser::new_from_str(text), byte: 0, character: 0 };
    let document = loop {
        match reader.next()? {
            None => return Ok(None),
            Some((Event::StreamStart | Event::DocumentStart(_) | Event::Nothing | Event::DocumentEnd, _)) => {}
            Some((Event::StreamEnd, _)) => return Ok(None),
            Some((event, span)) => break reader.node(event, span, 0)?,
        }
    };
    while let Some((event, span)) = reader.next()? {
        if !matches!(event, Event::DocumentEnd | Event::StreamEnd | Event::Nothing) {
            return Err(YamlError { reason: "a second document begins here".to_owned(), span });
        }
    }
    Ok(Some(document))
}

struct Reader<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    /// How far places were turned from characters, as the parser counts, into bytes.
    byte: usize,
    character: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Range<usize>)>, YamlError> {
        match self.parser.next() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                let range = self.range(span);
                Ok(Some((event, range)))
            }
            Some(Err(error)) => {
                let at = self.byte_of(error.marker().index());
                Err(YamlError { reason: error.info().to_owned(), span: at..at + 1 })
            }
        }
    }

    fn range(&mut self, span: Span) -> Range<usize> {
        let start = self.byte_of(span.start.index());
        let end = self.byte_of(span.end.index());
        start..end.max(start)
    }

    /// The byte at which the `character`th character begins. Places mostly grow, so counting goes on from the last one.
    fn byte_of(&mut self, character: usize) -> usize {
        if character < self.character {
            (self.byte, self.character) = (0, 0);
        }
        let skipped: usize = self.text[self.byte..].chars().take(character - self.character).map(char::len_utf8).sum();
        (self.byte, self.character) = (self.byte + skipped, character);
        self.byte.min(self.text.len())
    }

    fn expect(&mut self) -> Result<(Event<'t>, Range<usize>), YamlError> {
        let end = self.text.len();
        self.next()?.ok_or_else(|| YamlError { reason: "the text ends too early".to_owned(), span: end..end })
    }

    fn node(&mut self, event: Event<'t>, span: Range<usize>, depth: usize) -> Result<Node, YamlError> {
        if depth > MAX_DEPTH {
            return Err(YamlError { reason: format!("it is nested more than {MAX_DEPTH} deep"), span });
        }
        let value = match event {
            Event::Scalar(text, ..) => Value::Text(text.into_owned()),
            Event::SequenceStart(..) => Value::List(self.items(depth)?),
            Event::MappingStart(..) => {
                let mut items = self.items(depth)?.into_iter();
                let mut pairs = Vec::new();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                Value::Table(pairs)
            }
            Event::Alias(_) => return Err(YamlError { reason: "aliases are not read".to_owned(), span }),
            _ => return Err(YamlError { reason: "something else than a value stands here".to_owned(), span }),
        };
        Ok(Node { value, span })
    }

    /// The nodes up to the end of a list or table.
    fn items(&mut self, depth: usize) -> Result<Vec<Node>, YamlError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.expect()?;
            if matches!(event, Event::SequenceEnd | Event::MappingEnd) {
                return Ok(items);
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_are_bytes_of_the_text() {
        let text = "# é\nname: ü\ndependencies:\n  - 'python =3'\n  - pip:\n    - x\n";
        let Value::Table(pairs) = parse(text).unwrap().unwrap().value else { panic!() };
        assert_eq!(&text[pairs[0].1.span.clone()], "ü");
        let Value::List(items) = &pairs[1].1.value else { panic!() };
        assert_eq!(items[0].text(), Some("python =3"));
        assert_eq!(&text[items[0].span.clone()], "'python =3'");
        assert!(matches!(&items[1].value, Value::Table(pip) if pip[0].0.text() == Some("pip")));
    }

    #[test]
    fn refuses_what_is_not_read() {
        for text in ["a: [", "a: &x 1\nb: *x\n", "--- 1\n--- 2\n", &"[".repeat(40)] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("").unwrap().is_none() && parse("# only\n").unwrap().is_none());
    }

    proptest! {
        #[test]
        fn never_panics_and_places_lie_in_the_text(text in "[-a-z:\\[\\]{}'\"&*#é\n ,|>]{0,60}") {
            fn check(node: &Node, text: &str) {
                assert!(text.get(node.span.clone()).is_some());
                match &node.value {
                    Value::Text(_) => {}
                    Value::List(items) => items.iter().for_each(|item| check(item, text)),
                    Value::Table(pairs) => pairs.iter().for_each(|(key, value)| { check(key, text); check(value, text); }),
                }
            }
            if let Ok(Some(node)) = parse(&text) {
                check(&node, &text);
            }
        }
    }
}
