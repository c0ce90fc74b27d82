//! `GET` and `POST /oauth2/sign-up`: an account for who has none, as far as the operator lets people make them.
//!
//! Where an address must be confirmed first, there are two steps: name and address, then, when the link in the mail was
//! opened, the password. What was filled in goes along in the form; nothing of it is stored.

mod form;

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{
    Actor, EmailCredentials, EmailError, EmailPurpose, EmailRequest, Invited, LoginError, NameProblem,
    NewAccount, PasswordProblem, RegisterError, ValidatedEmail,
};
use myelin_oauth_core::params::Params;
use myelin_runtime::Secret;
use ruma::OwnedUserId;

use self::form::{Filled, Step};
use crate::browser::Visit;
use crate::guard::posted;
use crate::messages::fill;
use crate::next::Next;
use crate::problem::Problem;
use crate::state::SignUp;
use crate::strength;

/// Letters and digits in the secret that goes with a confirmation.
const SECRET: usize = 32;

/// Why a step is shown again.
enum Again {
    /// The account can't be made.
    Account(RegisterError),
    /// No mail is on its way.
    Mail(EmailError),
    /// The address was not confirmed.
    Unconfirmed,
    /// The terms were not accepted.
    Terms,
}

impl<E: Into<RegisterError>> From<E> for Again {
    fn from(error: E) -> Self {
        Self::Account(error.into())
    }
}

/// Asks for what an account needs.
pub(crate) async fn get(visit: Visit) -> Response {
    let (needs, invited) = match needs(&visit).await {
        Ok((Some(needs), invited)) => (needs, invited),
        Ok((None, _)) => return form::closed(&visit),
        Err(problem) => return visit.problem(&problem),
    };
    let hint = visit.params.get("hint").ok().flatten().unwrap_or_default();
    // Of a user id only the name is filled in.
    let name = hint.trim_start_matches('@').split(':').next().unwrap_or_default().to_owned();
    let filled = Filled { name, invited, ..Filled::default() };
    let result = form::show(&visit, needs, Step::first(needs), &filled, (StatusCode::OK, None)).await;
    visit.answer(result)
}

/// Goes a step on.
pub(crate) async fn post(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let result = go_on(&visit, body).await;
    visit.answer(result)
}

async fn go_on(visit: &Visit, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let fields = posted(&visit.pages, &visit.headers, &body.map_err(|_| Problem::Form)?)?;
    let (Some(needs), invited) = needs(visit).await? else { return Ok(form::closed(visit)) };
    let mut filled = Filled { invited, ..Filled::of(&fields) };
    let step = filled.step(needs);
    let outcome = match step {
        Step::Address => ask_for_mail(visit, needs, &mut filled).await.map(|()| None),
        Step::Password => create(visit, needs, &filled, &fields).await.map(Some),
    };
    match outcome {
        Ok(None) => form::show(visit, needs, Step::Password, &filled, (StatusCode::OK, None)).await,
        Ok(Some(user_id)) => sign_in(visit, &user_id).await,
        Err(Again::Account(RegisterError::Store(error)) | Again::Mail(EmailError::Store(error))) => {
            Err(error.into())
        }
        Err(Again::Mail(EmailError::Limited(wait))) => Err(Problem::Limited(wait)),
        Err(again) => {
            let (status, message) = refusal(visit, &again);
            form::show(visit, needs, step, &filled, (status, Some(message))).await
        }
    }
}

async fn sign_in(visit: &Visit, user_id: &OwnedUserId) -> Result<Response, Problem> {
    match visit.pages.auth.sign_in_new(user_id, &visit.origin()).await {
        Ok(browser) => visit.signed_in(&browser, &Next::of_query(&visit.params)).await,
        Err(LoginError::Store(error)) => Err(error.into()),
        Err(_) => Err(Problem::Failed),
    }
}

/// The invitation in the link by which somebody came.
fn shown(visit: &Visit) -> Option<&str> {
    visit.params.get("invitation").ok().flatten()
}

/// What somebody needs to make an account here: who is invited, nothing but what everybody needs.
async fn needs(visit: &Visit) -> Result<(Option<SignUp>, Option<Invited>), Problem> {
    let invited = match shown(visit) {
        // Without passwords of this server's own nobody could sign in to it.
        Some(shown) if visit.pages.auth.config().password_login => visit.pages.auth.invited(shown).await?,
        _ => None,
    };
    let needs = if invited.is_some() { Some(visit.pages.sign_up_invited()) } else { visit.pages.sign_up() };
    Ok((needs, invited))
}

