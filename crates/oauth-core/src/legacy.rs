//! Where a client of the legacy API wants its login token (client-server API, "Client login via SSO").
//!
//! Nothing about such a client is registered: the person is shown where they would be sent, and decides.

use url::{Host, Url};

use crate::redirect::{MAX_URI, has_plain_host, has_userinfo};

/// Schemes that a browser runs or shows instead of handing them to an application, and those by which an application hands a
/// page to a browser: what is shown of such a place would not say where it leads.
const RUN: &[&str] = &[
    "about",
    "android-app",
    "blob",
    "data",
    "file",
    "filesystem",
    "firefox",
    "ftp",
    "googlechrome",
    "googlechromes",
    "intent",
    "javascript",
    "vbscript",
    "view-source",
    "ws",
    "wss",
    "x-safari-http",
    "x-safari-https",
];

/// A place that may be shown and, when the person decides so, be sent a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyRedirect(Url);

impl LegacyRedirect {
    /// Reads the `redirectUrl` of a client.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_URI {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let is_run = RUN.contains(&url.scheme()) || url.cannot_be_a_base();
        // As it is written in the pages' own queries, it is longer.
        let fits = url.as_str().len() <= MAX_URI && has_plain_host(&url) && !has_userinfo(&url);
        (fits && !is_run).then_some(Self(url))
    }

    /// The place, as it is written in a query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// What a person is shown of it: the host of a web page, else the application's scheme.
    #[must_use]
    pub fn shown(&self) -> String {
        match (self.0.scheme(), self.0.host_str()) {
            ("http" | "https", Some(_)) => self.0.origin().ascii_serialization(),
            (scheme, _) => format!("{scheme}:"),
        }
    }

    /// How a Content-Security-Policy names it.
    #[must_use]
    pub fn csp_source(&self) -> String {
        match (self.0.scheme(), self.0.host()) {
            ("http" | "https", Some(Host::Ipv6(_))) => format!("{}:", self.0.scheme()),
            _ => self.shown(),
        }
    }

    /// The place with the token in its query.
    #[must_use]
    pub fn with_token(&self, token: &str) -> String {
        let mut url = self.0.clone();
        url.query_pairs_mut().append_pair("loginToken", token);
        url.into()
    }
}

#[cfg(test)]
mod tests {
    use super::LegacyRedirect;

    #[test]
    fn a_token_goes_into_the_query_whatever_else_is_there() {
        let with = |text: &str| LegacyRedirect::parse(text).unwrap().with_token("t k");
        assert_eq!(with("https://app.example.org"), "https://app.example.org/?loginToken=t+k");
        assert_eq!(
            with("https://app.example.org/?a=b#/home"),
            "https://app.example.org/?a=b&loginToken=t+k#/home"
        );
        assert_eq!(with("element://vector/webapp/"), "element://vector/webapp/?loginToken=t+k");
        assert_eq!(with("http://localhost:1234/x"), "http://localhost:1234/x?loginToken=t+k");
    }

    #[test]
    fn what_a_browser_would_run_is_no_place() {
        for text in [
            "",
            "/relative",
            "//example.org",
            "javascript:alert(1)",
            "JavaScript://example.org/%0aalert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "blob:https://example.org/x",
            "https://user@example.org/",
            "mailto:a@example.org",
            "intent://example.org/x#Intent;scheme=https;end",
            "googlechromes://example.org/x",
            "https://a;script-src'unsafe-inline'.example.org/",
            &format!("https://example.org/{}", "x".repeat(2048)),
            &format!("https://example.org/{}", "\u{e9}".repeat(1000)),
        ] {
            assert!(LegacyRedirect::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_person_is_shown_where_they_would_be_sent() {
        let shown = |text: &str| LegacyRedirect::parse(text).unwrap().shown();
        assert_eq!(shown("https://app.example.org:8443/path?x"), "https://app.example.org:8443");
        assert_eq!(shown("element://vector/webapp/"), "element:");
        assert_eq!(shown("https://xn--e1awd7f.example/"), "https://xn--e1awd7f.example");
        let source = |text: &str| LegacyRedirect::parse(text).unwrap().csp_source();
        assert_eq!(source("http://[::1]:80/"), "http:");
        assert_eq!(source("element://vector/webapp/"), "element:");
    }
}
