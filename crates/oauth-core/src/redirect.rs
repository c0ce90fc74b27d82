//! Where the answer to an authorization request may go (client-server API, "Redirect URI validation"; RFC 8252).
//!
//! A [`RedirectUri`] was checked when its client registered it; a [`Target`] was matched against one when the client
//! asked, and is the only thing that an answer is sent to.

use url::{Host, Url, form_urlencoded};

use crate::error::{ErrorCode, Refusal};

/// The longest URI that is registered, in bytes.
pub(crate) const MAX_URI: usize = 2048;

/// What kind of application a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplicationType {
    /// It runs in a browser.
    Web,
    /// It is installed on a device.
    Native,
}

impl ApplicationType {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Native => "native",
        }
    }
}

/// The page that a client is at home on: the common base of its other addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientUri(Url);

impl ClientUri {
    /// Reads a client's address: `https`, without a user or password.
    ///
    /// Beside what the specification wants, `http` on the loopback interface is taken: a web client that its developer
    /// runs on their own machine.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = plain(text)?;
        let is_safe = url.scheme() == "https" || is_loopback_http(&url);
        (is_safe && !has_userinfo(&url) && url.host().is_some()).then_some(Self(url))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host, as a person reads it on a page.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Whether another address is on this host or on one below it, and reached as safely.
    pub(crate) fn covers(&self, other: &Url) -> bool {
        if other.scheme() != self.0.scheme() || has_userinfo(other) {
            return false;
        }
        match (self.0.host(), other.host()) {
            (Some(Host::Domain(own)), Some(Host::Domain(other))) => {
                other == own || other.strip_suffix(own).is_some_and(|below| below.ends_with('.'))
            }
            (Some(own), Some(other)) => own == other,
            _ => false,
        }
    }

    /// The host's labels backwards, as schemes of native clients begin; none for a host of one label, or an address.
    fn reversed(&self) -> Option<String> {
        let Some(Host::Domain(domain)) = self.0.host() else { return None };
        let mut labels: Vec<&str> = domain.trim_end_matches('.').split('.').collect();
        labels.reverse();
        (labels.len() > 1).then(|| labels.join("."))
    }
}

/// A registered redirect URI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RedirectUri(String);

impl RedirectUri {
    /// Reads a redirect URI that a client of this kind and home registers.
    ///
    /// # Errors
    /// `invalid_redirect_uri`, with the rule that it breaks.
    pub fn parse(text: &str, kind: ApplicationType, home: &ClientUri) -> Result<Self, Refusal> {
        let url = plain(text).ok_or_else(|| invalid("A redirect URI is no URI, or too long."))?;
        if text.contains('#') {
            return Err(invalid("A redirect URI must not have a fragment."));
        }
        if !names_host(text, &url) {
            return Err(invalid("A redirect URI must write its host after two slashes."));
        }
        let problem = match (url.scheme(), kind) {
            ("https", _) => of_web(&url, home),
            ("http", ApplicationType::Web) if is_loopback_http(&url) && is_loopback_http(&home.0) => {
                of_web(&url, home)
            }
            ("http", ApplicationType::Native) => of_loopback(&url),
            (_, ApplicationType::Native) => of_private_scheme(text, &url, home),
            (_, ApplicationType::Web) => Some("The redirect URI of a web client must use https."),
        };
        problem.map_or_else(|| Ok(Self(text.to_owned())), |problem| Err(invalid(problem)))
    }

    /// The URI, as it was registered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a client asks for, if this covers it: the same text, or on the loopback interface the same with a port,
    /// which a native client learns only when it listens (RFC 8252, section 7.3).
    #[must_use]
    pub fn target(&self, asked: &str) -> Option<Target> {
        if asked != self.0 && !self.covers_loopback(asked) {
            return None;
        }
        Some(Target { url: plain(asked)?, text: asked.to_owned() })
    }

    fn covers_loopback(&self, asked: &str) -> bool {
        let (Some(own), Some(other)) = (plain(&self.0), plain(asked)) else { return false };
        is_loopback_http(&own)
            && own.port().is_none()
            && is_loopback_http(&other)
            && !has_userinfo(&other)
            && !asked.contains('#')
            && (own.host(), own.path(), own.query()) == (other.host(), other.path(), other.query())
    }
}

