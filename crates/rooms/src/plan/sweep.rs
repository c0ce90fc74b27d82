//! Kicks and bans that take along what their target wrote (MSC4293): a row says so, pages of events follow it.

use myelin_room_core::power::EventClass;
use myelin_store::schema::erasure::{Erasure, RedactionSweep};
use myelin_store::schema::rooms::{Member, Membership};
use myelin_store::{Batch, Durability, Reader, Snapshot};
use ruma::UserId;

use super::{Outcome, Planner};
use crate::command::SweepPage;
use crate::redaction::Targets;
use crate::rows::Placed;
use crate::{SendError, sweep};

impl Planner {
    /// Notes what is to be redacted, where a kick or ban asks for it and its sender may: what the target wrote since they
    /// joined. Of somebody who is not in the room, nothing is.
    pub(super) fn write_sweep(&self, placed: &Placed<'_>, before: Option<&Member>, batch: &mut Batch) {
        let Some(before) = before.filter(|member| member.membership == Membership::Join) else { return };
        let goes = matches!(placed.pdu.membership(), Some("leave" | "ban"));
        let by_another = placed.pdu.state_key() != Some(placed.pdu.sender().as_str());
        let asked = goes && by_another && sweep::asks(&placed.pdu.content_object());
        if !asked || !self.may_redact_all(placed.pdu.sender()) {
            return;
        }
        batch.put(&RedactionSweep {
            room: self.room,
            by: placed.event,
            user_id: before.user_id.clone(),
            // The join itself stays: it is the membership event that the MSC stops at.
            from: before.joined_at.unwrap_or(before.order).saturating_add(1),
            until: placed.order,
        });
    }

    /// Whether the user may redact what anybody wrote, and send redactions at all where the room says who may.
    fn may_redact_all(&self, user: &UserId) -> bool {
        let Some(levels) = self.machine.power_levels() else { return false };
        let may_send = levels.may_send(user.as_str(), "m.room.redaction", EventClass::Message);
        self.may_redact_others(user) && may_send
    }

    /// Redacts a page of events.
    pub(super) async fn sweep(
        &mut self,
        snapshot: &dyn Snapshot,
        page: &SweepPage,
        batch: &mut Batch,
    ) -> Result<Outcome, SendError> {
        let RedactionSweep { room, by, until, .. } = page.sweep;
        let stored = snapshot.get::<RedactionSweep>(&(room, by)).await?;
        if stored.is_none_or(|stored| stored.until != until) {
            return Ok(Outcome::RepeatsStored(None));
        }
        let targets = Targets::read(snapshot, &self.overlay, room, self.rules, &page.events).await?;
        let numbers: Vec<i64> = targets.numbers().map(|event| event.0).collect();
        // Where the page was too large, the next one begins where this one ends.
        let cut = targets.earliest().filter(|_| numbers.len() < page.events.len());
        let next = cut.or(page.next);
        let pos = batch.next_pos();
        targets.write(&mut self.overlay, &mut self.summary, batch, (by, pos));
        if !numbers.is_empty() {
            batch.put(&Erasure { pos, room, events: serde_json::json!(numbers).to_string() });
        }
        match next {
            Some(until) => batch.put(&RedactionSweep { until, ..page.sweep.clone() }),
            None => batch.delete::<RedactionSweep>(&(room, by)),
        }
        batch.durability = Durability::Required;
        Ok(Outcome::Planned(None))
    }
}
