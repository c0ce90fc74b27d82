//! One-time codes of an authenticator app (RFC 6238: six digits, thirty seconds, SHA-1, as every app knows them).

use totp_rs::{Builder, Secret, Totp};

/// Bytes of a secret (RFC 4226, section 4, requirement 6).
pub const SECRET: usize = 20;
/// How many steps the clocks may differ, either way (RFC 6238, section 5.2).
const SKEW: u16 = 1;

/// A code as somebody typed it: six digits.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpCode(String);

impl std::fmt::Debug for TotpCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TotpCode(..)")
    }
}

impl TotpCode {
    /// Reads one; apps show them in groups, and people type the gap.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Digits and gaps of more than this are no code.
        let digits: String = text.chars().take(32).filter(|c| !c.is_whitespace()).collect();
        let is_code = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_digit());
        is_code.then_some(Self(digits))
    }
}

/// Decides about a code that is shown at `now` (milliseconds since the Unix epoch), where `last_step` is the newest step of
/// which one was taken. Answers the step that is the newest then; nothing where the code is wrong or is of a step that is not
/// newer. So a code, however it was seen by others, is good once, and no older one after it (RFC 6238, section 5.2).
#[must_use]
pub fn check(secret: &[u8], last_step: i64, code: &TotpCode, now: i64) -> Option<i64> {
    let seconds = u64::try_from(now).ok()? / 1_000;
    let step = i64::try_from(totp(secret, "", "")?.check(&code.0, seconds)?).ok()?;
    (step > last_step).then_some(step)
}

/// A secret as an app takes it in.
#[derive(Clone, PartialEq, Eq)]
pub struct Provisioning {
    /// The secret to be typed: base32.
    pub secret: String,
    /// The `otpauth:` URI, to be shown as a picture.
    pub uri: String,
}

impl std::fmt::Debug for Provisioning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Provisioning(..)")
    }
}

/// How an app is told of the secret of an account (its localpart) of a server (its host); neither has a colon in it. Nothing
/// where the secret is too short.
#[must_use]
pub fn provisioning(secret: &[u8], server: &str, localpart: &str) -> Option<Provisioning> {
    let uri = totp(secret, server, localpart)?.to_url().ok()?;
    Some(Provisioning { secret: Secret::from(secret.to_vec()).to_base32(), uri })
}

fn totp(secret: &[u8], issuer: &str, account: &str) -> Option<Totp> {
    let builder = Builder::new().with_secret(secret.to_vec()).with_skew(SKEW).with_account_name(account);
    builder.with_issuer((!issuer.is_empty()).then_some(issuer)).build().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use totp_rs::Builder;

    use super::{TotpCode, check, provisioning};

    /// The secret of RFC 6238, appendix B.
    const RFC: &[u8] = b"12345678901234567890";
    const STEP: i64 = 30_000;

    fn code(text: &str) -> TotpCode {
        TotpCode::parse(text).unwrap()
    }

    fn of_step(step: i64) -> TotpCode {
        let totp = Builder::new().with_secret(RFC.to_vec()).build().unwrap();
        code(&totp.generate(step as u64 * 30).to_string())
    }

    #[test]
    fn the_codes_are_those_of_the_rfc() {
        // Its codes have eight digits; the last six are what one of six digits is.
        for (seconds, text) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(check(RFC, -1, &code(text), seconds * 1_000), Some(seconds / 30), "{seconds}");
        }
        assert_eq!(check(RFC, -1, &code("287082"), -59_000), None, "before the epoch");
        assert_eq!(check(b"short", -1, &code("287082"), 59_000), None);
    }

    #[test]
    fn an_app_is_told_by_a_uri_that_names_server_and_account() {
        let told = provisioning(RFC, "example.org", "alice").unwrap();
        assert_eq!(told.secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(told.uri.starts_with("otpauth://totp/example.org:alice?"), "{}", told.uri);
        assert!(told.uri.contains(&told.secret) && told.uri.contains("issuer=example.org"), "{}", told.uri);
        assert!(!format!("{told:?}").contains(&told.secret));
    }

    proptest! {
        /// However codes are shown, in any order, again and late: each step's code is taken once, only within a step of its
        /// time, and none after a newer one.
        #[test]
        fn a_code_is_taken_once_and_only_in_its_time(
            shown in proptest::collection::vec((0_i64..8, 0_i64..8, 0_i64..STEP), 1..40),
        ) {
            let first = 55_000_000;
            let mut last = -1;
            let mut taken = Vec::new();
            for (step, at, within) in shown {
                let (step, at) = (first + step, first + at);
                if let Some(next) = check(RFC, last, &of_step(step), at * STEP + within) {
                    // (Two steps near each other may have the same code, once in a million.)
                    prop_assert!((next - at).abs() <= 1);
                    prop_assert!(next > last && !taken.contains(&next));
                    taken.push(next);
                    last = next;
                } else {
                    prop_assert!((step - at).abs() > 1 || step <= last || of_step(step) == of_step(last));
                }
            }
        }

        #[test]
        fn nothing_typed_panics(text in ".{0,40}", now in any::<i64>(), last in any::<i64>()) {
            if let Some(code) = TotpCode::parse(&text) {
                let _ = check(RFC, last, &code, now);
            }
        }
    }
}