/// The name that is wanted, if it can be had; and the token, if one is needed and good.
async fn check(visit: &Visit, needs: SignUp, filled: &Filled) -> Result<OwnedUserId, RegisterError> {
    let user_id = visit.pages.auth.available(&filled.name).await?;
    let is_good = !needs.token || visit.pages.auth.registration_token_valid(&filled.token).await?;
    if is_good { Ok(user_id) } else { Err(RegisterError::Token) }
}

/// Has a mail sent to the address, which nobody learns anything of that way.
async fn ask_for_mail(visit: &Visit, needs: SignUp, filled: &mut Filled) -> Result<(), Again> {
    check(visit, needs, filled).await?;
    let client_secret = visit.pages.env.random.alphanumeric(SECRET);
    let request = EmailRequest {
        purpose: EmailPurpose::Register,
        email: filled.email.clone(),
        client_secret: client_secret.clone(),
        send_attempt: 1,
        next_link: None,
        language: Some(visit.language),
    };
    let sid = visit.pages.auth.request_email(request).await.map_err(Again::Mail)?;
    filled.confirmation = Some(EmailCredentials { sid, client_secret });
    Ok(())
}

async fn create(
    visit: &Visit,
    needs: SignUp,
    filled: &Filled,
    fields: &Params,
) -> Result<OwnedUserId, Again> {
    let auth = &visit.pages.auth;
    if !auth.config().terms.is_empty() && fields.get("terms").ok().flatten().is_none() {
        return Err(Again::Terms);
    }
    let user_id = check(visit, needs, filled).await?;
    let email: Option<ValidatedEmail> = match &filled.confirmation {
        Some(credentials) if needs.email => {
            let confirmed = auth.confirmed_email(EmailPurpose::Register, credentials).await;
            let confirmed = confirmed.map_err(RegisterError::Store)?;
            Some(confirmed.ok_or(Again::Unconfirmed)?)
        }
        _ => None,
    };
    let password = fields.get("password").ok().flatten().unwrap_or_default();
    let new = NewAccount {
        registration_token: needs.token.then(|| filled.token.clone()),
        invitation: filled.invited.and_then(|_| shown(visit)).map(|shown| Secret::new(shown.to_owned())),
        email,
        accepts_terms: true,
        ..NewAccount::new(user_id.clone(), Secret::new(password.to_owned()))
    };
    Ok(auth.create_account(&Actor::User(user_id), new).await?.user_id)
}

fn refusal(visit: &Visit, again: &Again) -> (StatusCode, Markup) {
    let (say, common) = (&visit.messages().sign_up, &visit.messages().common);
    let error = match again {
        Again::Account(error) => error,
        Again::Mail(EmailError::Address) => return (StatusCode::BAD_REQUEST, html! { (say.email_wrong) }),
        Again::Mail(_) => return (StatusCode::SERVICE_UNAVAILABLE, html! { (common.failed) }),
        Again::Unconfirmed => return (StatusCode::BAD_REQUEST, html! { (say.not_confirmed) }),
        Again::Terms => return (StatusCode::BAD_REQUEST, html! { (visit.messages().terms.missing) }),
    };
    let message = match error {
        RegisterError::Taken => &say.taken,
        RegisterError::Name(NameProblem::Empty) => &say.name_empty,
        RegisterError::Name(NameProblem::Character(_)) => &say.name_characters,
        RegisterError::Name(NameProblem::Reserved) => &say.name_reserved,
        RegisterError::Name(NameProblem::TooLong) => &say.name_long,
        RegisterError::Password(PasswordProblem::Weak { least }) => {
            return (StatusCode::BAD_REQUEST, fill(&say.password_short, &[("least", least)]));
        }
        RegisterError::Password(PasswordProblem::Guessable(guess)) => {
            return (StatusCode::BAD_REQUEST, strength::guessed(visit, *guess));
        }
        RegisterError::Password(PasswordProblem::Breached) => &visit.messages().strength.breached,
        RegisterError::Password(PasswordProblem::TooLong) => &say.password_long,
        RegisterError::Token => &say.token_wrong,
        RegisterError::Closed => &say.closed,
        RegisterError::EmailInUse => &say.email_taken,
        RegisterError::Busy => return (StatusCode::SERVICE_UNAVAILABLE, html! { (common.busy) }),
        RegisterError::Device(_) | RegisterError::Store(_) => &common.failed,
    };
    (StatusCode::BAD_REQUEST, html! { (message) })
}
