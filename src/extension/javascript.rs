//! JSON as JavaScript reads and writes it: the editor rewrites an extension's `package.json` with `JSON.parse` and `JSON.stringify`, and what is
//! laid down must be equal to the byte.
//!
//! Beside the text's order of keys that means: keys that are array indexes come first, in numeric order; of two equal keys the last value
//! stands at the first one's place; numbers are doubles, printed as ECMAScript's Number::toString does (ECMA-262, 6.1.6.1.20).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// An object.
    Object(Object),
}

/// The properties of an object in JavaScript's order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object(Vec<(String, Value)>);

impl Object {
    /// The value of a property.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// An object of these properties, in this order.
    pub fn of<const N: usize>(properties: [(&str, Value); N]) -> Value {
        Value::Object(Object(properties.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()))
    }

    /// All properties in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Sets a property: in place where it is there, else at the end.
    pub fn set(&mut self, key: &str, value: Value) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Properties as they were read, in the text's order.
    fn new(read: Vec<(String, Value)>) -> Self {
        let mut places = std::collections::HashMap::with_capacity(read.len());
        let mut properties: Vec<(String, Value)> = Vec::with_capacity(read.len());
        for (key, value) in read {
            match places.get(&key) {
                Some(&place) => {
                    let slot: &mut (String, Value) = &mut properties[place];
                    slot.1 = value;
                }
                None => {
                    places.insert(key.clone(), properties.len());
                    properties.push((key, value));
                }
            }
        }
        // A stable sort: indexes by number, all others behind them as they stood.
        properties.sort_by_key(|(key, _)| array_index(key).map_or((1, 0), |index| (0, index)));
        Object(properties)
    }
}

/// The number of a key that is an array index (ECMA-262, 6.1.7): canonical decimal, at most 2³² - 2.
fn array_index(key: &str) -> Option<u32> {
    let canonical = key == "0" || (key.starts_with(|c: char| ('1'..='9').contains(&c)) && key.bytes().all(|c| c.is_ascii_digit()));
    canonical.then(|| key.parse().ok()).flatten().filter(|index| *index != u32::MAX)
}

impl Value {
    /// Reads a text as `JSON.parse` does. Half surrogate pairs and numbers beyond a double, which JavaScript would change, are refused.
    ///
    /// # Errors
    /// When it is not JSON; a byte order mark is none.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Writes the value as `JSON.stringify(value)` does.
    pub fn stringify(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, None);
        out
    }

    /// Writes the value as `JSON.stringify(value, null, "\t")` does.
    pub fn stringify_indented(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, Some(0));
        out
    }

    /// The text, where this is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = self { Some(text) } else { None }
    }

    /// The object, where this is one.
    pub fn as_object(&self) -> Option<&Object> {
        if let Value::Object(object) = self { Some(object) } else { None }
    }

    /// `depth` is that of the indentation; none: everything on one line.
    fn write(&self, out: &mut String, depth: Option<usize>) {
        let inner = depth.map(|depth| depth + 1);
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Value::Number(number) => out.push_str(&number_text(*number)),
            Value::String(text) => out.push_str(&quoted(text)),
            Value::Array(items) => write_list(out, depth, ['[', ']'], items.iter(), |out, item| item.write(out, inner)),
            Value::Object(object) => write_list(out, depth, ['{', '}'], object.iter(), |out, (key, value)| {
                out.push_str(&quoted(key));
                out.push_str(if depth.is_some() { ": " } else { ":" });
                value.write(out, inner);
            }),
        }
    }
}

fn write_list<T>(out: &mut String, depth: Option<usize>, ends: [char; 2], items: impl Iterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    let new_line = |out: &mut String, more: usize| {
        if let Some(depth) = depth {
            out.push('\n');
            out.extend(std::iter::repeat_n('\t', depth + more));
        }
    };
    out.push(ends[0]);
    let mut empty = true;
    for item in items {
        if !empty {
            out.push(',');
        }
        empty = false;
        new_line(out, 1);
        write(out, item);
    }
    if !empty {
        new_line(out, 0);
    }
    out.push(ends[1]);
}

/// JSON.stringify of a string that has no half of a surrogate pair: serde_json escapes the same characters in the same way.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

/// Number::toString of a finite number, radix 10.
fn number_text(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    // The shortest digits that read back as the same double: `d.ddde±x`.
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The decimal point stands behind so many digits.
    let point = exponent + 1;
    let text = if (count..=21).contains(&point) {
        format!("{digits}{}", zeros(point - count))
    } else if (1..=21).contains(&point) {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        format!("{whole}.{fraction}")
    } else if (-5..=0).contains(&point) {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{first}{dot}{rest}e{exponent:+}")
    };
    if number < 0.0 { format!("-{text}") } else { text }
}

