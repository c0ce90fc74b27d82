//! `GET` and `POST /_matrix/client/v3/auth/{authType}/fallback/web`: a stage of interactive authentication for clients that don't
//! know it <https://spec.matrix.org/v1.19/client-server-api/#fallback>
//!
//! Whoever is on the page has the session's id from their client, and acts for it: the form has no token beside. So a page must not
//! do harm to who was led there by somebody whose session it is: a new password is had on the page for that, by the same browser,
//! and not here.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use myelin_auth::{
    Auth, Credential, EmailCredentials, EmailError, EmailPurpose, EmailRequest, Identifier, Refusal, Stage,
    StageOnPage, UiaError,
};
use myelin_language::Language;
use myelin_runtime::{Env, Secret};
use serde::Deserialize;
use url::form_urlencoded::{self, Serializer};

use crate::Error;
use crate::args::{Query, Whole};
use crate::object::Segments;
use crate::people::{People, Shown, StagePage, StageProblem, accept_language};
use crate::state::Oauth;
use crate::uia::approval_page;

/// The stage of who forgot their password.
const FORGOTTEN: Stage = Stage::Email(EmailPurpose::Reset);
/// Letters and digits in the secret that goes with a mail.
const SECRET: usize = 32;

/// Which session of interactive authentication is gone on with.
#[derive(Deserialize)]
pub(crate) struct Continued {
    session: Option<String>,
}

/// Shows the page of a stage, or sends the browser to it.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    State(Oauth(oauth)): State<Oauth>,
    State(people): State<Arc<dyn People>>,
    headers: HeaderMap,
    Segments([name]): Segments<1>,
    Query(Continued { session }): Query<Continued>,
) -> Result<Response, Error> {
    let is_of_account = is_of_account(&name);
    if !(is_passed_here(&name) || is_of_account && oauth.is_some()) {
        return Err(Error::unrecognized());
    }
    let session = session.ok_or_else(|| Error::missing_param("`session` is missing."))?;
    if name == Stage::Sso.as_str() {
        return Ok(confirmed_on_the_account_page(&auth, &session));
    }
    let shown = match auth.stage_on_page(&session, &name) {
        StageOnPage::Waits { stage: FORGOTTEN, .. } if oauth.is_some() => {
            return Ok(found(format!("{}/oauth2/forgot", auth.config().public_url)));
        }
        StageOnPage::Waits { stage: FORGOTTEN, .. } => Shown::StageEnded,
        StageOnPage::Waits { asks, .. } if is_of_account => {
            let device_id = asks.and_then(|(_, device_id)| device_id);
            return Ok(found(approval_page(auth.config(), device_id.as_deref())));
        }
        StageOnPage::Waits { stage, asks } => {
            let user_id = asks.map(|(user_id, _)| user_id);
            let user_id = user_id.as_ref().map(|user_id| user_id.as_str());
            let page = StagePage { stage, session: &session, user_id, mail: None, problem: None };
            return Ok(people.page(&headers, &Shown::Stage(&page)));
        }
        StageOnPage::Passed => Shown::StagePassed,
        StageOnPage::Ended => Shown::StageEnded,
    };
    Ok(people.page(&headers, &shown))
}

/// The person has answered.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    State(env): State<Env>,
    State(people): State<Arc<dyn People>>,
    headers: HeaderMap,
    Segments([name]): Segments<1>,
    Whole(body): Whole,
) -> Result<Response, Error> {
    if !is_passed_here(&name) {
        return Err(Error::unrecognized());
    }
    let answer = Answer(&body);
    let session = answer.field("session");
    let (stage, user_id) = match auth.stage_on_page(&session, &name) {
        StageOnPage::Waits { stage: FORGOTTEN, .. } => return Ok(people.page(&headers, &Shown::StageEnded)),
        StageOnPage::Waits { stage, asks } => (stage, asks.map(|(user_id, _)| user_id.to_string())),
        StageOnPage::Passed => return Ok(people.page(&headers, &Shown::StagePassed)),
        StageOnPage::Ended => return Ok(people.page(&headers, &Shown::StageEnded)),
    };
    let mut page =
        StagePage { stage, session: &session, user_id: user_id.as_deref(), mail: None, problem: None };
    let mut mail = None;
    let credential = match stage {
        Stage::Email(_) => {
            let email = answer.field("email");
            let (credentials, is_new) = match answer.credentials() {
                Some(credentials) => (Ok(credentials), false),
                None => (send_mail(&auth, &env, &headers, (stage, &email)).await?, true),
            };
            match credentials {
                Ok(credentials) => mail = Some((email, credentials)),
                Err(problem) => page.problem = Some(problem),
            }
            mail.as_ref().filter(|_| !is_new).map(|(_, credentials)| Credential::Email(credentials.clone()))
        }
        other => answer.credential(other, user_id.as_deref()),
    };
    page.mail = mail.as_ref().map(|(email, credentials)| (email.as_str(), credentials));
    if let Some(credential) = credential {
        page.problem = match auth.pass_on_page(&session, credential).await {
            Ok(Ok(())) => return Ok(people.page(&headers, &Shown::StagePassed)),
            Ok(Err(Refusal::Stage)) => return Ok(people.page(&headers, &Shown::StageEnded)),
            Ok(Err(refusal)) => Some(StageProblem::Refused(refusal)),
            Err(error) => Some(problem(error)?),
        };
    }
    Ok(people.page(&headers, &Shown::Stage(&page)))
}

