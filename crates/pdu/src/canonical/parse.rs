//! Reading JSON texts.

use std::ops::Range;

use super::{CanonicalError, CanonicalObject, CanonicalValue, MAX_NESTING, number};
use crate::CanonicalJsonRule;

/// Reads one JSON text.
pub(super) fn parse(json: &[u8], rule: CanonicalJsonRule) -> Result<CanonicalValue, CanonicalError> {
    Parser::new(json, rule, None)?.text()
}

/// Reads one JSON object, and where in the text the value of its top-level key `recorded` stands (empty if it has no
/// such key; the last, where keys may repeat).
pub(crate) fn parse_recording(
    json: &[u8],
    rule: CanonicalJsonRule,
    recorded: &'static str,
) -> Result<(CanonicalObject, Range<usize>), CanonicalError> {
    let mut parser = Parser::new(json, rule, Some(recorded))?;
    match parser.text()? {
        CanonicalValue::Object(object) => Ok((object, parser.span)),
        _ => Err(CanonicalError::NotAnObject),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    rule: CanonicalJsonRule,
    recorded: Option<&'static str>,
    span: Range<usize>,
}

impl<'a> Parser<'a> {
    fn new(
        json: &'a [u8],
        rule: CanonicalJsonRule,
        recorded: Option<&'static str>,
    ) -> Result<Self, CanonicalError> {
        let text =
            std::str::from_utf8(json).map_err(|error| CanonicalError::NotUtf8 { at: error.valid_up_to() })?;
        Ok(Self { text, at: 0, rule, recorded, span: 0..0 })
    }

    fn text(&mut self) -> Result<CanonicalValue, CanonicalError> {
        let value = self.value(0)?;
        self.skip_whitespace();
        if self.at == self.text.len() { Ok(value) } else { Err(self.expected("the end of the text")) }
    }

    /// A value; `depth` containers are open around it.
    fn value(&mut self, depth: usize) -> Result<CanonicalValue, CanonicalError> {
        self.skip_whitespace();
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string().map(CanonicalValue::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", CanonicalValue::Bool(true)),
            Some(b'f') => self.literal("false", CanonicalValue::Bool(false)),
            Some(b'n') => self.literal("null", CanonicalValue::Null),
            _ => Err(self.expected("a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<CanonicalValue, CanonicalError> {
        if depth > MAX_NESTING {
            return Err(CanonicalError::TooDeep);
        }
        self.at += 1;
        let mut entries = Vec::new();
        self.skip_whitespace();
        if !self.take(b'}') {
            loop {
                entries.push(self.entry(depth)?);
                self.skip_whitespace();
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.expected("',' or '}'"));
                }
            }
        }
        match (CanonicalObject::from_unsorted(entries), self.rule) {
            ((_, Some(key)), CanonicalJsonRule::Strict) => Err(CanonicalError::RepeatedKey { key }),
            ((object, _), _) => Ok(CanonicalValue::Object(object)),
        }
    }

    fn entry(&mut self, depth: usize) -> Result<(String, CanonicalValue), CanonicalError> {
        self.skip_whitespace();
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key"));
        }
        let key = self.string()?;
        self.skip_whitespace();
        if !self.take(b':') {
            return Err(self.expected("':'"));
        }
        self.skip_whitespace();
        let start = self.at;
        let value = self.value(depth)?;
        if depth == 1 && self.recorded == Some(key.as_str()) {
            self.span = start..self.at;
        }
        Ok((key, value))
    }

    fn array(&mut self, depth: usize) -> Result<CanonicalValue, CanonicalError> {
        if depth > MAX_NESTING {
            return Err(CanonicalError::TooDeep);
        }
        self.at += 1;
        let mut values = Vec::new();
        self.skip_whitespace();
        if self.take(b']') {
            return Ok(CanonicalValue::Array(values));
        }
        loop {
            values.push(self.value(depth)?);
            self.skip_whitespace();
            if self.take(b']') {
                return Ok(CanonicalValue::Array(values));
            }
            if !self.take(b',') {
                return Err(self.expected("',' or ']'"));
            }
        }
    }

    fn string(&mut self) -> Result<String, CanonicalError> {
        self.at += 1;
        let plain = self.plain_run();
        if self.take(b'"') {
            return Ok(plain.to_owned());
        }
        let mut string = plain.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => {
                    self.at += 1;
                    string.push(self.escape()?);
                }
                _ => return Err(self.expected("an escaped control character or '\"'")),
            }
            string.push_str(self.plain_run());
        }
    }

    /// The characters up to the next quote, backslash, control character, or the end.
    fn plain_run(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// The character an escape stands for, from after its backslash.
    fn escape(&mut self) -> Result<char, CanonicalError> {
        let character = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.expected("an escape")),
        };
        self.at += 1;
        Ok(character)
    }

    /// Surrogates count only in pairs: a lone one has no UTF-8 form, and so no canonical form.
    fn unicode_escape(&mut self) -> Result<char, CanonicalError> {
        let first = self.hex4()?;
        let code = if (0xD800..0xDC00).contains(&first) {
            if !(self.take(b'\\') && self.take(b'u')) {
                return Err(self.expected("the second half of a surrogate pair"));
            }
            let second = self.hex4()?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(self.expected("the second half of a surrogate pair"));
            }
            0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.expected("a character, not half of a surrogate pair"))
    }

    fn hex4(&mut self) -> Result<u32, CanonicalError> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.expected("four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }

    fn number(&mut self) -> Result<CanonicalValue, CanonicalError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        let integer_end = self.at;
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _signed = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let token = self.text.get(start..self.at).unwrap_or_default();
        number::value_of(token, self.at == integer_end, self.rule)
    }

    fn digits(&mut self) -> Result<(), CanonicalError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.expected("a digit")) }
    }

    fn literal(
        &mut self,
        word: &'static str,
        value: CanonicalValue,
    ) -> Result<CanonicalValue, CanonicalError> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(value)
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    const fn expected(&self, expected: &'static str) -> CanonicalError {
        CanonicalError::Syntax { at: self.at, expected }
    }
}
