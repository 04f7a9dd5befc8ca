//! The wire format of protocol buffers (protobuf.dev, "Encoding"), as far as BuildKit's messages need it, and a macro that makes a struct of a
//! message's field names and numbers.
//!
//! Fields are written in the order in which the struct has them, maps sorted by key, values that are the default not at all: so a message's
//! bytes, and with them a vertex's digest, are those that Go's deterministic encoder writes if the struct puts the members of a oneof last.

use std::collections::BTreeMap;

/// Deepest nesting of messages that is read.
const MAX_DEPTH: u32 = 64;

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// They end within a field.
    #[error("the message ends in the middle of a field")]
    Truncated,
    /// A field has another type than its number stands for.
    #[error("a field has the wrong type")]
    Type,
    /// A number has more than 64 bits, or a text is not UTF-8.
    #[error("a field's value is invalid")]
    Value,
    /// Messages in messages without end.
    #[error("the message is nested too deeply")]
    Depth,
}

/// A field's value as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// A number.
    Varint(u64),
    /// A text, bytes, a message.
    Bytes(&'a [u8]),
    /// A number of fixed size: none of our messages has one.
    Fixed,
}

/// A message: fields by number.
pub trait Message: Default {
    /// Appends the fields.
    fn encode(&self, out: &mut Vec<u8>);

    /// Takes one field; unknown numbers are passed over.
    ///
    /// # Errors
    /// A value that is not of the field's type.
    fn field(&mut self, number: u32, value: Value<'_>, depth: u32) -> Result<(), WireError>;

    /// The message's bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`WireError`].
    fn read(bytes: &[u8]) -> Result<Self, WireError> {
        read_at(bytes, 0)
    }
}

fn read_at<M: Message>(mut bytes: &[u8], depth: u32) -> Result<M, WireError> {
    if depth > MAX_DEPTH {
        return Err(WireError::Depth);
    }
    let mut message = M::default();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let number = u32::try_from(key >> 3).map_err(|_| WireError::Value)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => take(&mut bytes, 8).map(|_| Value::Fixed)?,
            2 => {
                let size = varint(&mut bytes)?;
                Value::Bytes(take(&mut bytes, size)?)
            }
            5 => take(&mut bytes, 4).map(|_| Value::Fixed)?,
            _ => return Err(WireError::Type),
        };
        message.field(number, value, depth)?;
    }
    Ok(message)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, WireError> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(WireError::Truncated)?;
        *bytes = rest;
        let part = u64::from(first & 0x7f);
        if shift == 63 && part > 1 {
            return Err(WireError::Value);
        }
        value |= part << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(WireError::Value)
}

fn take<'a>(bytes: &mut &'a [u8], size: u64) -> Result<&'a [u8], WireError> {
    let size = usize::try_from(size).map_err(|_| WireError::Truncated)?;
    let (head, rest) = bytes.split_at_checked(size).ok_or(WireError::Truncated)?;
    *bytes = rest;
    Ok(head)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

/// A value that may stand in a list or a map: it is written even where it is the default.
pub trait Element: Default {
    /// Appends it under a number.
    fn put(&self, number: u32, out: &mut Vec<u8>);

    /// Takes it.
    ///
    /// # Errors
    /// A value of another type.
    fn take(value: Value<'_>, depth: u32) -> Result<Self, WireError>;
}

/// A field of a message.
pub trait Field: Default {
    /// Appends it, if it is not the default.
    fn put(&self, number: u32, out: &mut Vec<u8>);

    /// Takes one occurrence.
    ///
    /// # Errors
    /// A value of another type.
    fn take(&mut self, value: Value<'_>, depth: u32) -> Result<(), WireError>;
}

impl Element for String {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        put_bytes(out, number, self.as_bytes());
    }

    fn take(value: Value<'_>, _: u32) -> Result<Self, WireError> {
        let Value::Bytes(bytes) = value else { return Err(WireError::Type) };
        String::from_utf8(bytes.to_vec()).map_err(|_| WireError::Value)
    }
}

impl Element for Vec<u8> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        put_bytes(out, number, self);
    }

    fn take(value: Value<'_>, _: u32) -> Result<Self, WireError> {
        let Value::Bytes(bytes) = value else { return Err(WireError::Type) };
        Ok(bytes.to_vec())
    }
}

impl Element for i64 {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        put_number(out, number, *self as u64);
    }

    fn take(value: Value<'_>, _: u32) -> Result<Self, WireError> {
        let Value::Varint(value) = value else { return Err(WireError::Type) };
        Ok(value as i64)
    }
}

impl Element for bool {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        put_number(out, number, u64::from(*self));
    }

    fn take(value: Value<'_>, _: u32) -> Result<Self, WireError> {
        let Value::Varint(value) = value else { return Err(WireError::Type) };
        Ok(value != 0)
    }
}

impl<M: Message> Element for M {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        put_bytes(out, number, &self.to_bytes());
    }

    fn take(value: Value<'_>, depth: u32) -> Result<Self, WireError> {
        let Value::Bytes(bytes) = value else { return Err(WireError::Type) };
        read_at(bytes, depth + 1)
    }
}

macro_rules! plain_fields {
    ($($kind:ty),*) => {$(
        impl Field for $kind {
            fn put(&self, number: u32, out: &mut Vec<u8>) {
                if *self != <$kind>::default() {
                    Element::put(self, number, out);
                }
            }

            fn take(&mut self, value: Value<'_>, depth: u32) -> Result<(), WireError> {
                *self = Element::take(value, depth)?;
                Ok(())
            }
        }
    )*};
}

