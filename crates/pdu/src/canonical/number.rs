//! Numbers: integers for canonical JSON, and the spellings of old rooms.

use super::{CanonicalError, CanonicalValue, LegacyNumber, MAX_CANONICAL_INTEGER};
use crate::CanonicalJsonRule;

/// The value of a number token that complies with JSON's grammar. `integral` says that it has neither a fraction nor
/// an exponent.
pub(super) fn value_of(
    token: &str,
    integral: bool,
    rule: CanonicalJsonRule,
) -> Result<CanonicalValue, CanonicalError> {
    match rule {
        CanonicalJsonRule::Strict if !integral => Err(CanonicalError::NotAnInteger),
        CanonicalJsonRule::Strict if token == "-0" => Err(CanonicalError::NegativeZero),
        CanonicalJsonRule::Strict => token
            .parse()
            .ok()
            .filter(|integer| (-MAX_CANONICAL_INTEGER..=MAX_CANONICAL_INTEGER).contains(integer))
            .map(CanonicalValue::Integer)
            .ok_or(CanonicalError::IntegerOutOfRange),
        CanonicalJsonRule::Lenient if integral => Ok(token
            .parse()
            .map_or_else(|_| CanonicalValue::Legacy(LegacyNumber(token.into())), CanonicalValue::Integer)),
        CanonicalJsonRule::Lenient => legacy_float(token),
    }
}

/// The appendices write `1e10` as `10000000000`, while the servers that made the rooms before version 6 wrote a float
/// back as Python does (`50.0`, `50.57`, `1e+16`). Both hold at once: Python never writes an exponent below 1e16, so a
/// whole number within canonical range that has an exponent and no point is an integer, and all else is Python's.
fn legacy_float(token: &str) -> Result<CanonicalValue, CanonicalError> {
    let float: f64 = token.parse().map_err(|_| CanonicalError::NotAnInteger)?;
    if !float.is_finite() {
        return Err(CanonicalError::IntegerOutOfRange);
    }
    if !token.contains('.') {
        // The digits of a whole double print exactly.
        let whole = format!("{float:.0}").parse::<i64>().ok();
        if let Some(integer) = whole.filter(|_| float.fract() == 0.0)
            && (-MAX_CANONICAL_INTEGER..=MAX_CANONICAL_INTEGER).contains(&integer)
        {
            return Ok(CanonicalValue::Integer(integer));
        }
    }
    Ok(CanonicalValue::Legacy(LegacyNumber(python_repr(float).into())))
}

/// The shortest decimal that reads back as `float`, laid out as Python's `repr` does: an exponent, of two digits or
/// more, is used below 1e-4 and from 1e16 on.
fn python_repr(float: f64) -> String {
    let scientific = format!("{float:e}");
    let exponent = scientific.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok());
    match (scientific.split_once('e'), exponent) {
        (Some((mantissa, _)), Some(exponent)) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ if float.fract() == 0.0 => format!("{float:.1}"),
        _ => format!("{float}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lenient(token: &str) -> String {
        let integral = !token.contains(['.', 'e', 'E']);
        format!("{:?}", value_of(token, integral, CanonicalJsonRule::Lenient).unwrap())
    }

    #[test]
    fn old_rooms_spell_floats_as_python_does() {
        // Each right side is what `json.dumps(json.loads(left))` gives.
        for (token, python) in [
            ("50.57", "50.57"),
            ("50.0", "50.0"),
            ("5.114698E4", "51146.98"),
            ("1.0e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("1.5e16", "1.5e+16"),
            ("1e22", "1e+22"),
            ("1.2345678901234567e300", "1.2345678901234567e+300"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1.5e-7", "1.5e-07"),
            ("-0.0", "-0.0"),
            ("-1.50", "-1.5"),
            ("5e-324", "5e-324"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("9007199254740993", "9007199254740993"),
            ("-0", "0"),
        ] {
            assert_eq!(lenient(token), python, "{token}");
        }
    }

    #[test]
    fn a_whole_number_with_an_exponent_is_the_integer_of_the_appendices() {
        assert_eq!(lenient("1e10"), "10000000000");
        assert_eq!(lenient("-25E2"), "-2500");
        assert_eq!(lenient("25e-1"), "2.5");
    }

    #[test]
    fn a_number_beyond_a_double_is_refused() {
        assert!(value_of("1e999", false, CanonicalJsonRule::Lenient).is_err());
    }

    #[test]
    fn strict_integers_end_at_two_to_the_53_less_one() {
        let strict = |token| value_of(token, true, CanonicalJsonRule::Strict);
        for edge in ["9007199254740991", "-9007199254740991", "0"] {
            assert!(strict(edge).is_ok(), "{edge}");
        }
        for beyond in ["9007199254740992", "-9007199254740992", "123456789012345678901234567890"] {
            assert_eq!(strict(beyond), Err(CanonicalError::IntegerOutOfRange), "{beyond}");
        }
        assert_eq!(strict("-0"), Err(CanonicalError::NegativeZero));
        assert_eq!(value_of("1.0", false, CanonicalJsonRule::Strict), Err(CanonicalError::NotAnInteger));
        assert_eq!(value_of("1e2", false, CanonicalJsonRule::Strict), Err(CanonicalError::NotAnInteger));
    }
}
