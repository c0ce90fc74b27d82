//! E-mail addresses in their canonical form (<https://spec.matrix.org/v1.19/appendices/#e-mail>).

use unicase::UniCase;

/// The longest address and the longest part before its `@`, in bytes (RFC 5321, section 4.5.3.1).
const MAX_BYTES: usize = 254;
const MAX_LOCAL_BYTES: usize = 64;

/// An address that mail can be sent to, with its case folded, so that one mailbox has one form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The canonical form of an address; nothing where it is none. Quoted local parts and literal addresses, which are
    /// legal and which nobody has, are refused.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let folded = UniCase::unicode(text.trim()).to_folded_case();
        let (local, domain) = folded.rsplit_once('@')?;
        let fits = folded.len() <= MAX_BYTES && local.len() <= MAX_LOCAL_BYTES;
        (fits && is_local_part(local) && is_domain(domain)).then_some(Self(folded))
    }

    /// The canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Atoms with dots between them (RFC 5322, section 3.2.3; RFC 6531 adds what is not ASCII).
fn is_local_part(local: &str) -> bool {
    let is_atext = |c: char| {
        c.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~".contains(c)
            || (!c.is_ascii() && c.is_alphanumeric())
    };
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        let edges = !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
        edges && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::EmailAddress;

    fn parsed(text: &str) -> Option<String> {
        EmailAddress::parse(text).map(|address| address.as_str().to_owned())
    }

    #[test]
    fn one_mailbox_has_one_form() {
        assert_eq!(parsed("Strau\u{df}@Example.com").as_deref(), Some("strauss@example.com"));
        assert_eq!(parsed(" Alice+matrix@EXAMPLE.org ").as_deref(), Some("alice+matrix@example.org"));
        assert_eq!(parsed("o'neil@b\u{fc}cher.example").as_deref(), Some("o'neil@b\u{fc}cher.example"));
        assert_eq!(parsed("root@localhost").as_deref(), Some("root@localhost"));
        // The dotless i is a letter of its own: who has one address does not get the mail for the other.
        assert_ne!(parsed("m\u{131}ke@example.org"), parsed("mike@example.org"));
    }

    #[test]
    fn what_is_no_address_or_more_than_one_is_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a",
            "a b@c.d",
            "a@b c",
            "a@b..c",
            "a..b@c",
            ".a@b",
            "a@-b.c",
            "Alice <a@b.c>",
            "a@b.c,d@e.f",
            "a@b.c\r\nBcc: d@e.f",
            "a@b.c\n",
            "\"a b\"@c.d",
            "a@[127.0.0.1]",
            "a@b@c",
            "a\0@b.c",
        ] {
            let fits = text == "a@b.c\n";
            assert_eq!(parsed(text).is_some(), fits, "{text:?}");
        }
        assert_eq!(parsed(&format!("{}@b.c", "a".repeat(65))), None);
        assert_eq!(parsed(&format!("a@{}", "b".repeat(253))), None);
    }

    proptest! {
        #[test]
        fn a_canonical_form_is_its_own_and_has_no_space_or_control(text in "\\PC{0,30}@\\PC{0,30}") {
            if let Some(address) = EmailAddress::parse(&text) {
                prop_assert_eq!(EmailAddress::parse(address.as_str()), Some(address.clone()));
                prop_assert!(!address.as_str().chars().any(|c| c.is_whitespace() || c.is_control()));
            }
        }
    }
}