/// Whether a stage is passed on one of these pages.
fn is_passed_here(name: &str) -> bool {
    [
        "m.login.password",
        "m.login.dummy",
        "m.login.registration_token",
        "m.login.terms",
        "m.login.email.identity",
    ]
    .contains(&name)
}

/// Whether it is passed on the account's pages, by who is signed in there.
fn is_of_account(name: &str) -> bool {
    [Stage::Sso, Stage::Oauth, Stage::OauthUnstable].iter().any(|stage| stage.as_str() == name)
}

/// Where the session's user shows that it is them.
fn confirmed_on_the_account_page(auth: &Auth, session: &str) -> Response {
    let page = Serializer::new(String::new())
        .append_pair("action", "myelin.confirm")
        .append_pair("session", session)
        .finish();
    found(format!("{}/account?{page}", auth.config().public_url))
}

fn found(location: String) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

/// What was posted.
struct Answer<'a>(&'a [u8]);

impl Answer<'_> {
    fn field(&self, name: &str) -> String {
        let found = form_urlencoded::parse(self.0).find(|(found, _)| found == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    }

    /// The session in which an address was confirmed.
    fn credentials(&self) -> Option<EmailCredentials> {
        let (sid, client_secret) = (self.field("sid"), self.field("secret"));
        (!sid.is_empty()).then_some(EmailCredentials { sid, client_secret })
    }

    fn credential(&self, stage: Stage, user_id: Option<&str>) -> Option<Credential> {
        match stage {
            Stage::Password => Some(Credential::Password {
                user: Identifier::User(user_id?.to_owned()),
                password: Secret::new(self.field("password")),
            }),
            Stage::Dummy => Some(Credential::Dummy),
            Stage::Terms => Some(Credential::Terms),
            Stage::RegistrationToken => {
                Some(Credential::RegistrationToken(self.field("token").trim().to_owned()))
            }
            Stage::Email(_) | Stage::Oauth | Stage::OauthUnstable | Stage::Sso => None,
        }
    }
}

/// Has a mail sent; the inner result is for the page.
async fn send_mail(
    auth: &Auth,
    env: &Env,
    headers: &HeaderMap,
    (stage, email): (Stage, &str),
) -> Result<Result<EmailCredentials, StageProblem>, Error> {
    let Stage::Email(purpose) = stage else { return Ok(Err(StageProblem::Address)) };
    let client_secret = env.random.alphanumeric(SECRET);
    let request = EmailRequest {
        purpose,
        email: email.to_owned(),
        client_secret: client_secret.clone(),
        send_attempt: 1,
        next_link: None,
        language: Language::choose([], accept_language(headers)),
    };
    Ok(match auth.request_email(request).await {
        Ok(sid) => Ok(EmailCredentials { sid, client_secret }),
        Err(EmailError::Limited(_)) => Err(StageProblem::Limited),
        Err(EmailError::Store(error)) => return Err(error.into()),
        Err(EmailError::Off | EmailError::Address | EmailError::Secret | EmailError::NextLink) => {
            Err(StageProblem::Address)
        }
    })
}

/// Why an answer could not be checked, for the page; what is the server's fault is an error.
fn problem(error: UiaError) -> Result<StageProblem, Error> {
    match error {
        UiaError::Limited(_) => Ok(StageProblem::Limited),
        UiaError::Busy => Ok(StageProblem::Busy),
        UiaError::Directory => Ok(StageProblem::Directory),
        UiaError::Store(error) => Err(error.into()),
        UiaError::Challenge(_) | UiaError::OtherRequest | UiaError::OtherUser => {
            Ok(StageProblem::Refused(Refusal::Password))
        }
    }
}
