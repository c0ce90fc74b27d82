//! Parts of a file (RFC 9110, sections 13.1.5 and 14).

use std::ops::Range;

use http::{HeaderMap, header};

/// What a request asks for of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// Bytes that it does not have.
    Beyond,
}

/// Reads `Range` and `If-Range`. What can't be understood, and more than one range, counts as if it were not there,
/// as the RFC allows.
pub(super) fn asked(headers: &HeaderMap, size: u64, tag: &str) -> Asked {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Asked::Whole };
    // Only the same bytes can be gone on with: a weak tag or a date promises less.
    if headers.get(header::IF_RANGE).is_some_and(|known| known.as_bytes() != tag.as_bytes()) {
        return Asked::Whole;
    }
    range.to_str().ok().and_then(|text| parse(text, size)).unwrap_or(Asked::Whole)
}

fn parse(text: &str, size: u64) -> Option<Asked> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(match suffix {
            0 => Asked::Beyond,
            // There is no way to write a part of nothing.
            _ if size == 0 => Asked::Whole,
            _ => Asked::Part(size.saturating_sub(suffix)..size),
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    if first >= size {
        return Some(Asked::Beyond);
    }
    Some(Asked::Part(first..last.saturating_add(1).min(size)))
}

/// Digits only: `+5`, which Rust would read, is no number of the grammar. One that is too large for us is larger than
/// any file.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::{Asked, asked};

    const TAG: &str = "\"abc\"";

    fn of(range: &str, size: u64) -> Asked {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
        asked(&headers, size, TAG)
    }

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        assert_eq!(of("bytes=0-0", 10), Asked::Part(0..1));
        assert_eq!(of("bytes=0-499", 10), Asked::Part(0..10));
        assert_eq!(of("Bytes=9-", 10), Asked::Part(9..10));
        assert_eq!(of("bytes=-3", 10), Asked::Part(7..10));
        assert_eq!(of("bytes=-30", 10), Asked::Part(0..10));
        assert_eq!(of("bytes=1-99999999999999999999999", 10), Asked::Part(1..10));
        assert_eq!(of("bytes=1-18446744073709551615", 10), Asked::Part(1..10));
        for beyond in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(of(beyond, 10), Asked::Beyond, "{beyond}");
        }
        assert_eq!(of("bytes=0-", 0), Asked::Beyond);
        assert_eq!(of("bytes=-5", 0), Asked::Whole);
    }

    #[test]
    fn what_is_no_single_range_is_ignored() {
        for ignored in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=+1-2",
        ] {
            assert_eq!(of(ignored, 10), Asked::Whole, "{ignored}");
        }
        let mut twice = HeaderMap::new();
        twice.append(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        twice.append(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        assert_eq!(asked(&twice, 10, TAG), Asked::Whole);
    }

    #[test]
    fn only_the_same_bytes_can_be_gone_on_with() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=5-"));
        for (known, wanted) in [
            ("\"abc\"", Asked::Part(5..10)),
            ("\"other\"", Asked::Whole),
            ("W/\"abc\"", Asked::Whole),
            ("Thu, 01 Jan 2026 00:00:00 GMT", Asked::Whole),
        ] {
            headers.insert(header::IF_RANGE, HeaderValue::from_static(known));
            assert_eq!(asked(&headers, 10, TAG), wanted, "{known}");
        }
    }
}
