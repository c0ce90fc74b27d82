//! From a code to a person: the token endpoint, the ID token, the userinfo endpoint (OpenID Connect Core 1.0, section 3.1.3).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use myelin_oauth_core::upstream::attempt::Secrets;
use myelin_oauth_core::upstream::claims::{Claims, Expected, Identity, Since, of_id_token};
use myelin_oauth_core::upstream::mapping::{Mapped, render};
use myelin_runtime::Secret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::form_urlencoded::{Serializer, byte_serialize};

use super::known::Known;
use super::{ProviderAnswer, ProviderRequest, SaysWhen, UpstreamError, UpstreamProvider, Upstreams};
use crate::{Auth, EmailAddress};

/// What people are called at a provider, by which they know their account there.
const CALLED: &str = "{{ user.preferred_username or user.email or user.name }}";

/// Who came from a provider, and what was made of their claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub(crate) provider: String,
    pub(crate) subject: String,
    /// In which session there.
    pub(crate) origin: String,
    /// What they are called there.
    pub(crate) called: Option<String>,
    pub(crate) localpart: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) email: Option<String>,
    /// When they last showed the provider who they are; 0 where it does not say.
    #[serde(default)]
    pub(crate) shown_at: i64,
}

/// The mark of what is begun in a session at a provider; of one that tells no session, what all of them have.
pub(super) fn origin(provider: &str, sid: Option<&str>) -> String {
    let digest = sid.map(|sid| URL_SAFE_NO_PAD.encode(Sha256::digest(sid)));
    format!("{provider}:{}", digest.unwrap_or_default())
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Auth {
    /// Who a code is for. `since` is when they were sent to show anew who they are, where they were.
    pub(super) async fn person(
        &self,
        provider: &UpstreamProvider,
        known: &Known,
        code: &str,
        (secrets, since): (&Secrets, Option<i64>),
    ) -> Result<Person, UpstreamError> {
        let (upstreams, ..) = self.provider(&provider.id)?;
        let tokens = self.redeem_upstream(upstreams, provider, known, (code, secrets)).await?;
        let (claims, _) = self.signed(&provider.id, &tokens.id_token).await?;
        let expected = Expected {
            issuer: &provider.issuer,
            client_id: &provider.client_id,
            nonce: &secrets.nonce,
            now: self.now(),
        };
        let identity = of_id_token(claims, &expected).map_err(|problem| {
            UpstreamError::Provider(format!("its ID token can't be trusted: {problem}"))
        })?;
        let shown_at = self.shown_at(provider, &identity, since)?;
        let identity = userinfo(upstreams, known, identity, &tokens.access_token).await?;
        let Mapped { localpart, display_name, email } = provider.mapping.apply(&identity.claims);
        let email = email.as_deref().and_then(EmailAddress::parse).map(|email| email.as_str().to_owned());
        Ok(Person {
            provider: provider.id.clone(),
            origin: origin(&provider.id, identity.sid.as_deref()),
            called: render(CALLED, &identity.claims),
            subject: identity.subject,
            localpart,
            display_name,
            email,
            shown_at,
        })
    }

    /// When somebody last showed the provider who they are; 0 where that is not known.
    fn shown_at(
        &self,
        provider: &UpstreamProvider,
        identity: &Identity,
        since: Option<i64>,
    ) -> Result<i64, UpstreamError> {
        let now = self.now();
        let said = identity.authenticated_at(now).unwrap_or_default();
        let Some(since) = since else { return Ok(said) };
        match identity.authenticated_since(since, now) {
            Since::Then => Ok(said),
            Since::Before => Err(UpstreamError::NotAnew),
            // The operator takes the provider's word that it does what it is asked for.
            Since::Unsaid if provider.says_when == SaysWhen::NotAlways => Ok(now),
            Since::Unsaid => Err(UpstreamError::WhenUnsaid),
        }
    }

    async fn redeem_upstream(
        &self,
        upstreams: &Upstreams,
        provider: &UpstreamProvider,
        known: &Known,
        (code, secrets): (&str, &Secrets),
    ) -> Result<Tokens, UpstreamError> {
        let url = &known.metadata.token_endpoint;
        let (form, authorization) = self.redemption(provider, known, code, secrets);
        let form = Some(form);
        let answer = ask(upstreams, ProviderRequest { url, authorization, form }).await?;
        if answer.status != 200 {
            let refusal =
                serde_json::from_slice::<Refusal>(&answer.body).map(|refusal| plain(&refusal.error));
            let why = refusal.unwrap_or_else(|_| "no reason".to_owned());
            return Err(UpstreamError::Provider(format!("{url} answers {} with {why}", answer.status)));
        }
        let unreadable = |_| UpstreamError::Provider(format!("{url}: its answer has no ID token"));
        serde_json::from_slice(&answer.body).map_err(unreadable)
    }

    /// The form that redeems a code, and the header that goes with it where the secret does not stand in the form.
    fn redemption(
        &self,
        provider: &UpstreamProvider,
        known: &Known,
        code: &str,
        secrets: &Secrets,
    ) -> (Secret<String>, Option<Secret<String>>) {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect_uri(provider))
            .append_pair("code_verifier", &secrets.verifier);
        let authorization = match &provider.client_secret {
            Some(secret) if !known.metadata.takes_secret_in_form => Some(basic(&provider.client_id, secret)),
            secret => {
                form.append_pair("client_id", &provider.client_id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret.expose());
                }
                None
            }
        };
        (Secret::new(form.finish()), authorization)
    }
}

async fn userinfo(
    upstreams: &Upstreams,
    known: &Known,
    identity: Identity,
    access_token: &str,
) -> Result<Identity, UpstreamError> {
    let Some(url) = &known.metadata.userinfo_endpoint else { return Ok(identity) };
    let authorization = Some(Secret::new(format!("Bearer {access_token}")));
    let answer = ask(upstreams, ProviderRequest { url, authorization, form: None }).await?;
    let claims = serde_json::from_slice::<Claims>(&answer.body).ok().filter(|_| answer.status == 200);
    let Some(claims) = claims else {
        return Err(UpstreamError::Provider(format!("{url} answers {} and no claims", answer.status)));
    };
    let wrong = |problem| UpstreamError::Provider(format!("{url}: what it says can't be trusted: {problem}"));
    identity.with_userinfo(claims).map_err(wrong)
}

async fn ask(upstreams: &Upstreams, request: ProviderRequest<'_>) -> Result<ProviderAnswer, UpstreamError> {
    let url = request.url;
    let unreachable = |problem| UpstreamError::Provider(format!("{url}: {problem}"));
    upstreams.fetch.fetch(request).await.map_err(unreachable)
}

/// HTTP Basic, with both parts encoded as RFC 6749 (section 2.3.1) wants.
fn basic(client_id: &str, secret: &Secret<String>) -> Secret<String> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(client_id), encode(secret.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair)))
}

/// An error code as the RFCs have them, for people and logs.
pub(super) fn plain(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).take(60).collect()
}
