//! A directory whose people log in with their passwords there.

use std::path::PathBuf;

use ldap3::ldap_escape;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::providers::Existing;

/// What stands in the filter for what somebody typed.
const USER: &str = "{user}";

/// The directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ldap {
    /// Where it is; without one there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether an `ldap://` connection is encrypted before anything else is said.
    pub start_tls: bool,
    /// The certificates that sign its own, PEM, in place of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// As whom this server looks people up; nobody by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_dn: Option<String>,
    /// The password that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_password: Option<String>,
    /// A file that holds it, in place of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_password_file: Option<PathBuf>,
    /// Under what people are.
    pub base_dn: String,
    /// Which of what is there is a person of that name.
    pub filter: String,
    /// The attribute by which they are known for good.
    pub id_attribute: String,
    /// The attribute that their user name here is made of.
    pub name_attribute: String,
    /// The attribute of their display name.
    pub display_name_attribute: String,
    /// The attribute of their e-mail address.
    pub email_attribute: String,
    /// What becomes of somebody whose name is that of an account.
    pub existing_account: Existing,
    /// Whether an account is made for who has none.
    pub sign_up: bool,
    /// Whether the account of who is gone from it is locked.
    pub lock_removed: bool,
    /// How many may be asked about at once.
    pub connections: usize,
}

impl Default for Ldap {
    fn default() -> Self {
        Self {
            url: None,
            start_tls: false,
            ca_file: None,
            bind_dn: None,
            bind_password: None,
            bind_password_file: None,
            base_dn: String::new(),
            filter: "(&(objectClass=person)(uid={user}))".to_owned(),
            id_attribute: "entryUUID".to_owned(),
            name_attribute: "uid".to_owned(),
            display_name_attribute: "cn".to_owned(),
            email_attribute: "mail".to_owned(),
            existing_account: Existing::Apart,
            sign_up: true,
            lock_removed: true,
            connections: 8,
        }
    }
}

impl Ldap {
    /// What is wrong, with its key.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let url = Url::parse(self.url.as_ref()?);
        let is_loopback = |url: &Url| match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name == "127.0.0.1" || name == "[::1]",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let url = match url {
            Ok(url) if matches!(url.scheme(), "ldap" | "ldaps") && url.host().is_some() => url,
            _ => return Some(("ldap.url", "is no URL such as ldaps://ldap.example.org")),
        };
        if url.scheme() == "ldap" && !self.start_tls && !is_loopback(&url) {
            return Some(("ldap.url", "must be ldaps://, or ldap.start_tls be true: passwords go there"));
        }
        if self.base_dn.is_empty() {
            return Some(("ldap.base_dn", "must say under what people are"));
        }
        if !self.filter.contains(USER) || ldap3::parse_filter(self.filter_of("x")).is_err() {
            return Some(("ldap.filter", "is no filter with {user} in it, such as (uid={user})"));
        }
        if self.bind_dn.is_some() != (self.bind_password.is_some() || self.bind_password_file.is_some()) {
            return Some((
                "ldap.bind_dn",
                "needs ldap.bind_password or ldap.bind_password_file, and they need it",
            ));
        }
        if !(1..=256).contains(&self.connections) {
            return Some(("ldap.connections", "is a number from 1 to 256"));
        }
        None
    }

    /// The filter that finds who is known by this id, if they are somebody by the other filter, whatever they type.
    pub(crate) fn filter_of_id(&self, id: &str) -> String {
        let (name, id) = (&self.id_attribute, ldap_escape(id));
        let anybody = self.filter.replace(USER, "*");
        let anybody = if anybody.starts_with('(') { anybody } else { format!("({anybody})") };
        let both = format!("(&({name}={id}){anybody})");
        // Where nothing may stand for anything, that they are there is enough.
        if ldap3::parse_filter(&both).is_ok() { both } else { format!("({name}={id})") }
    }

    /// The filter that finds who typed this. Whatever it is, it stands for itself (RFC 4515, section 3).
    pub(crate) fn filter_of(&self, user: &str) -> String {
        self.filter.replace(USER, &ldap_escape(user))
    }
}

#[cfg(test)]
mod tests {
    use super::Ldap;

    #[test]
    fn what_somebody_types_is_never_a_part_of_the_filter() {
        let ldap = Ldap { filter: "(|(uid={user})(mail={user}))".to_owned(), ..Ldap::default() };
        assert_eq!(ldap.filter_of("a*"), r"(|(uid=a\2a)(mail=a\2a))");
        assert_eq!(ldap.filter_of(r")(uid=\"), r"(|(uid=\29\28uid=\5c)(mail=\29\28uid=\5c))");
        for typed in ["x)(objectClass=*", "*", "\0", r"\", "{user}", "\u{e9}"] {
            assert!(ldap3::parse_filter(ldap.filter_of(typed)).is_ok(), "{typed}");
        }
    }

    #[test]
    fn who_is_looked_for_by_their_id_is_found_whatever_they_type() {
        let of = |filter: &str| Ldap { filter: filter.to_owned(), ..Ldap::default() }.filter_of_id("a)(*");
        assert_eq!(
            of("(&(objectClass=person)(|(uid={user})(mail={user}@x)))"),
            r"(&(entryUUID=a\29\28\2a)(&(objectClass=person)(|(uid=*)(mail=*@x))))"
        );
        assert_eq!(of("uid={user}"), r"(&(entryUUID=a\29\28\2a)(uid=*))");
        assert_eq!(of("(uid=*{user}*)"), r"(entryUUID=a\29\28\2a)", "what can't be a filter is left out");
        for filter in ["(uid={user})", "(uid=*{user}*)", "(&(a=b)(c>={user}))", "(cn:=x{user})"] {
            assert!(ldap3::parse_filter(of(filter)).is_ok(), "{filter}");
        }
    }

    #[test]
    fn passwords_don_t_leave_this_machine_in_the_clear() {
        let at = |url: &str, start_tls| Ldap {
            url: Some(url.to_owned()),
            start_tls,
            base_dn: "dc=example".to_owned(),
            ..Ldap::default()
        };
        for (url, start_tls) in [
            ("ldaps://ldap.example.org", false),
            ("ldap://ldap.example.org", true),
            ("ldap://127.0.0.1:389", false),
        ] {
            assert_eq!(at(url, start_tls).problem(), None, "{url}");
        }
        for url in ["ldap://ldap.example.org", "ldap://10.0.0.1", "http://127.0.0.1", "ldap:", "x"] {
            assert_eq!(at(url, false).problem().map(|(key, _)| key), Some("ldap.url"), "{url}");
        }
    }
}
