//! Whether what is posted comes from one of our pages, in the browser that was shown it.

use bytes::Bytes;
use http::{HeaderMap, header};
use myelin_oauth_core::params::Params;
use subtle::ConstantTimeEq;
use url::Url;

use crate::cookie::Cookie;
use crate::problem::Problem;
use crate::state::Pages;

/// The field that repeats the cookie.
pub(crate) const FIELD: &str = "form_token";

/// The fields of a form of ours.
pub(crate) fn posted(pages: &Pages, headers: &HeaderMap, body: &Bytes) -> Result<Params, Problem> {
    let params = Params::parse(body).map_err(|_| Problem::Form)?;
    let is_ours = shown_here(pages, headers, params.get(FIELD).ok().flatten().unwrap_or_default());
    if is_ours { Ok(params) } else { Err(Problem::Form) }
}

/// Whether a form that has this token comes from one of our pages.
pub(crate) fn shown_here(pages: &Pages, headers: &HeaderMap, token: &str) -> bool {
    let cookie = Cookie::Form.read(headers, pages.is_https()).unwrap_or_default();
    let repeats = !cookie.is_empty() && bool::from(token.as_bytes().ct_eq(cookie.as_bytes()));
    repeats && is_own(headers, &pages.auth.config().public_url)
}

/// Whether the browser says, as far as it says anything, that a page of this server posts.
fn is_own(headers: &HeaderMap, public_url: &str) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(header::ORIGIN) else { return true };
    let Ok(origin) = Url::parse(origin) else { return false };
    let is_public = Url::parse(public_url).is_ok_and(|public| public.origin() == origin.origin());
    let host = origin.host_str().map(|host| match origin.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    });
    is_public || (host.is_some() && host.as_deref() == text(header::HOST))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::is_own;

    fn own(pairs: &[(&'static str, &'static str)]) -> bool {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        is_own(&HeaderMap::from_iter(pairs), "https://matrix.example.org")
    }

    #[test]
    fn a_form_of_another_site_is_told_by_what_the_browser_says() {
        assert!(own(&[]), "an old browser says nothing; the cookie decides");
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        assert!(own(&[("origin", "https://matrix.example.org")]));
        assert!(own(&[("origin", "http://127.0.0.1:8008"), ("host", "127.0.0.1:8008")]));
        for bad in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("origin", "https://matrix.example.org")],
            &[("origin", "https://evil.org")],
            &[("origin", "null")],
            &[("origin", "https://evil.org"), ("host", "matrix.example.org")],
            &[("origin", "http://matrix.example.org")],
        ] {
            assert!(!own(bad), "{bad:?}");
        }
    }
}
