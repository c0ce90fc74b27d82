//! How somebody is taken out of a room: the body of `/kick` and `/ban`. Typed here, because ruma's types lack MSC4293.

use myelin_rooms::Removal;
use ruma::OwnedUserId;
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Wanted {
    pub(crate) user_id: OwnedUserId,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    redact_events: Option<bool>,
    #[serde(default, rename = "org.matrix.msc4293.redact_events")]
    unstable_redact_events: Option<bool>,
}

impl Wanted {
    pub(crate) fn how(&self) -> Removal<'_> {
        let redact_events = self.redact_events.or(self.unstable_redact_events).unwrap_or(false);
        Removal { reason: self.reason.as_deref(), redact_events }
    }
}
