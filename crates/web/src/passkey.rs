//! The part of a form that asks the browser for a passkey. Without scripts it is not there.

use maud::{Markup, html};
use myelin_auth::{PasskeyChallenge, PasskeyError};
use myelin_oauth_core::params::Params;

use crate::browser::Visit;
use crate::problem::Problem;

/// What a form with a passkey's answer in it says.
pub(crate) struct Answered<'f> {
    /// The challenge, sealed.
    pub(crate) challenge: &'f str,
    /// What the authenticator says.
    pub(crate) answer: &'f str,
}

/// The answer in a form, if there is one.
pub(crate) fn answered(fields: &Params) -> Option<Answered<'_>> {
    let answer = fields.get("answer").ok().flatten()?;
    let challenge = fields.get("challenge").ok().flatten().unwrap_or_default();
    Some(Answered { challenge, answer })
}

/// The button, which shows itself where the browser knows passkeys.
pub(crate) fn button(visit: &Visit, challenge: &PasskeyChallenge, text: &str, quiet: bool) -> Markup {
    let say = &visit.messages().passkey;
    let class = if quiet { "quiet" } else { "" };
    html! {
        input type="hidden" name="challenge" value=(challenge.sealed);
        input type="hidden" name="answer" value="";
        button class=(class) formnovalidate[quiet] hidden data-passkey=(challenge.options) { (text) }
        p.alert role="alert" data-passkey-failed hidden { (say.not_asked) }
    }
}

/// What a person is told of a passkey that was not taken.
pub(crate) fn refusal(visit: &Visit, error: PasskeyError) -> Result<Markup, Problem> {
    let say = &visit.messages().passkey;
    let message = match error {
        PasskeyError::Ended => &say.ended,
        PasskeyError::Unknown => &say.unknown,
        PasskeyError::Wrong => &say.wrong,
        PasskeyError::Copied => &say.copied,
        PasskeyError::Known => &say.known,
        PasskeyError::TooMany => &say.too_many,
        PasskeyError::Locked => &visit.messages().sign_in.locked,
        PasskeyError::Account(error) => {
            tracing::error!(%error, "a passkey could not be taken");
            return Err(Problem::Failed);
        }
    };
    Ok(html! { (message) })
}
