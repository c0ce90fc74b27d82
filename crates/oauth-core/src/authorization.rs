//! What a client asks for in the user's browser (RFC 6749, section 4.1.1; client-server API, "Authorisation request").
//!
//! An answer, good or bad, may be sent to the client only when its redirect URI is known to be its own. Whatever is
//! wrong before that is shown to the person on a page ([`Problem::Page`]).

use crate::client::{ClientMetadata, GrantType};
use crate::error::{ErrorCode, Refusal};
use crate::identity::{IdentityScope, MAX_NONCE};
use crate::params::Params;
use crate::pkce::Challenge;
use crate::redirect::{ResponseMode, Target};
use crate::scope::Scope;

/// The longest `state`, in bytes.
const MAX_STATE: usize = 2048;
/// The longest hint, in bytes.
const MAX_HINT: usize = 255 + "mxid:".len();
/// How many languages a client may name.
const MAX_LOCALES: usize = 8;

/// How the person is to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prompt {
    /// As the server sees fit.
    #[default]
    Any,
    /// Not at all.
    None,
    /// To sign in, though they may be.
    SignIn,
    /// To make an account.
    Create,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A session.
    Session(Scope),
    /// Who somebody is.
    Identity(IdentityScope),
}

impl Wanted {
    fn parse(text: &str) -> Result<Self, Refusal> {
        match IdentityScope::parse(text) {
            Some(scope) => Ok(Self::Identity(scope)),
            None => Scope::parse(text).map(Self::Session),
        }
    }

    /// The scope that is granted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Session(scope) => scope.as_str(),
            Self::Identity(scope) => scope.as_str(),
        }
    }

    /// The device of the session, where one is asked for.
    #[must_use]
    pub fn device_id(&self) -> Option<&str> {
        match self {
            Self::Session(scope) => Some(scope.device_id()),
            Self::Identity(_) => None,
        }
    }
}

/// An authorization request whose client and redirect URI are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The client.
    pub client_id: String,
    /// Where its answer goes.
    pub answer: Answer,
    /// What it asks for.
    pub wanted: Wanted,
    /// What is to stand in the ID token, so that the client knows it for the answer.
    pub nonce: Option<String>,
    /// What who redeems the code must meet.
    pub challenge: Challenge,
    /// How the person is to be asked.
    pub prompt: Prompt,
    /// How long ago they may have shown who they are, in seconds; after that they are asked again.
    pub max_age: Option<u32>,
    /// Whom the client takes the person for, as they may be named in a form.
    pub login_hint: Option<String>,
    /// The languages that the client speaks, the best first.
    pub ui_locales: Vec<String>,
}

/// Where, and in which form, an answer goes to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    target: Target,
    mode: ResponseMode,
    state: Option<String>,
}

/// Why a request goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// To be shown to the person: nobody knows whom else to tell.
    Page(Refusal),
    /// To be told to the client.
    Redirect(Box<Answer>, Refusal),
}

impl Answer {
    /// The place.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Where the browser goes with a code. `issuer` lets the client tell servers apart (RFC 9207).
    #[must_use]
    pub fn with_code(&self, code: &str, issuer: &str) -> String {
        self.with(&[("code", code), ("iss", issuer)])
    }

    /// Where the browser goes with an error.
    #[must_use]
    pub fn with_refusal(&self, refusal: &Refusal, issuer: &str) -> String {
        let (code, description) = (refusal.code.as_str(), refusal.description.as_ref());
        self.with(&[("error", code), ("error_description", description), ("iss", issuer)])
    }

    fn with(&self, params: &[(&str, &str)]) -> String {
        let state = self.state.iter().map(|state| ("state", state.as_str()));
        self.target.with_answer(self.mode, &state.chain(params.iter().copied()).collect::<Vec<_>>())
    }
}

/// Whose request it is, by its `client_id`.
///
/// # Errors
/// To be shown on a page.
pub fn client_id(params: &Params) -> Result<&str, Refusal> {
    params.require("client_id")
}

impl Request {
    /// Reads the request of this client.
    ///
    /// # Errors
    /// Why it goes no further.
    pub fn parse(params: &Params, client: &ClientMetadata) -> Result<Self, Problem> {
        let client_id = client_id(params).map_err(Problem::Page)?.to_owned();
        let redirect_uri = params.require("redirect_uri").map_err(Problem::Page)?;
        let unregistered = "The redirect_uri is not one that the client has registered.";
        let target = client
            .target(redirect_uri)
            .ok_or_else(|| Problem::Page(Refusal::new(ErrorCode::InvalidRequest, unregistered)))?;
        // From here on the client is told. What can't be read of how to tell it is left out of that.
        let mut answer = Answer { target, mode: ResponseMode::Query, state: None };
        let parsed = read(params, client, &mut answer);
        match parsed {
            Ok(asked) => Ok(Self {
                client_id,
                answer,
                wanted: asked.wanted,
                nonce: asked.nonce,
                challenge: asked.challenge,
                prompt: asked.prompt,
                max_age: asked.max_age,
                login_hint: hint(params),
                ui_locales: locales(params),
            }),
            Err(refusal) => Err(Problem::Redirect(Box::new(answer), refusal)),
        }
    }
}

