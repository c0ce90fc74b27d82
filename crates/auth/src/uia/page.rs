//! Stages of interactive authentication that somebody passes in a browser, because their client does not know them
//! (<https://spec.matrix.org/v1.19/client-server-api/#fallback>). Whoever has the session's id acts for its client.

use ruma::{OwnedDeviceId, OwnedUserId};

use super::{Credential, Refusal, Stage, UiaError, is_next, stage_of};
use crate::Auth;

/// How far a session is with a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageOnPage {
    /// It is the next one.
    Waits {
        /// The stage.
        stage: Stage,
        /// Who asks, if they have a session, on which device.
        asks: Option<(OwnedUserId, Option<OwnedDeviceId>)>,
    },
    /// It was passed.
    Passed,
    /// There is no such session, or the stage is not the next one in it.
    Ended,
}

impl Auth {
    /// How far a session is with the stage of this name.
    #[must_use]
    pub fn stage_on_page(&self, session: &str, name: &str) -> StageOnPage {
        let Some(session) = self.uia.get(session, self.env.clock.elapsed()) else {
            return StageOnPage::Ended;
        };
        if session.completed.iter().any(|stage| stage.as_str() == name) {
            return StageOnPage::Passed;
        }
        let mut stages = session.flows.iter().flatten().filter(|stage| stage.as_str() == name);
        match stages.find(|stage| is_next(&session.flows, &session.completed, **stage)) {
            Some(&stage) => {
                let asks = session.asks.map(|asks| (asks.user_id, asks.device_id));
                StageOnPage::Waits { stage, asks }
            }
            None => StageOnPage::Ended,
        }
    }

    /// Passes the stage that this is shown for. The inner result says why not; [`Refusal::Stage`] where nothing waits for it.
    ///
    /// # Errors
    /// Why it could not be checked.
    pub async fn pass_on_page(
        &self,
        id: &str,
        credential: Credential,
    ) -> Result<Result<(), Refusal>, UiaError> {
        let Some(session) = self.uia.get(id, self.env.clock.elapsed()) else {
            return Ok(Err(Refusal::Stage));
        };
        let stage = stage_of(&session.flows, &credential)
            .filter(|stage| is_next(&session.flows, &session.completed, *stage));
        let Some(stage) = stage else { return Ok(Err(Refusal::Stage)) };
        let passed = self.pass(session.asks.as_ref(), stage, credential).await?;
        Ok(passed.and_then(|shown| self.uia.complete(id, stage, shown).map(drop).ok_or(Refusal::Stage)))
    }
}
