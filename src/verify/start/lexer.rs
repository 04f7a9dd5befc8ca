//! Words of a shell script, as far as is needed to see which programs it starts: simple commands in the order of the text, whatever decides over
//! them. Grammar: POSIX.1-2024, "Shell Command Language", 2.3 (tokens) and 2.10; with the parts of bash that start scripts use.

/// A word before its expansion.
pub(super) type RawWord = Vec<Piece>;

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it stands, quotes taken away.
    Text(String),
    /// A parameter: its name, what is done with it (`:-default`, `,,`; empty for nothing), and whether quotes keep its value in one word.
    Parameter { name: String, operation: String, quoted: bool },
    /// `$@` or `$*`.
    All { quoted: bool },
    /// What only a running shell knows: the output of a command, arithmetic. Its text.
    Computed(String),
}

/// Longest text that is looked at.
const MAX_TEXT: usize = 256 << 10;
/// Names of parameters that are one character.
const SPECIAL: &str = "?#$!-0123456789";

/// The simple commands of a script.
pub(super) fn commands(text: &str) -> Vec<Vec<RawWord>> {
    let cut = text.floor_char_boundary(MAX_TEXT);
    let mut lexer = Lexer { rest: text[..cut].chars().collect::<Vec<_>>(), at: 0, ..Lexer::default() };
    lexer.run();
    lexer.commands
}

