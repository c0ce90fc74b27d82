//! Where somebody goes on who had to sign in first: always one of these pages.

use myelin_oauth_core::device::UserCode;
use myelin_oauth_core::legacy::LegacyRedirect;
use myelin_oauth_core::params::Params;
use url::form_urlencoded::{self, Serializer};

use crate::wish::Wish;

/// The path of approving a client.
pub(crate) const AUTHORIZE: &str = "/oauth2/authorize";
/// The path of signing in.
pub(crate) const SIGN_IN: &str = "/oauth2/sign-in";
/// The path of the second step of signing in.
pub(crate) const SECOND_STEP: &str = "/oauth2/second-step";
/// The path of who forgot their password.
pub(crate) const FORGOT: &str = "/oauth2/forgot";
/// The path of the script that asks the browser for a passkey.
pub(crate) const PASSKEY_SCRIPT: &str = "/oauth2/passkey.js";
/// The path under which the operator's logo is.
pub(crate) const LOGO: &str = "/oauth2/logo";
/// The path of making an account.
pub(crate) const SIGN_UP: &str = "/oauth2/sign-up";
/// The path of accepting the terms.
pub(crate) const TERMS: &str = "/oauth2/terms";
/// The path of signing out.
pub(crate) const SIGN_OUT: &str = "/oauth2/sign-out";
/// The path of who came for nothing in particular.
pub(crate) const DONE: &str = "/oauth2/done";
/// The path of letting a client of the legacy API in.
pub(crate) const SSO: &str = "/oauth2/sso";
/// The path under which providers have theirs.
pub(crate) const UPSTREAM: &str = "/oauth2/upstream";
/// The path of typing a device's code: short, because people type it.
pub(crate) const LINK: &str = "/link";

/// The path of the account's pages: what `account_management_uri` names.
pub(crate) const ACCOUNT: &str = "/account";
/// The path of the account's picture.
pub(crate) const PICTURE: &str = "/account/picture";

/// What of an authorization request is not asked again after it was heeded.
const HEEDED: [&str; 3] = ["prompt", "login_hint", "max_age"];

/// Where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nowhere in particular.
    #[default]
    Nowhere,
    /// To approve a client, with its request.
    Authorize(String),
    /// To connect a device, with the code if it is known.
    Link(Option<UserCode>),
    /// To the account's pages.
    Account(Wish),
    /// To let a client of the legacy API in, that is at this place.
    Sso(LegacyRedirect),
}

impl Next {
    /// What the `next` of a query says. Whatever is none of these pages is nowhere.
    pub(crate) fn of_query(params: &Params) -> Self {
        params.get("next").ok().flatten().map(Self::of_path).unwrap_or_default()
    }

    /// The page of this path.
    pub(crate) fn of_path(path: &str) -> Self {
        if let Some(query) = path.strip_prefix(AUTHORIZE).and_then(|rest| rest.strip_prefix('?')) {
            return Self::request(query, &[]);
        }
        if let Some(query) = path.strip_prefix(SSO).and_then(|rest| rest.strip_prefix('?')) {
            let params = Params::parse(query.as_bytes()).unwrap_or_default();
            return place(&params).map(Self::Sso).unwrap_or_default();
        }
        if let Some(rest) = path.strip_prefix(ACCOUNT) {
            let query = rest.strip_prefix('?').unwrap_or(rest);
            let is_page = rest.is_empty() || rest.starts_with('?');
            let params = Params::parse(query.as_bytes()).ok().filter(|_| is_page);
            return params.map(|params| Self::Account(Wish::of(&params))).unwrap_or_default();
        }
        match path.strip_prefix(LINK) {
            Some("") => Self::Link(None),
            Some(rest) => {
                let query = rest.strip_prefix('?').and_then(|query| Params::parse(query.as_bytes()).ok());
                query.map(|params| Self::Link(user_code(&params))).unwrap_or_default()
            }
            None => Self::Nowhere,
        }
    }

    /// To this authorization request, once more, when its prompt and its hint have been heeded.
    pub(crate) fn heeded(query: &str) -> Self {
        Self::request(query, &HEEDED)
    }

