//! What a client registers (RFC 7591 as the client-server API restricts it, "Client registration"; MSC2966).
//!
//! What is registered has one canonical form, and the client's id is its digest: whoever registers the same gets the
//! same id, so that the many installations of one application are one client.

mod localized;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::error::{ErrorCode, Refusal};
use crate::identity::IdTokenAlgorithm;
use crate::redirect::{ApplicationType, ClientUri, RedirectUri, Target};
use crate::{AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN};

pub use self::localized::Localized;
use self::localized::Reader;

/// The most bytes of a registration.
pub const MAX_BYTES: usize = 16 * 1024;
/// The most redirect URIs of a client.
const MAX_REDIRECT_URIS: usize = 32;
/// How much of the digest a client's id has, in bytes.
const ID_BYTES: usize = 20;

/// A way to tokens that a client may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GrantType {
    /// Through the user's browser.
    AuthorizationCode,
    /// On another device.
    DeviceCode,
    /// From the tokens before.
    RefreshToken,
}

impl GrantType {
    const ALL: [Self; 3] = [Self::AuthorizationCode, Self::DeviceCode, Self::RefreshToken];

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => AUTHORIZATION_CODE,
            Self::DeviceCode => DEVICE_CODE,
            Self::RefreshToken => REFRESH_TOKEN,
        }
    }
}

/// The name of [`ClientMetadata::id_token_algorithm`].
pub const ID_TOKEN_ALGORITHM: &str = "id_token_signed_response_alg";

/// A client's metadata, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientMetadata {
    /// Its home page.
    pub client_uri: ClientUri,
    /// What it calls itself.
    pub client_name: Localized,
    /// Its picture. No page of this server loads it.
    pub logo_uri: Localized,
    /// Its terms of service.
    pub tos_uri: Localized,
    /// Its privacy policy.
    pub policy_uri: Localized,
    /// What it is.
    pub application_type: ApplicationType,
    /// The ways to tokens that it may go.
    pub grant_types: BTreeSet<GrantType>,
    /// Where answers may go; at least one where it uses authorization codes.
    pub redirect_uris: Vec<RedirectUri>,
    /// How it wants ID tokens to be signed.
    pub id_token_algorithm: IdTokenAlgorithm,
}

impl ClientMetadata {
    /// Reads a registration.
    ///
    /// What this server has no use for is not registered, and so not in the answer. That goes for links to a logo, terms
    /// or a policy, too, which are elsewhere than on the client's host: nobody could tell whose they are.
    ///
    /// # Errors
    /// `invalid_redirect_uri` or `invalid_client_metadata`.
    pub fn parse(json: &[u8]) -> Result<Self, Refusal> {
        if json.len() > MAX_BYTES {
            return Err(invalid("The registration is too long."));
        }
        let Ok(Value::Object(fields)) = serde_json::from_slice(json) else {
            return Err(invalid("The registration is no JSON object."));
        };
        let client_uri = text(&fields, "client_uri")?.ok_or_else(|| invalid("client_uri is missing."))?;
        let client_uri = ClientUri::parse(client_uri)
            .ok_or_else(|| invalid("client_uri must be an https URL without user or password."))?;
        let application_type = application_type(&fields)?;
        none_for_secret(&fields)?;
        let grant_types = grant_types(&fields)?;
        let redirect_uris = if grant_types.contains(&GrantType::AuthorizationCode) {
            response_types(&fields)?;
            redirect_uris(&fields, application_type, &client_uri)?
        } else {
            Vec::new()
        };
        let reader = Reader { fields: &fields, home: &client_uri };
        Ok(Self {
            client_name: reader.text("client_name")?,
            logo_uri: reader.link("logo_uri")?,
            tos_uri: reader.link("tos_uri")?,
            policy_uri: reader.link("policy_uri")?,
            client_uri,
            application_type,
            grant_types,
            redirect_uris,
            id_token_algorithm: id_token_algorithm(&fields)?,
        })
    }

    /// What is registered, by its names on the wire and in their order.
    #[must_use]
    pub fn fields(&self) -> BTreeMap<String, Value> {
        let mut fields = BTreeMap::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("client_uri", self.client_uri.as_str().into());
        put("application_type", self.application_type.as_str().into());
        put("token_endpoint_auth_method", "none".into());
        put("grant_types", self.grant_types.iter().map(|grant| grant.as_str()).collect());
        if !self.redirect_uris.is_empty() {
            put("redirect_uris", self.redirect_uris.iter().map(RedirectUri::as_str).collect());
            put("response_types", vec!["code"].into());
        }
        // What is meant where nothing is said is not written, so that ids stay what they are.
        if self.id_token_algorithm != IdTokenAlgorithm::default() {
            put(ID_TOKEN_ALGORITHM, self.id_token_algorithm.as_str().into());
        }
        for (name, value) in [
            ("client_name", &self.client_name),
            ("logo_uri", &self.logo_uri),
            ("tos_uri", &self.tos_uri),
            ("policy_uri", &self.policy_uri),
        ] {
            fields.extend(value.fields(name));
        }
        fields
    }

