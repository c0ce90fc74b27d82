//! Element X as a client of OAuth 2.0.

use anyhow::ensure;
use matrix_sdk::Client;
use matrix_sdk::authentication::oauth::registration::{
    ApplicationType, ClientMetadata, Localized, OAuthGrantType,
};
use matrix_sdk::ruma::api::client::discovery::get_authorization_server_metadata::v1::Prompt;
use matrix_sdk::ruma::serde::Raw;
use matrix_sdk::utils::UrlOrQuery;
use reqwest::Url;

use crate::person::{Account, Person};

/// Where Element X has its browser sent.
const REDIRECT: &str = "io.element.elementx:/callback";
const PASSWORD: &str = "correct horse battery staple";

/// What Element X registers.
///
/// # Errors
/// None.
pub fn metadata() -> anyhow::Result<Raw<ClientMetadata>> {
    let page = |path: &str| Url::parse("https://element.io/")?.join(path);
    let redirect_uris = vec![Url::parse(REDIRECT)?];
    let grants = vec![OAuthGrantType::AuthorizationCode { redirect_uris }, OAuthGrantType::DeviceCode];
    let home = Localized::new(page("")?, []);
    let metadata = ClientMetadata {
        client_name: Some(Localized::new("Element".to_owned(), [])),
        logo_uri: Some(Localized::new(page("mobile-icon.png")?, [])),
        policy_uri: Some(Localized::new(page("privacy")?, [])),
        tos_uri: Some(Localized::new(page("acceptable-use-policy-terms")?, [])),
        ..ClientMetadata::new(ApplicationType::Native, grants, home)
    };
    Ok(Raw::new(&metadata)?)
}

/// The SDK's part of a login, around the person's: `alice` makes an account where `prompt` says so.
///
/// # Errors
/// When the server refuses, or shows another page.
pub async fn log_in(client: &Client, person: &mut Person, prompt: Option<Prompt>) -> anyhow::Result<()> {
    let oauth = client.oauth();
    let login = oauth.login(Url::parse(REDIRECT)?, None, Some(metadata()?.into()), None);
    let login = login.prompt(prompt.iter().cloned().collect()).build().await?;
    let create = (prompt == Some(Prompt::Create)).then_some(Account { name: "alice", password: PASSWORD });
    let sent = person.log_in(&login.url, create).await?;
    ensure!(sent.as_str().starts_with(REDIRECT), "sent to {sent}");
    Ok(oauth.finish_login(UrlOrQuery::Url(sent)).await?)
}
