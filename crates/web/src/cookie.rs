//! The cookies: who is signed in, who is half, what a form must repeat, and that somebody has signed in here before.
//!
//! Over HTTPS all are host-locked (`__Host-`), so that no other host of the domain can set them. All are `Lax`: a person
//! who comes from a client's site is still signed in, and a form of another site brings none.

use http::{HeaderMap, HeaderValue, header};

/// Which cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// Who is signed in.
    Session,
    /// Who has shown their password, and is asked for the second step.
    Half,
    /// What a form must repeat.
    Form,
    /// That somebody has signed in here before, for when others guess their password elsewhere.
    Known,
}

impl Cookie {
    const fn name(self, https: bool) -> &'static str {
        match (self, https) {
            (Self::Session, true) => "__Host-myelin-session",
            (Self::Session, false) => "myelin-session",
            (Self::Half, true) => "__Host-myelin-half",
            (Self::Half, false) => "myelin-half",
            (Self::Form, true) => "__Host-myelin-form",
            (Self::Form, false) => "myelin-form",
            (Self::Known, true) => "__Host-myelin-known",
            (Self::Known, false) => "myelin-known",
        }
    }

    /// What the browser sent of it.
    pub(crate) fn read(self, headers: &HeaderMap, https: bool) -> Option<&str> {
        let name = self.name(https);
        let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        lines
            .flat_map(|line| line.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
    }

    /// The header that sets it for so many seconds; without a number until the browser is closed.
    pub(crate) fn set(self, value: &str, https: bool, seconds: Option<i64>) -> Option<HeaderValue> {
        let name = self.name(https);
        let secure = if https { "; Secure" } else { "" };
        let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}")).ok()
    }

    /// The header that takes it away.
    pub(crate) fn clear(self, https: bool) -> Option<HeaderValue> {
        self.set("", https, Some(0))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::Cookie;

    #[test]
    fn a_cookie_is_found_by_its_whole_name_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; xmyelin-form=2; myelin-formx=3"));
        headers.append(header::COOKIE, HeaderValue::from_static("myelin-form=4;myelin-session=5"));
        assert_eq!(Cookie::Form.read(&headers, false), Some("4"));
        assert_eq!(Cookie::Session.read(&headers, false), Some("5"));
        assert_eq!(
            Cookie::Session.read(&headers, true),
            None,
            "over HTTPS only the one that is locked to the host"
        );
    }

    #[test]
    fn a_cookie_is_kept_from_scripts_other_sites_and_other_hosts() {
        let set = Cookie::Session.set("x", true, Some(60)).unwrap();
        let set = set.to_str().unwrap();
        assert_eq!(set, "__Host-myelin-session=x; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60");
        assert!(Cookie::Form.set("a\nb", true, None).is_none());
    }
}