#[derive(Default)]
struct Lexer {
    rest: Vec<char>,
    at: usize,
    commands: Vec<Vec<RawWord>>,
    command: Vec<RawWord>,
    /// The word that is being read; none between words.
    word: Option<RawWord>,
    /// Open parentheses.
    depth: usize,
    /// The next word is the target of a redirection.
    is_target: bool,
    /// Delimiters of here-documents that begin with the next line.
    heredocs: Vec<String>,
    is_heredoc: bool,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        Some(c)
    }

    fn run(&mut self) {
        while let Some(c) = self.next() {
            match c {
                ' ' | '\t' | '\r' => self.end_word(),
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c) => self.text(c),
                },
                '#' if self.word.is_none() => self.skip_line(),
                '\n' => {
                    self.end_command();
                    self.skip_heredocs();
                }
                '&' if self.peek(0) == Some('>') => self.redirection(),
                '>' | '<' => self.redirection(),
                ';' | '|' | '&' => self.end_command(),
                '(' => self.open(),
                ')' => self.close(),
                '\'' => self.single_quoted(),
                '"' => self.double_quoted(),
                '$' => self.dollar(false),
                '`' => self.backquoted(),
                c => self.text(c),
            }
        }
        self.end_command();
    }

    fn text(&mut self, c: char) {
        let word = self.word.get_or_insert_default();
        match word.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => word.push(Piece::Text(c.to_string())),
        }
    }

    fn piece(&mut self, piece: Piece) {
        self.word.get_or_insert_default().push(piece);
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        if self.is_heredoc {
            self.is_heredoc = false;
            self.is_target = false;
            let text: String = word.iter().filter_map(|piece| if let Piece::Text(text) = piece { Some(text.as_str()) } else { None }).collect();
            self.heredocs.push(text.trim_start_matches('-').to_owned());
        } else if self.is_target {
            self.is_target = false;
        } else {
            self.command.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.is_target = false;
        let command = std::mem::take(&mut self.command);
        if !command.is_empty() {
            self.commands.push(command);
        }
    }

    fn skip_line(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.at += 1;
        }
    }

    fn skip_heredocs(&mut self) {
        for delimiter in std::mem::take(&mut self.heredocs) {
            while self.at < self.rest.len() {
                let begin = self.at;
                self.skip_line();
                let line: String = self.rest[begin..self.at].iter().collect();
                self.at += 1;
                if line.trim_start_matches('\t') == delimiter {
                    break;
                }
            }
        }
    }

    fn redirection(&mut self) {
        // The number of a file before it belongs to it.
        if matches!(self.word.as_deref(), Some([Piece::Text(text)]) if text.bytes().all(|c| c.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        let begin = self.at - 1;
        while self.peek(0).is_some_and(|c| "<>&|".contains(c)) {
            self.at += 1;
        }
        let operator: String = self.rest[begin..self.at].iter().collect();
        self.is_target = true;
        self.is_heredoc = operator == "<<";
    }

    fn open(&mut self) {
        if self.word.is_some() && self.peek(0) == Some(')') {
            // `name()`: the body's commands are looked at where they stand.
            self.at += 1;
            self.word = None;
            return;
        }
        self.end_command();
        self.depth += 1;
    }

    fn close(&mut self) {
        if self.depth > 0 {
            self.depth -= 1;
            self.end_command();
        } else {
            // The pattern of a case.
            self.word = None;
            self.command.clear();
        }
    }

    fn single_quoted(&mut self) {
        let begin = self.at;
        while self.next().is_some_and(|c| c != '\'') {}
        let text: String = self.rest[begin..self.at.saturating_sub(1).max(begin)].iter().collect();
        self.piece(Piece::Text(text));
    }

    fn double_quoted(&mut self) {
        let before = self.word.as_ref().map_or(0, Vec::len);
        while let Some(c) = self.next() {
            match c {
                '"' => {
                    // An empty word, unless there is something in it that may come to none.
                    if self.word.as_ref().is_none_or(|word| word.len() == before) {
                        self.piece(Piece::Text(String::new()));
                    }
                    return;
                }
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c @ ('"' | '\\' | '$' | '`')) => self.text(c),
                    Some(c) => {
                        self.text('\\');
                        self.text(c);
                    }
                },
                '$' => self.dollar(true),
                '`' => self.backquoted(),
                c => self.text(c),
            }
        }
    }

    fn dollar(&mut self, quoted: bool) {
        match self.peek(0) {
            Some('(') => {
                self.at += 1;
                let text = self.enclosed('(', ')');
                self.piece(Piece::Computed(text));
            }
            Some('{') => {
                self.at += 1;
                let text = self.enclosed('{', '}');
                let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '@' || c == '*')).unwrap_or(text.len());
                let (name, operation) = text.split_at(end);
                match name {
                    "@" | "*" => self.piece(Piece::All { quoted }),
                    "" => self.piece(Piece::Computed(text)),
                    name => self.piece(Piece::Parameter { name: name.to_owned(), operation: operation.to_owned(), quoted }),
                }
            }
            Some('@' | '*') => {
                self.at += 1;
                self.piece(Piece::All { quoted });
            }
            Some(c) if SPECIAL.contains(c) => {
                self.at += 1;
                self.piece(Piece::Parameter { name: c.to_string(), operation: String::new(), quoted });
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let begin = self.at;
                while self.peek(0).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                    self.at += 1;
                }
                let name = self.rest[begin..self.at].iter().collect();
                self.piece(Piece::Parameter { name, operation: String::new(), quoted });
            }
            // `$'…'` is taken as it stands.
            Some('\'') if !quoted => {}
            _ => self.text('$'),
        }
    }

    fn backquoted(&mut self) {
        let begin = self.at;
        while self.next().is_some_and(|c| c != '`') {}
        let text = self.rest[begin..self.at.saturating_sub(1).max(begin)].iter().collect();
        self.piece(Piece::Computed(text));
    }

    /// What stands between an opening that was taken and its closing, which is taken too. Quotes hide closings.
    fn enclosed(&mut self, open: char, close: char) -> String {
        let (mut depth, mut quote, begin) = (1, None, self.at);
        while let Some(c) = self.next() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (Some('\''), _) => {}
                (_, '\\') => drop(self.next()),
                (None, '\'' | '"') => quote = Some(c),
                (None, c) if c == open => depth += 1,
                (None, c) if c == close => {
                    depth -= 1;
                    if depth == 0 {
                        return self.rest[begin..self.at - 1].iter().collect();
                    }
                }
                _ => {}
            }
        }
        self.rest[begin..].iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands with their words as text; parameters as `<name>`.
    fn read(text: &str) -> Vec<String> {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Parameter { name, operation, .. } => format!("<{name}{operation}>"),
            Piece::All { .. } => "<@>".to_owned(),
            Piece::Computed(text) => format!("<({text})>"),
        };
        let word = |word: &RawWord| word.iter().map(piece).collect::<String>();
        commands(text).iter().map(|command| command.iter().map(word).collect::<Vec<_>>().join("|")).collect()
    }

    #[test]
    fn simple_commands_are_found_whatever_decides_over_them() {
        for (text, expected) in [
            ("a b  c # no\nd", vec!["a|b|c", "d"]),
            ("a 'b c' \"d $e f\" g\\ h", vec!["a|b c|d <e> f|g h"]),
            ("a && b || c; d | e & f", vec!["a", "b", "c", "d", "e", "f"]),
            ("a \\\n  b", vec!["a|b"]),
            ("exec \"$@\"", vec!["exec|<@>"]),
            ("a ${B:-x y} ${C,,}", vec!["a|<B:-x y>|<C,,>"]),
            ("eval \"$(micromamba shell hook --shell=bash)\"", vec!["eval|<(micromamba shell hook --shell=bash)>"]),
            ("a=`b c` d", vec!["a=<(b c)>|d"]),
            ("a > b 2>&1 c < d", vec!["a|c"]),
            ("a &> b; c", vec!["a", "c"]),
            ("cat <<EOF\nsh x\nEOF\nafter", vec!["cat", "after"]),
            ("cat <<-'E'\n\tsh x\n\tE\nafter", vec!["cat", "after"]),
            ("f() {\n a b\n}\nf", vec!["{", "a|b", "}", "f"]),
            ("case $x in\n a|b) c d ;;\n *) e;;\nesac", vec!["case|<x>|in", "a", "c|d", "e", "esac"]),
            ("(a; b) c", vec!["a", "b", "c"]),
            ("a $(b \"c)\" d) e", vec!["a|<(b \"c)\" d)>|e"]),
            ("a \"\" b", vec!["a||b"]),
            ("a $ $1 ${10}", vec!["a|$|<1>|<10>"]),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn unfinished_texts_end() {
        for text in ["'", "\"", "$(", "${", "`", "\\", "a <<E", "(", ")", "$", "a >", "\"$(\"", "$'"] {
            commands(text);
        }
    }
}
