//! User-interactive authentication on the wire: the `auth` of a request, and the 401 that asks for it
//! (<https://spec.matrix.org/v1.19/client-server-api/#user-interactive-api-in-the-rest-api>).

use myelin_auth::{
    Attempt, Auth, AuthConfig, Challenge, Credential, Identifier as Named, Operation, Passed, Refusal, Stage,
    Terms, UiaError,
};
use myelin_runtime::Secret;
use ruma::DeviceId;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::form_urlencoded::byte_serialize;

use crate::Error;
use crate::client::account::third_party::Credentials;

/// The flow of what a user must prove to be theirs.
pub(crate) const BY_PASSWORD: &[&[Stage]] = &[&[Stage::Password]];

/// The flows of what somebody must approve on the account page, by the name of the specification and the one of before.
pub(crate) const BY_APPROVAL: &[&[Stage]] = &[&[Stage::Oauth], &[Stage::OauthUnstable]];

/// Who is meant (client-server API, "Identifier types").
#[derive(Deserialize)]
pub(crate) struct Identifier {
    /// Old clients, and an example of the spec, leave it out where they name an address.
    #[serde(rename = "type")]
    kind: Option<String>,
    user: Option<String>,
    medium: Option<String>,
    address: Option<String>,
}

impl Identifier {
    /// The form before `identifier` of a login by an address.
    pub(crate) fn of_address(medium: Option<String>, address: Option<String>) -> Option<Self> {
        address.is_some().then_some(Self { kind: None, user: None, medium, address })
    }
}

/// The `auth` of a request.
#[derive(Deserialize)]
pub(crate) struct AuthDict {
    #[serde(rename = "type")]
    kind: Option<String>,
    session: Option<String>,
    identifier: Option<Identifier>,
    /// The form before `identifier`, which many bots still send.
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
    threepid_creds: Option<Credentials>,
}

/// Whom an identifier, or the older form of it, names.
pub(crate) fn named(identifier: Option<Identifier>, user: Option<String>) -> Result<Named, Error> {
    let Some(Identifier { kind, user: inner, medium, address }) = identifier else {
        return user.map(Named::User).ok_or_else(missing_user);
    };
    match kind.as_deref() {
        Some("m.id.user") => inner.map(Named::User).ok_or_else(missing_user),
        Some("m.id.thirdparty") | None => match (medium.as_deref(), address) {
            (Some("email"), Some(address)) => Ok(Named::Email(address)),
            (Some(_), Some(_)) => Err(Error::forbidden("No account here has this address or number.")),
            _ => Err(Error::missing_param("The identifier lacks its `medium` or its `address`.")),
        },
        Some("m.id.phone") => Err(Error::forbidden("No account here has this address or number.")),
        Some(_) => Err(Error::invalid_param("This server knows no identifier of this type.")),
    }
}

fn missing_user() -> Error {
    Error::missing_param("The user is missing: an `identifier` of type `m.id.user` is needed.")
}

impl AuthDict {
    fn into_attempt(self) -> Result<Attempt, Error> {
        let missing = |what: &str| Error::missing_param(format!("`auth` lacks the {what}."));
        let credential = match self.kind.as_deref() {
            None | Some("m.oauth" | "org.matrix.cross_signing_reset" | "m.login.sso") => {
                Credential::Acknowledge
            }
            Some("m.login.password") => Credential::Password {
                user: named(self.identifier, self.user)?,
                password: Secret::new(self.password.ok_or_else(|| missing("password"))?),
            },
            Some("m.login.dummy") => Credential::Dummy,
            Some("m.login.terms") => Credential::Terms,
            Some("m.login.email.identity") => {
                Credential::Email(self.threepid_creds.ok_or_else(|| missing("threepid_creds"))?.into())
            }
            Some("m.login.registration_token") => {
                Credential::RegistrationToken(self.token.ok_or_else(|| missing("token"))?)
            }
            Some(_) => Credential::Other,
        };
        Ok(Attempt { session: self.session, credential })
    }
}

