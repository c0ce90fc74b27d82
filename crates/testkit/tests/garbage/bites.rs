//! How JSON is spoilt.

use serde_json::{Map, Value};

/// A way to spoil one field.
pub(crate) struct Bite {
    pub(crate) name: &'static str,
    with: With,
}

enum With {
    /// This text stands in the place of the value.
    Raw(&'static str),
    /// A text of so many bytes.
    Long(usize),
    /// So many arrays in each other.
    Deep(usize),
    /// The field is left out.
    Nothing,
    /// The field is there twice, the second time as a number.
    Twice,
}

/// All of them.
pub(crate) const ALL: &[Bite] = &[
    raw("null", "null"),
    raw("true", "true"),
    raw("zero", "0"),
    raw("a negative number", "-1"),
    raw("a fraction", "1.5"),
    raw("a number beyond 2^53", "9007199254740993"),
    raw("a number beyond 64 bits", "99999999999999999999999"),
    raw("a number beyond floats", "1e999"),
    raw("minus zero", "-0.0"),
    raw("an empty string", "\"\""),
    raw("a string", "\"no such thing\""),
    raw("NUL", "\"a\\u0000b\""),
    raw("half a surrogate", "\"\\ud800\""),
    raw("an empty array", "[]"),
    raw("an array of null", "[null]"),
    raw("an empty object", "{}"),
    raw("an object", "{\"a\":[{\"\":null}]}"),
    Bite { name: "an over-long string", with: With::Long(70_000) },
    Bite { name: "a string of 300 bytes", with: With::Long(300) },
    Bite { name: "nesting", with: With::Deep(100) },
    Bite { name: "deep nesting", with: With::Deep(50_000) },
    Bite { name: "nothing", with: With::Nothing },
    Bite { name: "a second one", with: With::Twice },
];

const fn raw(name: &'static str, text: &'static str) -> Bite {
    Bite { name, with: With::Raw(text) }
}

/// Stands where raw text is put in.
const PLACE: &str = "@@here@@";

impl Bite {
    /// The body with the value at the pointer spoilt. `None` where it can't be spoilt so.
    pub(crate) fn spoil(&self, body: &Value, pointer: &str) -> Option<Vec<u8>> {
        let mut body = body.clone();
        let text = match self.with {
            With::Raw(text) => text.to_owned(),
            With::Long(bytes) => format!("\"{}\"", "x".repeat(bytes)),
            With::Deep(depth) => format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
            With::Nothing => {
                let (fields, name) = parent(&mut body, pointer)?;
                fields.remove(&name)?;
                return Some(body.to_string().into_bytes());
            }
            With::Twice => {
                let value = body.pointer(pointer)?.to_string();
                let (_, name) = parent(&mut body, pointer)?;
                format!("{value},{}:7", Value::from(name))
            }
        };
        *body.pointer_mut(pointer)? = Value::from(PLACE);
        Some(body.to_string().replace(&format!("\"{PLACE}\""), &text).into_bytes())
    }

    /// Whether what it puts there is of another type than the value, so that no reading makes sense of it. Null often
    /// means that nothing is there.
    pub(crate) fn is_of_another_type(&self, value: &Value) -> bool {
        let is = match self.with {
            With::Raw("null") | With::Nothing | With::Twice => return false,
            With::Raw(text) => text.chars().next().unwrap_or('"'),
            With::Long(_) => '"',
            With::Deep(_) => '[',
        };
        match value {
            Value::Null => false,
            Value::Bool(_) => is != 't',
            Value::Number(_) => !(is.is_ascii_digit() || is == '-'),
            Value::String(_) => is != '"',
            Value::Array(_) => is != '[',
            Value::Object(_) => is != '{',
        }
    }
}

fn parent<'v>(body: &'v mut Value, pointer: &str) -> Option<(&'v mut Map<String, Value>, String)> {
    let (parent, name) = pointer.rsplit_once('/')?;
    let name = name.replace("~1", "/").replace("~0", "~");
    Some((body.pointer_mut(parent)?.as_object_mut()?, name))
}

/// The JSON pointers of everything in a value, but itself.
pub(crate) fn pointers(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(value, "", &mut found);
    found
}

fn collect(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut add = |name: &str, value: &Value| {
        let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        found.push(pointer.clone());
        collect(value, &pointer, found);
    };
    match value {
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(index, value)| add(&index.to_string(), value));
        }
        Value::Object(fields) => fields.iter().for_each(|(name, value)| add(name, value)),
        _ => {}
    }
}

/// Bodies that are spoilt as a whole, and the errcodes of which one must come.
pub(crate) fn whole(good: &str) -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    const NOT_JSON: &[&str] = &["M_NOT_JSON"];
    const BAD_JSON: &[&str] = &["M_BAD_JSON"];
    let good = if good.len() > 2 { good } else { "{\"a\":1}" };
    let inner = &good[1..];
    let mut bad_utf8 = b"{\"\xff\xfe\":1,".to_vec();
    bad_utf8.extend_from_slice(inner.as_bytes());
    let deep = format!("{{\"deep\":{}{},{inner}", "[".repeat(100_000), "]".repeat(100_000));
    vec![
        ("words", b"not json".to_vec(), NOT_JSON),
        ("only spaces", b" \n".to_vec(), NOT_JSON),
        ("truncated JSON", good.as_bytes()[..good.len() - 1].to_vec(), NOT_JSON),
        ("the first half", good.as_bytes()[..good.len() / 2].to_vec(), NOT_JSON),
        ("two objects", format!("{good}{good}").into_bytes(), NOT_JSON),
        ("a comma too much", format!("{},}}", &good[..good.len() - 1]).into_bytes(), NOT_JSON),
        ("single quotes", good.replace('"', "'").into_bytes(), NOT_JSON),
        ("a byte order mark", format!("\u{feff}{good}").into_bytes(), NOT_JSON),
        ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect(), NOT_JSON),
        ("NUL bytes", vec![0; 64], NOT_JSON),
        ("bad UTF-8 in an unknown field", bad_utf8, NOT_JSON),
        ("a raw line break in a string", format!("{{\"a\":\"\n\",{inner}").into_bytes(), NOT_JSON),
        ("an array", b"[]".to_vec(), BAD_JSON),
        ("the good body in an array", format!(" [{good}]").into_bytes(), BAD_JSON),
        ("null", b"null".to_vec(), BAD_JSON),
        ("a number", b"3".to_vec(), BAD_JSON),
        ("a string", b"\"{}\"".to_vec(), BAD_JSON),
        ("a truth", b"true".to_vec(), BAD_JSON),
        ("deep brackets alone", "[".repeat(100_000).into_bytes(), &["M_NOT_JSON", "M_BAD_JSON"]),
        ("deep JSON in an unknown field", deep.into_bytes(), &["M_BAD_JSON", "M_NOT_JSON"]),
        (
            "more than a megabyte",
            format!("{{\"long\":\"{}\",{inner}", "x".repeat(1 << 20)).into_bytes(),
            &["M_TOO_LARGE"],
        ),
    ]
}