struct Asked {
    wanted: Wanted,
    nonce: Option<String>,
    challenge: Challenge,
    prompt: Prompt,
    max_age: Option<u32>,
}

fn read(params: &Params, client: &ClientMetadata, answer: &mut Answer) -> Result<Asked, Refusal> {
    let mode = response_mode(params);
    answer.mode = mode.as_ref().copied().unwrap_or(ResponseMode::Query);
    answer.state = state(params)?;
    mode?;
    if params.get("request")?.is_some() {
        return Err(Refusal::new(ErrorCode::RequestNotSupported, "Request objects are not supported."));
    }
    if params.get("request_uri")?.is_some() {
        return Err(Refusal::new(ErrorCode::RequestUriNotSupported, "Request objects are not supported."));
    }
    if params.require("response_type")? != "code" {
        return Err(Refusal::new(ErrorCode::UnsupportedResponseType, "The only response_type is code."));
    }
    if !client.may(GrantType::AuthorizationCode) {
        return Err(Refusal::new(
            ErrorCode::UnauthorizedClient,
            "The client has not registered for authorization codes.",
        ));
    }
    let challenge = challenge(params)?;
    let wanted = Wanted::parse(params.get("scope")?.unwrap_or_default())?;
    Ok(Asked { wanted, nonce: nonce(params)?, challenge, prompt: prompt(params)?, max_age: max_age(params)? })
}

/// The default for a code is the query (OAuth 2.0 Multiple Response Type Encoding Practices, section 2.1).
fn response_mode(params: &Params) -> Result<ResponseMode, Refusal> {
    match params.get("response_mode")? {
        None | Some("query") => Ok(ResponseMode::Query),
        Some("fragment") => Ok(ResponseMode::Fragment),
        Some(_) => Err(Refusal::new(ErrorCode::InvalidRequest, "response_mode is query or fragment.")),
    }
}

fn state(params: &Params) -> Result<Option<String>, Refusal> {
    let state = params.get("state")?;
    if state.is_some_and(|state| state.len() > MAX_STATE) {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "The state is too long."));
    }
    Ok(state.map(str::to_owned))
}

fn nonce(params: &Params) -> Result<Option<String>, Refusal> {
    let nonce = params.get("nonce")?;
    if nonce.is_some_and(|nonce| nonce.len() > MAX_NONCE) {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "The nonce is too long."));
    }
    Ok(nonce.map(str::to_owned))
}

fn challenge(params: &Params) -> Result<Challenge, Refusal> {
    let text = params.require("code_challenge")?;
    // Left out it would mean `plain`, which proves nothing.
    if params.get("code_challenge_method")? != Some("S256") {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "code_challenge_method must be S256."));
    }
    Challenge::parse(text).ok_or_else(|| {
        Refusal::new(ErrorCode::InvalidRequest, "The code_challenge is no SHA-256 in base64url.")
    })
}

fn prompt(params: &Params) -> Result<Prompt, Refusal> {
    let named: Vec<&str> = params.get("prompt")?.unwrap_or_default().split(' ').collect();
    let has = |name: &str| named.contains(&name);
    if has("none") {
        let alone = named.len() == 1;
        let mixed = Refusal::new(ErrorCode::InvalidRequest, "The prompt none goes with no other.");
        return if alone { Ok(Prompt::None) } else { Err(mixed) };
    }
    Ok(if has("create") {
        Prompt::Create
    } else if has("login") {
        Prompt::SignIn
    } else {
        Prompt::Any
    })
}

/// OpenID Connect Core 1.0, section 3.1.2.1.
fn max_age(params: &Params) -> Result<Option<u32>, Refusal> {
    let Some(text) = params.get("max_age")?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = || Refusal::new(ErrorCode::InvalidRequest, "max_age is a number of seconds.");
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    // More seconds than fit are more than anybody is signed in.
    Ok(Some(text.parse().unwrap_or(u32::MAX)))
}

/// A user id behind `mxid:` (MSC4198), or the text itself. One that makes no sense is none.
fn hint(params: &Params) -> Option<String> {
    let text = params.get("login_hint").ok().flatten()?;
    let fits = text.len() <= MAX_HINT && !text.chars().any(char::is_control);
    fits.then(|| text.strip_prefix("mxid:").unwrap_or(text).to_owned())
}

fn locales(params: &Params) -> Vec<String> {
    let named = params.get("ui_locales").ok().flatten().unwrap_or_default();
    named.split(' ').filter(|tag| !tag.is_empty()).take(MAX_LOCALES).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
