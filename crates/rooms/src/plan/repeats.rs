//! Requests that ask for what is there already.

use myelin_room_core::key::StateKey;
use myelin_store::schema::rooms::{State, Transaction};
use myelin_store::{Reader, Snapshot};
use ruma::OwnedEventId;

use super::{Outcome, Planner};
use crate::{Draft, SendError, Sent, TransactionKey, load};

impl Planner {
    /// What an earlier request has made already of this one: by its transaction, or by the state it asks for.
    pub(super) async fn repeats(
        &self,
        snapshot: &dyn Snapshot,
        draft: &Draft,
        transaction: Option<&TransactionKey>,
    ) -> Result<Option<Outcome>, SendError> {
        match transaction {
            Some(key) => self.transaction(snapshot, key).await,
            None => self.unchanged(snapshot, draft).await,
        }
    }

    async fn transaction(
        &self,
        snapshot: &dyn Snapshot,
        key: &TransactionKey,
    ) -> Result<Option<Outcome>, SendError> {
        let sent = |event_id: &OwnedEventId| Some(Sent { event_id: event_id.clone(), room: self.room });
        if let Some(event_id) = self.overlay.next.transactions.get(key) {
            return Ok(Some(Outcome::RepeatsPlanned(sent(event_id))));
        }
        if let Some(event_id) = self.overlay.committing.transactions.get(key) {
            return Ok(Some(Outcome::RepeatsUnderWay(sent(event_id))));
        }
        let stored = (key.session, key.scope.clone(), key.txn_id.clone());
        let row = snapshot.get::<Transaction>(&stored).await?;
        Ok(row.map(|row| Outcome::RepeatsStored(sent(&row.event_id))))
    }

    /// State that its sender has set to the same before, and nobody since, is not set once more: a bot that sets the
    /// topic with every start adds no event. (Where the other one is still being committed, it is.)
    async fn unchanged(&self, snapshot: &dyn Snapshot, draft: &Draft) -> Result<Option<Outcome>, SendError> {
        // A sticky one is to be sticky from now on.
        let Some(state_key) = draft.state_key.as_ref().filter(|_| draft.sticky.is_none()) else {
            return Ok(None);
        };
        let key = StateKey::new(&draft.kind, state_key);
        if self.overlay.find(|layer| layer.state.get(&key)).is_some() {
            return Ok(None);
        }
        let Some(row) = snapshot.get::<State>(&load::state_key(self.room, &key)).await? else {
            return Ok(None);
        };
        let mut found = load::events(snapshot, self.rules, &[row.event]).await?;
        let same = found.remove(&row.event).filter(|current| {
            current.header.sender == draft.sender
                && current.header.redacted_by.is_none()
                && current.pdu.content_object() == draft.content
        });
        Ok(same.map(|current| {
            Outcome::RepeatsStored(Some(Sent { event_id: current.header.event_id, room: self.room }))
        }))
    }
}