plain_fields!(String, Vec<u8>, i64, bool);

impl<E: Element> Field for Option<E> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        self.iter().for_each(|one| one.put(number, out));
    }

    fn take(&mut self, value: Value<'_>, depth: u32) -> Result<(), WireError> {
        *self = Some(E::take(value, depth)?);
        Ok(())
    }
}

/// Repeated fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Many<E>(pub Vec<E>);

impl<E> Default for Many<E> {
    fn default() -> Self {
        Many(Vec::new())
    }
}

impl<E: Element> Field for Many<E> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        self.0.iter().for_each(|one| one.put(number, out));
    }

    fn take(&mut self, value: Value<'_>, depth: u32) -> Result<(), WireError> {
        self.0.push(E::take(value, depth)?);
        Ok(())
    }
}

impl<E: Element> Field for BTreeMap<String, E> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        for (key, value) in self {
            let mut entry = Vec::new();
            Element::put(key, 1, &mut entry);
            value.put(2, &mut entry);
            put_bytes(out, number, &entry);
        }
    }

    fn take(&mut self, value: Value<'_>, depth: u32) -> Result<(), WireError> {
        let entry: MapEntry<E> = Element::take(value, depth)?;
        self.insert(entry.key, entry.value);
        Ok(())
    }
}

#[derive(Default)]
struct MapEntry<E> {
    key: String,
    value: E,
}

impl<E: Element> Message for MapEntry<E> {
    fn encode(&self, _: &mut Vec<u8>) {}

    fn field(&mut self, number: u32, value: Value<'_>, depth: u32) -> Result<(), WireError> {
        match number {
            1 => self.key = Element::take(value, depth)?,
            2 => self.value = E::take(value, depth)?,
            _ => {}
        }
        Ok(())
    }
}

/// Structs that are messages: each field with its number, in the order in which it is written.
macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($number:literal $field:ident: $kind:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        #[allow(missing_docs)]
        pub struct $name { $(pub $field: $kind),* }

        impl $crate::wire::Message for $name {
            #[allow(unused_variables)]
            fn encode(&self, out: &mut Vec<u8>) {
                $($crate::wire::Field::put(&self.$field, $number, out);)*
            }

            #[allow(unused_variables)]
            fn field(&mut self, number: u32, value: $crate::wire::Value<'_>, depth: u32) -> Result<(), $crate::wire::WireError> {
                match number {
                    $($number => $crate::wire::Field::take(&mut self.$field, value, depth),)*
                    _ => Ok(()),
                }
            }
        }
    )*};
}

pub(crate) use messages;

#[cfg(test)]
mod tests {
    use super::*;

    messages! {
        Inner { 1 text: String, 2 flag: bool }
        Outer { 1 number: i64, 3 inner: Option<Inner>, 2 list: Many<Inner>, 4 map: BTreeMap<String, String>, 5 bytes: Vec<u8>, 6 texts: Many<String> }
    }

    fn outer() -> Outer {
        let inner = Inner { text: "hi".to_owned(), flag: true };
        Outer {
            number: -1,
            inner: Some(Inner::default()),
            list: Many(vec![inner.clone(), Inner::default(), inner]),
            map: BTreeMap::from([("b".to_owned(), String::new()), ("a".to_owned(), "1".to_owned())]),
            bytes: vec![0; 300],
            texts: Many(vec![String::new(), "x".to_owned()]),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Outer::read(&outer().to_bytes()).unwrap(), outer());
        assert_eq!(Outer::default().to_bytes(), Vec::<u8>::new());
    }

    /// By hand after the encoding's documentation: tag 1 varint -1 in ten bytes, tag 3 an empty message, tag 2, the map sorted.
    #[test]
    fn bytes_are_those_of_the_specification() {
        let message = Outer {
            number: -1,
            inner: Some(Inner::default()),
            list: Many(vec![Inner { text: "a".to_owned(), flag: true }]),
            map: BTreeMap::from([("k".to_owned(), String::new())]),
            ..Outer::default()
        };
        let mut expected = vec![0x08];
        expected.extend([0xff; 9]);
        expected.extend([0x01, 0x1a, 0x00, 0x12, 0x05, 0x0a, 0x01, b'a', 0x10, 0x01, 0x22, 0x05, 0x0a, 0x01, b'k', 0x12, 0x00]);
        assert_eq!(message.to_bytes(), expected);
    }

    #[test]
    fn damaged_messages_are_errors() {
        let bytes = outer().to_bytes();
        for size in 0..bytes.len() {
            // Where a field ends the message may end.
            let _ = Outer::read(&bytes[..size]);
        }
        assert_eq!(Outer::read(&[0x0a]), Err(WireError::Truncated));
        assert_eq!(Outer::read(&[0x12, 0x7f, 0x00]), Err(WireError::Truncated));
        assert_eq!(Outer::read(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), Err(WireError::Value));
        assert_eq!(Outer::read(&[0x0b]), Err(WireError::Type));
        assert_eq!(Outer::read(&[0x18, 0x01]), Err(WireError::Type));
        assert_eq!(Outer::read(&[0x32, 0x01, 0xff]), Err(WireError::Value));
        assert_eq!(Outer::read(&[0x7a, 0x01, 0xff, 0x79, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(Outer::default()), "unknown fields");
    }
}
