//! What somebody shows beside their password: one-time codes of an app ([`totp`]) and recovery codes ([`recovery`]), as
//! functions of what is kept, what is shown, and the time.

pub mod recovery;
pub mod totp;

use recovery::RecoveryCode;
use totp::TotpCode;

/// What somebody typed who was asked for a second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// What their app shows.
    Totp(TotpCode),
    /// One of their recovery codes.
    Recovery(RecoveryCode),
}

impl Typed {
    /// Reads it; nothing where it can be neither. The two differ in length, so that one field takes both.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let totp = TotpCode::parse(text).map(Self::Totp);
        totp.or_else(|| RecoveryCode::parse(text).map(Self::Recovery))
    }
}

#[cfg(test)]
mod tests {
    use super::Typed;

    #[test]
    fn one_field_takes_both_kinds_of_code() {
        assert!(matches!(Typed::parse(" 123 456 "), Some(Typed::Totp(_))));
        assert!(matches!(Typed::parse("abcd-efgh-jkmn-pqrs"), Some(Typed::Recovery(_))));
        assert!(matches!(Typed::parse("1234-5678-1234-5678"), Some(Typed::Recovery(_))));
        for neither in [
            "",
            "12345",
            "1234567",
            "+12345",
            "abcdef",
            "١٢٣٤٥٦",
            "abcd-efgh-jkmn-pqr",
            "abcd-efgh-jkmn-pqru",
        ] {
            assert_eq!(Typed::parse(neither), None, "{neither}");
        }
    }
}