fn zeros(count: i32) -> String {
    "0".repeat(usize::try_from(count).unwrap_or(0))
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
                Ok(Value::Bool(truth))
            }

            // Integers become doubles: that is what JavaScript makes of them.
            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Number(number as f64))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Number(number as f64))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
                if number.is_finite() { Ok(Value::Number(number)) } else { Err(E::custom("a number is out of range")) }
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::String(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut array = Vec::new();
                while let Some(item) = items.next_element()? {
                    array.push(item);
                }
                Ok(Value::Array(array))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut properties: A) -> Result<Value, A::Error> {
                let mut read = Vec::new();
                while let Some(property) = properties.next_entry()? {
                    read.push(property);
                }
                // How serde_json hands out numbers when some crate switches its `arbitrary_precision` on.
                if read.iter().any(|(key, _): &(String, Value)| key == "$serde_json::private::Number") {
                    return Err(A::Error::custom("numbers are not read as numbers"));
                }
                Ok(Value::Object(Object::new(read)))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn again(text: &str) -> String {
        Value::parse(text).unwrap().stringify_indented()
    }

    // Captured from node 20: JSON.stringify(JSON.parse(text), null, "\t").
    #[test]
    fn writes_what_node_writes() {
        let text = r#" {"b":{"10":1,"2":2,"z":1,"y":0,"z":3,"1.5":0,"01":4,"4294967295":5,"4294967294":6},"s":"é\u2028\/\u0001\ud83d\ude00<&>\u007f\b","e":[],"o":{},
            "__proto__":{"a":1},"nested":[[],[{}],[1,[2]]]} "#;
        let expected = "{\n\t\"b\": {\n\t\t\"2\": 2,\n\t\t\"10\": 1,\n\t\t\"4294967294\": 6,\n\t\t\"z\": 3,\n\t\t\"y\": 0,\n\t\t\"1.5\": 0,\n\t\t\"01\": 4,\n\t\t\"4294967295\": 5\n\t},\n\t\"s\": \"é\u{2028}/\\u0001😀<&>\u{7f}\\b\",\n\t\"e\": [],\n\t\"o\": {},\n\t\"__proto__\": {\n\t\t\"a\": 1\n\t},\n\t\"nested\": [\n\t\t[],\n\t\t[\n\t\t\t{}\n\t\t],\n\t\t[\n\t\t\t1,\n\t\t\t[\n\t\t\t\t2\n\t\t\t]\n\t\t]\n\t]\n}";
        assert_eq!(again(text), expected);
    }

    // Captured from node 20, as above.
    #[test]
    fn numbers_are_those_of_javascript() {
        for (read, written) in [
            ("0", "0"),
            ("-0", "0"),
            ("1.0", "1"),
            ("-1.50", "-1.5"),
            ("100", "100"),
            ("1e21", "1e+21"),
            ("1e20", "100000000000000000000"),
            ("123456789012345678901", "123456789012345680000"),
            ("18446744073709551615", "18446744073709552000"),
            ("9007199254740993", "9007199254740992"),
            ("1e-6", "0.000001"),
            ("1.25e-7", "1.25e-7"),
            ("1e-7", "1e-7"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("5e-324", "5e-324"),
            ("0.1", "0.1"),
            ("123.456", "123.456"),
            ("1234567.000001", "1234567.000001"),
            ("2.2250738585072011e-308", "2.225073858507201e-308"),
            ("0.000035689", "0.000035689"),
            ("4.35e22", "4.35e+22"),
        ] {
            assert_eq!(again(read), written, "{read}");
        }
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in ["", "{", "{'a':1}", "{\"a\":1,}", "\u{feff}{}", "[1] 2", "01", "\"\\ud800\"", "1e400", "// c\n1"] {
            assert!(Value::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_number_reads_back(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            prop_assert_eq!(number_text(number).parse::<f64>().unwrap(), number);
            prop_assert_eq!(Value::parse(&number_text(number)).unwrap(), Value::Number(number));
        }

        #[test]
        fn writing_is_idempotent(text in "\\PC{0,30}", number: f64, keys in proptest::collection::vec("[0-9a-c]{1,3}", 0..6)) {
            prop_assume!(number.is_finite());
            let properties = keys.into_iter().map(|key| (key, Value::Number(number))).collect();
            let value = Value::Array(vec![Value::String(text), Value::Object(Object::new(properties))]);
            let written = value.stringify_indented();
            prop_assert_eq!(Value::parse(&written).unwrap().stringify_indented(), written);
            let written = value.stringify();
            prop_assert_eq!(Value::parse(&written).unwrap().stringify(), written);
        }
    }
}