fn of_web(url: &Url, home: &ClientUri) -> Option<&'static str> {
    let covered = home.covers(url);
    (!covered)
        .then_some("A redirect URI must be on the host of client_uri or below it, without user or password.")
}

fn of_loopback(url: &Url) -> Option<&'static str> {
    if !is_loopback_http(url) || has_userinfo(url) {
        Some("A redirect URI with http must lead to localhost, 127.0.0.1 or [::1].")
    } else if url.port().is_some() {
        Some("A redirect URI to the loopback interface is registered without a port; any is taken later.")
    } else {
        None
    }
}

fn of_private_scheme(text: &str, url: &Url, home: &ClientUri) -> Option<&'static str> {
    let below = |reversed: String| {
        url.scheme().strip_prefix(&reversed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if !home.reversed().is_some_and(below) {
        return Some("The scheme of a redirect URI must begin with the host of client_uri backwards.");
    }
    let rest = text.split_once(':').map_or("", |(_, rest)| rest);
    rest.starts_with("//").then_some("A redirect URI with a scheme of its own must not have a host.")
}

/// Where an answer goes. It was matched against a registered URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    text: String,
    url: Url,
}

/// In what part of the redirect URI the answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query.
    Query,
    /// In the fragment, which no web server sees.
    Fragment,
}

impl Target {
    /// The URI, as the client asked for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URI with the answer in it.
    #[must_use]
    pub fn with_answer(&self, mode: ResponseMode, answer: &[(&str, &str)]) -> String {
        let separator = match mode {
            ResponseMode::Fragment => '#',
            ResponseMode::Query if self.text.contains('?') => '&',
            ResponseMode::Query => '?',
        };
        let mut params = form_urlencoded::Serializer::new(String::new());
        params.extend_pairs(answer);
        format!("{}{separator}{}", self.text, params.finish())
    }

    /// How a Content-Security-Policy names the place, for a form whose answer leads there.
    #[must_use]
    pub fn csp_source(&self) -> String {
        match (self.url.scheme(), self.url.host()) {
            // The grammar of CSP has no IPv6 addresses.
            ("http" | "https", Some(Host::Ipv6(_))) => format!("{}:", self.url.scheme()),
            ("http" | "https", _) => self.url.origin().ascii_serialization(),
            (scheme, _) => format!("{scheme}:"),
        }
    }

    /// Whether an application on the device takes it rather than a web page.
    #[must_use]
    pub fn is_app(&self) -> bool {
        self.url.scheme() != "https"
    }
}

/// A URI of printable ASCII without what HTTP, HTML or a browser reads as something else.
pub(crate) fn plain(text: &str) -> Option<Url> {
    let legal = |b: u8| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b);
    let fits = text.len() <= MAX_URI && text.bytes().all(legal);
    if fits { Url::parse(text).ok().filter(has_plain_host) } else { None }
}

/// Whether the host, if there is one, has only what hosts of the DNS have. URLs may have more in them, such as `;` and `'`,
/// which say other things in a policy.
pub(crate) fn has_plain_host(url: &Url) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
    url.host_str().is_none_or(|host| host.bytes().all(plain))
}

/// Whether the host of a web address stands where everybody reads it: `https:host` and `https:///host` are absolute to one
/// parser, and relative to another.
fn names_host(text: &str, url: &Url) -> bool {
    if !matches!(url.scheme(), "http" | "https") {
        return true;
    }
    let rest = text.get(url.scheme().len()..).and_then(|rest| rest.strip_prefix("://"));
    rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '['))
}

pub(crate) fn has_userinfo(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

pub(crate) fn is_loopback_http(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Domain(domain)) => domain == "localhost",
            Some(Host::Ipv4(address)) => address == std::net::Ipv4Addr::LOCALHOST,
            Some(Host::Ipv6(address)) => address == std::net::Ipv6Addr::LOCALHOST,
            None => false,
        }
}

fn invalid(description: &'static str) -> Refusal {
    Refusal::new(ErrorCode::InvalidRedirectUri, description)
}

#[cfg(test)]
mod tests;
