//! `/sendToDevice`: messages into the inboxes of devices.
//!
//! **No inbox drops what it has taken.** A message stays until its device acknowledges it or goes; an inbox has no
//! other bound than the rate and size of requests, because both ways of enforcing one would do harm: refusing a request
//! over one full inbox would let a dead device keep everyone else in a room from getting keys, and discarding would lose
//! what was acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use myelin_model::{Pos, Requester, Topic};
use myelin_store::schema::e2ee::{ToDevice, ToDeviceTransaction};
use myelin_store::{
    Batch, CommitError, Durability, MAX_BATCH_BYTES, Planned, ReadError, Reader, Scan, Snapshot,
};
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

use crate::{E2ee, devices};

/// The most that one request may write into inboxes, all copies counted, in bytes. A key for every device of a room of
/// 10,000 fits.
pub(crate) const MAX_FAN_OUT: usize = 32 << 20;

/// What one commit takes of it, with room for the rest of the batch.
const PART: usize = MAX_BATCH_BYTES / 4 * 3;

/// How long a transaction id is remembered.
const TRANSACTION_LIFETIME: Duration = Duration::from_secs(7 * 86_400);

/// Old transaction ids that each request forgets.
const FORGOTTEN: usize = 8;

/// The longest event type or transaction id, in bytes.
const MAX_NAME: usize = 255;

/// The devices of a user that a message goes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceTarget {
    /// Every one (`*`).
    All,
    /// This one.
    One(OwnedDeviceId),
}

/// The content of a message for each target: a JSON object.
pub type Messages = BTreeMap<OwnedUserId, BTreeMap<DeviceTarget, Bytes>>;

/// Why messages were not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// A message is not a JSON object.
    #[error("a message must be a JSON object")]
    NotAnObject,
    /// The event type or the transaction id is too long.
    #[error("an event type or transaction id may have at most {MAX_NAME} bytes")]
    NameTooLong,
    /// All copies of the messages together are too much.
    #[error("the messages to all devices together are too large; send to fewer devices at once")]
    TooLarge,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written; repeating the request completes it.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// One inbox and what goes there.
struct Delivery {
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    content: Bytes,
}

impl Delivery {
    /// The mark of this target in the transaction's row. Line breaks occur in no user id, so targets keep their order.
    fn mark(&self) -> String {
        format!("{}\n{}", self.user_id, self.device_id)
    }

    fn size(&self, kind: &str, sender: &UserId) -> usize {
        let names = self.user_id.as_str().len() + self.device_id.as_str().len() + sender.as_str().len();
        // Twice the names: they stand in the row and in the expectation of the device. The rest is overhead.
        self.content.len() + 2 * names + kind.len() + 64
    }
}

/// What a request is about.
struct Sending<'a> {
    requester: &'a Requester,
    kind: &'a str,
    txn_id: &'a str,
    messages: &'a Messages,
}

impl Sending<'_> {
    fn transaction(&self, reached: Option<String>, at: i64) -> ToDeviceTransaction {
        ToDeviceTransaction {
            user_id: self.requester.user_id.clone(),
            device_id: self.requester.device_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            session: self.requester.session,
            txn_id: self.txn_id.to_owned(),
            reached,
            at,
        }
    }
}