/// Lets the operation go ahead, or answers with the 401 that says what the client must do. Whoever calls it gives
/// [`Passed`] back to [`Auth::finish`] when the operation is done.
pub(crate) async fn require(
    auth: &Auth,
    operation: &Operation<'_>,
    dict: Option<AuthDict>,
) -> Result<Passed, Error> {
    let attempt = dict.map(AuthDict::into_attempt).transpose()?;
    auth.interact(operation, attempt).await.map_err(|error| refusal(error, auth.config()))
}

fn refusal(error: UiaError, config: &AuthConfig) -> Error {
    match error {
        UiaError::Challenge(challenge) => challenge_error(challenge, config),
        UiaError::OtherRequest => {
            Error::forbidden("This authentication session was begun for another request; begin a new one.")
        }
        UiaError::OtherUser => {
            Error::forbidden("Authentication failed: the user is not the one whose session this is.")
        }
        UiaError::Limited(wait) => Error::limit_exceeded(wait),
        UiaError::Busy => Error::busy(),
        UiaError::Directory => Error::directory_unreachable(),
        UiaError::Store(error) => error.into(),
    }
}

fn challenge_error(challenge: Challenge, config: &AuthConfig) -> Error {
    let names = |stages: &[Stage]| stages.iter().map(|stage| stage.as_str()).collect::<Vec<_>>();
    let flows: Vec<Value> = challenge.flows.iter().map(|flow| json!({ "stages": names(flow) })).collect();
    let mut body = Map::new();
    body.insert("flows".to_owned(), Value::Array(flows));
    body.insert("params".to_owned(), Value::Object(params(&challenge, config)));
    body.insert("session".to_owned(), Value::String(challenge.session));
    if !challenge.completed.is_empty() {
        body.insert("completed".to_owned(), json!(names(&challenge.completed)));
    }
    let refusal = challenge.refusal.map(|refusal| {
        let errcode = match refusal {
            Refusal::Password => "M_FORBIDDEN",
            Refusal::RegistrationToken => "M_UNAUTHORIZED",
            Refusal::Email => "M_THREEPID_AUTH_FAILED",
            Refusal::Stage => "M_UNRECOGNIZED",
        };
        (errcode, format!("Authentication failed: {refusal}."))
    });
    Error::challenge(body, refusal)
}

/// What the stages need: where somebody approves (client-server API, "OAuth authentication"), and what they accept
/// ("Terms of service at registration").
fn params(challenge: &Challenge, config: &AuthConfig) -> Map<String, Value> {
    let url = approval_page(config, challenge.device_id.as_deref());
    let stages = challenge.flows.iter().flatten();
    let approved = stages.filter(|stage| matches!(stage, Stage::Oauth | Stage::OauthUnstable));
    let mut params: Map<_, _> =
        approved.map(|stage| (stage.as_str().to_owned(), json!({ "url": url }))).collect();
    if challenge.flows.iter().any(|flow| flow.contains(&Stage::Terms)) {
        let policies: Map<_, _> =
            config.terms.iter().map(|terms| (terms.id.clone(), policy(terms))).collect();
        params.insert(Stage::Terms.as_str().to_owned(), json!({ "policies": policies }));
    }
    params
}

/// Where a user approves what one of their devices asks for. The page is told which, so that only that one is approved.
pub(crate) fn approval_page(config: &AuthConfig, device_id: Option<&DeviceId>) -> String {
    let mut url = format!("{}/account?action=org.matrix.cross_signing_reset", config.public_url);
    if let Some(device_id) = device_id {
        let device_id: String = byte_serialize(device_id.as_bytes()).collect();
        url.push_str(&format!("&device_id={device_id}"));
    }
    url
}

fn policy(terms: &Terms) -> Value {
    let texts = terms.texts.iter();
    let texts = texts.map(|text| (text.language.clone(), json!({ "name": text.name, "url": text.url })));
    let mut policy: Map<_, _> = texts.collect();
    policy.insert("version".to_owned(), json!(terms.version));
    Value::Object(policy)
}
