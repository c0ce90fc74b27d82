//! OAuth 2.0 over the store: who gets in, who is thrown out, and what races do.

mod approvals;
mod browsers;
mod codes;
mod devices;
mod families;
mod identities;

use myelin_oauth_core::authorization::Request;
use myelin_oauth_core::code::Shown;
use myelin_oauth_core::error::ErrorCode;
use myelin_oauth_core::params::Params;
use myelin_oauth_core::pkce::Challenge;
use myelin_runtime::Secret;
use ruma::OwnedUserId;

use super::{PASSWORD, World, secret, world};
use crate::{Browser, Identifier, OauthError, OauthTokens, Origin, SignIn};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "https://example.com/cb";
const REGISTRATION: &str = r#"{
    "client_uri": "https://example.com", "client_name": "Example", "redirect_uris": ["https://example.com/cb"],
    "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"]
}"#;

fn scope(device_id: &str) -> String {
    format!("urn:matrix:client:api:* urn:matrix:client:device:{device_id}")
}

fn refusal<T>(result: Result<T, OauthError>) -> ErrorCode {
    match result {
        Err(OauthError::Refused(refusal)) => refusal.code,
        Err(OauthError::Store(error)) => panic!("{error}"),
        Ok(_) => panic!("it was granted"),
    }
}

/// A world with a user and a registered client.
struct Oauth {
    world: World,
    user_id: OwnedUserId,
    client_id: String,
}

impl Oauth {
    async fn new() -> Self {
        let world = world();
        let user_id = world.account("alice").await;
        let client = world.auth.register_client(REGISTRATION.as_bytes(), None).await.unwrap();
        Self { world, user_id, client_id: client.client_id }
    }

    async fn browser(&self) -> Browser {
        let alice = Identifier::User("alice".to_owned());
        let origin = Origin::default();
        let signed_in = self.world.auth.sign_in(&alice, secret(PASSWORD), &origin).await.unwrap();
        let SignIn::Done(signed_in) = signed_in else { panic!("half") };
        self.world.auth.browser(signed_in.cookie.expose()).await.unwrap().unwrap()
    }

    async fn request(&self, device_id: &str) -> Request {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", REDIRECT)
            .append_pair("response_type", "code")
            .append_pair("scope", &scope(device_id))
            .append_pair("code_challenge", Challenge::of(VERIFIER).unwrap().as_str())
            .append_pair("code_challenge_method", "S256")
            .finish();
        let client = self.world.auth.oauth_client(&self.client_id).await.unwrap().unwrap();
        Request::parse(&Params::parse(query.as_bytes()).unwrap(), &client).unwrap()
    }

    async fn code(&self, device_id: &str) -> Secret<String> {
        self.world.auth.approve(&self.browser().await, &self.request(device_id).await).await.unwrap()
    }

    fn owner(&self) -> Shown<'_> {
        Shown { client_id: &self.client_id, redirect_uri: REDIRECT, verifier: VERIFIER }
    }

    async fn redeem(&self, code: &Secret<String>) -> Result<OauthTokens, OauthError> {
        let redeemed = self.world.auth.redeem_code(code.expose(), &self.owner()).await?;
        Ok(redeemed.session().unwrap())
    }

    async fn sign_in(&self, device_id: &str) -> OauthTokens {
        self.redeem(&self.code(device_id).await).await.unwrap()
    }

    async fn refresh(&self, tokens: &OauthTokens) -> Result<OauthTokens, OauthError> {
        self.world.auth.refresh_grant(refresh_token(tokens), &self.client_id).await
    }

    async fn works(&self, tokens: &OauthTokens) -> bool {
        self.world.works(&tokens.issued).await
    }
}

fn refresh_token(tokens: &OauthTokens) -> &str {
    tokens.issued.refresh_token.as_ref().unwrap().expose()
}