    /// Written anew, so that nothing is in it but parameters.
    fn request(query: &str, without: &[&str]) -> Self {
        let mut kept = Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !without.contains(&&*name) {
                kept.append_pair(&name, &value);
            }
        }
        Self::Authorize(kept.finish())
    }

    /// The path and query.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Nowhere => DONE.to_owned(),
            Self::Authorize(query) => format!("{AUTHORIZE}?{query}"),
            Self::Link(None) => LINK.to_owned(),
            Self::Link(Some(code)) => format!("{LINK}?user_code={}", code.shown()),
            Self::Account(wish) => wish.path(),
            Self::Sso(place) => {
                let mut query = Serializer::new(String::new());
                query.append_pair("redirect_url", place.as_str());
                format!("{SSO}?{}", query.finish())
            }
        }
    }

    /// The path of a page that leads here afterwards.
    pub(crate) fn through(&self, page: &str, hint: Option<&str>) -> String {
        let mut query = Serializer::new(String::new());
        if *self != Self::Nowhere {
            query.append_pair("next", &self.path());
        }
        if let Some(hint) = hint {
            query.append_pair("hint", hint);
        }
        let query = query.finish();
        if query.is_empty() { page.to_owned() } else { format!("{page}?{query}") }
    }

    /// The parameters of the authorization request.
    pub(crate) fn params(&self) -> Option<Params> {
        match self {
            Self::Authorize(query) => Params::parse(query.as_bytes()).ok(),
            _ => None,
        }
    }
}

/// The place of a client of the legacy API.
pub(crate) fn place(params: &Params) -> Option<LegacyRedirect> {
    params.get("redirect_url").ok().flatten().and_then(LegacyRedirect::parse)
}

/// The code in a query or a form, if it can be one.
pub(crate) fn user_code(params: &Params) -> Option<UserCode> {
    params.get("user_code").ok().flatten().and_then(UserCode::parse)
}

#[cfg(test)]
mod tests {
    use myelin_oauth_core::params::Params;

    use super::{DONE, Next};

    fn next(path: &str) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", path).finish();
        Next::of_query(&Params::parse(query.as_bytes()).unwrap()).path()
    }

    #[test]
    fn nobody_is_sent_anywhere_but_to_these_pages() {
        for elsewhere in [
            "",
            "https://evil.org/",
            "//evil.org/oauth2/authorize?x",
            "/\\evil.org",
            "/oauth2/authorize",
            "/oauth2/authorizer?x",
            "/oauth2/../evil?x",
            "/links",
            "/link/../x",
            "javascript:alert(1)",
            " /link",
        ] {
            assert_eq!(next(elsewhere), DONE, "{elsewhere}");
        }
        assert_eq!(next("/oauth2/sso?redirect_url=javascript:alert(1)"), DONE);
        assert_eq!(
            next("/oauth2/sso?redirect_url=https://evil.org/"),
            "/oauth2/sso?redirect_url=https%3A%2F%2Fevil.org%2F",
            "the page, which asks"
        );
        assert_eq!(next("/account/../x"), DONE);
        assert_eq!(next("/account?action=nonsense&x=y"), "/account");
        assert_eq!(
            next("/account?action=org.matrix.session_end&device_id=A%0dB"),
            "/account?action=org.matrix.device_delete&device_id=A%0DB"
        );
        assert_eq!(next("/link"), "/link");
        assert_eq!(next("/link?user_code=wdjb%20mjht&x=y"), "/link?user_code=WDJB-MJHT");
        assert_eq!(next("/link?user_code=<>"), "/link");
        assert_eq!(next("/oauth2/authorize?state=a%0d%0ab#x"), "/oauth2/authorize?state=a%0D%0Ab%23x");
    }

    #[test]
    fn a_prompt_that_was_heeded_is_not_asked_again() {
        let next = Next::heeded("client_id=a&prompt=create&login_hint=b&state=c+d");
        assert_eq!(next.path(), "/oauth2/authorize?client_id=a&state=c+d");
        assert_eq!(
            next.through("/oauth2/sign-up", Some("b&")),
            "/oauth2/sign-up?next=%2Foauth2%2Fauthorize%3Fclient_id%3Da%26state%3Dc%2Bd&hint=b%26"
        );
        assert_eq!(Next::Nowhere.through("/oauth2/sign-in", None), "/oauth2/sign-in");
    }
}