    /// The canonical form, which [`ClientMetadata::parse`] reads back.
    #[must_use]
    pub fn canonical(&self) -> String {
        // Texts and lists of texts in a map always serialise.
        serde_json::to_string(&self.fields()).unwrap_or_default()
    }

    /// The id: the digest of the canonical form, 160 bits of it.
    #[must_use]
    pub fn client_id(&self) -> String {
        let digest = Sha256::digest(self.canonical().as_bytes());
        URL_SAFE_NO_PAD.encode(digest.get(..ID_BYTES).unwrap_or_default())
    }

    /// Whether it may go this way to tokens.
    #[must_use]
    pub fn may(&self, grant_type: GrantType) -> bool {
        self.grant_types.contains(&grant_type)
    }

    /// The place that an authorization request wants its answer at, if it is a registered one.
    #[must_use]
    pub fn target(&self, asked: &str) -> Option<Target> {
        self.redirect_uris.iter().find_map(|registered| registered.target(asked))
    }
}

fn application_type(fields: &Map<String, Value>) -> Result<ApplicationType, Refusal> {
    match text(fields, "application_type")? {
        None | Some("web") => Ok(ApplicationType::Web),
        Some("native") => Ok(ApplicationType::Native),
        Some(_) => Err(invalid("application_type is web or native.")),
    }
}

/// How ID tokens are to be signed (Registration 1.0, section 2). Unlike a picture that is left out, another way would be of no use.
fn id_token_algorithm(fields: &Map<String, Value>) -> Result<IdTokenAlgorithm, Refusal> {
    let Some(named) = text(fields, ID_TOKEN_ALGORITHM)? else { return Ok(IdTokenAlgorithm::default()) };
    IdTokenAlgorithm::parse(named).ok_or_else(|| invalid("id_token_signed_response_alg is RS256 or EdDSA."))
}

/// Every client is public: none gets a secret. Where nothing is said, that is what is meant.
fn none_for_secret(fields: &Map<String, Value>) -> Result<(), Refusal> {
    match text(fields, "token_endpoint_auth_method")? {
        None | Some("none") => Ok(()),
        Some(_) => Err(invalid("token_endpoint_auth_method must be none: clients have no secrets here.")),
    }
}

fn grant_types(fields: &Map<String, Value>) -> Result<BTreeSet<GrantType>, Refusal> {
    let Some(named) = texts(fields, "grant_types")? else {
        return Ok(BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken]));
    };
    let known = GrantType::ALL.into_iter().filter(|grant| named.contains(&grant.as_str()));
    let known: BTreeSet<_> = known.collect();
    if known.iter().all(|grant| *grant == GrantType::RefreshToken) {
        return Err(invalid("grant_types must contain authorization_code or the device code grant."));
    }
    Ok(known)
}

fn response_types(fields: &Map<String, Value>) -> Result<(), Refusal> {
    let has_code = texts(fields, "response_types")?.is_none_or(|types| types.contains(&"code"));
    if has_code { Ok(()) } else { Err(invalid("response_types must contain code.")) }
}

fn redirect_uris(
    fields: &Map<String, Value>,
    kind: ApplicationType,
    home: &ClientUri,
) -> Result<Vec<RedirectUri>, Refusal> {
    let refused = |description| Refusal::new(ErrorCode::InvalidRedirectUri, description);
    let named =
        texts(fields, "redirect_uris").map_err(|error| refused(error.description))?.unwrap_or_default();
    if named.is_empty() {
        return Err(refused("redirect_uris must have at least one value.".into()));
    }
    if named.len() > MAX_REDIRECT_URIS {
        return Err(refused("redirect_uris has too many values: 32 at most.".into()));
    }
    let checked: BTreeSet<_> =
        named.into_iter().map(|uri| RedirectUri::parse(uri, kind, home)).collect::<Result<_, _>>()?;
    Ok(checked.into_iter().collect())
}

/// A field that holds a text, if it is there.
fn text<'f>(fields: &'f Map<String, Value>, name: &str) -> Result<Option<&'f str>, Refusal> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::new(ErrorCode::InvalidClientMetadata, format!("{name} must be a string."))),
    }
}

/// A field that holds a list of texts, if it is there.
fn texts<'f>(fields: &'f Map<String, Value>, name: &str) -> Result<Option<Vec<&'f str>>, Refusal> {
    let wrong =
        || Refusal::new(ErrorCode::InvalidClientMetadata, format!("{name} must be an array of strings."));
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(values)) => {
            values.iter().map(|value| value.as_str().ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
        }
        Some(_) => Err(wrong()),
    }
}

pub(crate) fn invalid(description: &'static str) -> Refusal {
    Refusal::new(ErrorCode::InvalidClientMetadata, description)
}

#[cfg(test)]
mod tests;
