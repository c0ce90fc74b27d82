//! Writing canonical bytes.

use std::io::Write as _;

use super::{CanonicalObject, CanonicalValue};

impl CanonicalValue {
    /// Appends the canonical bytes to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Integer(integer) => write_integer(*integer, out),
            Self::Legacy(number) => out.extend_from_slice(number.as_str().as_bytes()),
            Self::String(string) => write_string(string, out),
            Self::Array(array) => {
                out.push(b'[');
                for (index, value) in array.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    value.write(out);
                }
                out.push(b']');
            }
            Self::Object(object) => object.write(out),
        }
    }
}

impl CanonicalObject {
    /// Appends the canonical bytes to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_filtered(out, |_| true);
    }

    /// Appends the canonical bytes of the object without the keys `keep` is false for.
    pub(crate) fn write_filtered(&self, out: &mut Vec<u8>, keep: impl Fn(&str) -> bool) {
        out.push(b'{');
        let mut first = true;
        for (key, value) in self.iter().filter(|(key, _)| keep(key)) {
            write_entry(&mut first, key, value, out);
        }
        out.push(b'}');
    }
}

/// Appends an object's entry, with a comma before all but the first.
pub(crate) fn write_entry(first: &mut bool, key: &str, value: &CanonicalValue, out: &mut Vec<u8>) {
    write_entry_start(first, key, out);
    value.write(out);
}

/// Appends an object's entry up to the colon, with a comma before all but the first.
pub(crate) fn write_entry_start(first: &mut bool, key: &str, out: &mut Vec<u8>) {
    if !std::mem::take(first) {
        out.push(b',');
    }
    write_string(key, out);
    out.push(b':');
}

fn write_integer(integer: i64, out: &mut Vec<u8>) {
    // Writing into a vector cannot fail.
    let _infallible = write!(out, "{integer}");
}

/// Only what the grammar forbids raw is escaped, each in its one spelling.
fn write_string(string: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = string.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((special, tail)) = tail.split_first() else { break };
        write_escape(*special, out);
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        _ => {
            let _infallible = write!(out, "\\u{byte:04x}");
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