impl E2ee {
    /// Puts the messages into the inboxes of the devices, each exactly once however often the request is repeated under
    /// its transaction id. Users and devices that don't exist are passed over, as are those of servers that can't be
    /// reached.
    ///
    /// All inboxes are written by one commit; only what exceeds the size of one is written by several in a row, which a
    /// repetition takes up where they ended.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send_to_device(
        &self,
        requester: &Requester,
        kind: &str,
        txn_id: &str,
        messages: &Messages,
    ) -> Result<(), SendError> {
        if kind.len() > MAX_NAME || txn_id.len() > MAX_NAME {
            return Err(SendError::NameTooLong);
        }
        let is_object = |content: &Bytes| content.first() == Some(&b'{');
        if !messages.values().flat_map(BTreeMap::values).all(is_object) {
            return Err(SendError::NotAnObject);
        }
        let sending = Sending { requester, kind, txn_id, messages };
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            let Some((batch, is_last)) = self.plan_part(&*snapshot, &sending).await? else { return Ok(()) };
            drop(snapshot);
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                if is_last {
                    return Ok(());
                }
                attempt = 0;
            }
        }
    }

    /// Deletes what a device has received: the messages of its inbox up to a position.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn acknowledge(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        up_to: Pos,
    ) -> Result<(), SendError> {
        let inbox = (user_id.to_owned(), device_id.to_owned());
        let scan = |limit| Scan::prefix::<ToDevice>(inbox.clone(), limit).up_to((up_to,));
        let snapshot = self.engine.snapshot().await?;
        if snapshot.scan::<ToDevice>(scan(1)).await?.is_empty() {
            return Ok(());
        }
        drop(snapshot);
        let mut batch = self.batch(user_id);
        // The device's token says the same; losing this costs nothing but space until the next acknowledgement.
        batch.durability = Durability::MayLag;
        batch.delete_range(scan(usize::MAX));
        self.engine.commit(batch).await?;
        Ok(())
    }

    /// The next commit of the request and whether it is the last; `None` if there is nothing left to do.
    async fn plan_part(
        &self,
        snapshot: &dyn Snapshot,
        sending: &Sending<'_>,
    ) -> Result<Option<(Batch, bool)>, SendError> {
        let now = i64::try_from(self.env.clock.now()).unwrap_or(i64::MAX);
        let mut batch = self.batch(&sending.requester.user_id);
        let row = sending.transaction(None, now);
        let key = (row.user_id.clone(), row.device_id.clone(), row.session, row.txn_id.clone());
        let reached = match snapshot.get::<ToDeviceTransaction>(&key).await? {
            None => {
                batch.expect_absent::<ToDeviceTransaction>(&key);
                forget_transactions(&mut batch, snapshot, &row, now).await?;
                None
            }
            Some(ToDeviceTransaction { reached: None, .. }) => return Ok(None),
            Some(begun) => {
                batch.expect_column::<ToDeviceTransaction>(&key, "reached", &begun.reached);
                begun.reached
            }
        };
        let deliveries = self.deliveries(snapshot, sending.messages).await?;
        let size = |d: &Delivery| d.size(sending.kind, &sending.requester.user_id);
        if deliveries.iter().map(size).sum::<usize>() > MAX_FAN_OUT {
            return Err(SendError::TooLarge);
        }
        let left = deliveries.into_iter().filter(|d| reached.as_ref().is_none_or(|mark| d.mark() > *mark));
        let mut left = left.peekable();
        let (mut room, mut mark) = (PART, None);
        while let Some(delivery) = left.next_if(|d| room >= size(d)) {
            room -= size(&delivery);
            mark = Some(delivery.mark());
            deliver(&mut batch, sending, delivery);
        }
        match (left.peek(), mark) {
            (None, _) => {
                batch.put(&row);
                Ok(Some((batch, true)))
            }
            (Some(_), Some(mark)) => {
                batch.put(&sending.transaction(Some(mark), now));
                Ok(Some((batch, false)))
            }
            // A single message that no commit takes.
            (Some(_), None) => Err(SendError::TooLarge),
        }
    }

    /// The inboxes in the order in which they are written, with `*` replaced by what it stands for.
    async fn deliveries(
        &self,
        snapshot: &dyn Snapshot,
        messages: &Messages,
    ) -> Result<Vec<Delivery>, ReadError> {
        let local = || messages.iter().filter(|(user_id, _)| self.is_local(user_id));
        let to_all: Vec<_> = local()
            .filter(|(_, to)| to.contains_key(&DeviceTarget::All))
            .map(|(user, _)| user.clone())
            .collect();
        let named: Vec<_> = local()
            .flat_map(|(user, to)| to.keys().map(move |target| (user, target)))
            .filter_map(|(user, target)| match target {
                DeviceTarget::All => None,
                DeviceTarget::One(device) => Some((user.clone(), device.clone())),
            })
            .collect();
        let mut targets = devices::of_users(snapshot, &to_all).await?;
        targets.extend(devices::existing(snapshot, &named).await?.into_keys());
        targets.sort_by_cached_key(|(user, device)| format!("{user}\n{device}"));
        targets.dedup();
        let delivery = |(user_id, device_id): (OwnedUserId, OwnedDeviceId)| {
            let of_user = messages.get(&user_id)?;
            let own = of_user.get(&DeviceTarget::One(device_id.clone()));
            let content = own.or_else(|| of_user.get(&DeviceTarget::All))?.clone();
            Some(Delivery { user_id, device_id, content })
        };
        Ok(targets.into_iter().filter_map(delivery).collect())
    }
}

fn deliver(batch: &mut Batch, sending: &Sending<'_>, delivery: Delivery) {
    let Delivery { user_id, device_id, content } = delivery;
    devices::expect(batch, &user_id, &device_id);
    batch.wake(Topic::user(user_id.as_str()));
    let pos = batch.next_pos();
    let (sender, kind) = (sending.requester.user_id.clone(), sending.kind.to_owned());
    batch.put(&ToDevice { user_id, device_id, pos, sender, kind, content });
}

/// Forgets some transaction ids of the same device that nobody will repeat.
async fn forget_transactions(
    batch: &mut Batch,
    snapshot: &dyn Snapshot,
    row: &ToDeviceTransaction,
    now: i64,
) -> Result<(), ReadError> {
    let lifetime = i64::try_from(TRANSACTION_LIFETIME.as_millis()).unwrap_or(i64::MAX);
    let of_device = (row.user_id.clone(), row.device_id.clone());
    let scan = Scan::index::<ToDeviceTransaction>(ToDeviceTransaction::BY_TIME, of_device, FORGOTTEN);
    for old in snapshot.scan::<ToDeviceTransaction>(scan.before((now - lifetime,))).await? {
        let key = (old.user_id, old.device_id, old.session, old.txn_id);
        batch.delete::<ToDeviceTransaction>(&key);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
