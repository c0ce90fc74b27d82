//! Interactive sessions in memory: bounded in number and time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use myelin_model::Requester;
use ruma::{OwnedDeviceId, OwnedUserId};

use super::Stage;
use crate::ValidatedEmail;

/// How long a session is remembered.
const LIFETIME: Duration = Duration::from_secs(3600);
/// How many are remembered; past that the oldest go.
const CAPACITY: usize = 10_000;

/// What was shown to pass a stage, where whoever acts on it needs it.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    Nothing,
    RegistrationToken(String),
    Email(ValidatedEmail),
}

/// Who asks for what is to be authenticated.
#[derive(Clone, Debug)]
pub(super) struct Asks {
    pub(super) user_id: OwnedUserId,
    pub(super) device_id: Option<OwnedDeviceId>,
    pub(super) session: i64,
}

impl From<&Requester> for Asks {
    fn from(requester: &Requester) -> Self {
        let Requester { user_id, device_id, session, .. } = requester;
        Self { user_id: user_id.clone(), device_id: device_id.clone(), session: *session }
    }
}

/// One session.
#[derive(Clone, Debug)]
pub(super) struct UiaSession {
    pub(super) binding: [u8; 32],
    pub(super) begun: Duration,
    pub(super) flows: Vec<Vec<Stage>>,
    pub(super) asks: Option<Asks>,
    pub(super) completed: Vec<Stage>,
    pub(super) registration_token: Option<String>,
    pub(super) email: Option<ValidatedEmail>,
    /// The device that waits for its user to approve on the account page.
    pub(super) waits: Option<(OwnedUserId, OwnedDeviceId)>,
    /// Who is to show on a page that it is them, and the device that asks.
    pub(super) confirms: Option<(OwnedUserId, Option<OwnedDeviceId>)>,
}

impl UiaSession {
    /// Notes that a stage was passed.
    pub(super) fn pass(&mut self, stage: Stage, shown: Shown) {
        if !self.completed.contains(&stage) {
            self.completed.push(stage);
        }
        match shown {
            Shown::Nothing => {}
            Shown::RegistrationToken(token) => self.registration_token = Some(token),
            Shown::Email(email) => self.email = Some(email),
        }
    }
}

/// The sessions in memory.
#[derive(Debug, Default)]
pub(crate) struct UiaSessions {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    sessions: HashMap<String, UiaSession>,
    /// Oldest first; may name sessions that are finished.
    order: VecDeque<(Duration, String)>,
}

impl UiaSessions {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, id: String, session: UiaSession) {
        let mut table = self.table();
        table.forget_old(session.begun);
        table.order.push_back((session.begun, id.clone()));
        table.sessions.insert(id, session);
    }

    pub(super) fn get(&self, id: &str, now: Duration) -> Option<UiaSession> {
        let mut table = self.table();
        table.forget_old(now);
        table.sessions.get(id).cloned()
    }

    pub(super) fn complete(&self, id: &str, stage: Stage, shown: Shown) -> Option<UiaSession> {
        let mut table = self.table();
        let session = table.sessions.get_mut(id)?;
        session.pass(stage, shown);
        Some(session.clone())
    }

    pub(super) fn end(&self, id: &str) {
        self.table().sessions.remove(id);
    }

    /// The devices of a user that wait for their approval, the last one first.
    pub(crate) fn asking(&self, user_id: &OwnedUserId, now: Duration) -> Vec<OwnedDeviceId> {
        let mut table = self.table();
        table.forget_old(now);
        let mut asking: Vec<OwnedDeviceId> = Vec::new();
        for (_, id) in table.order.iter().rev() {
            let waits = table.sessions.get(id).and_then(|session| session.waits.as_ref());
            let waits = waits.filter(|(user, _)| user == user_id).map(|(_, device_id)| device_id);
            if let Some(device_id) = waits
                && !asking.contains(device_id)
            {
                asking.push(device_id.clone());
            }
        }
        asking
    }

    /// How many sessions have shown this registration token and are not done.
    pub(crate) fn pending(&self, token: &str, now: Duration) -> i64 {
        let mut table = self.table();
        table.forget_old(now);
        let shown = |session: &&UiaSession| session.registration_token.as_deref() == Some(token);
        i64::try_from(table.sessions.values().filter(shown).count()).unwrap_or(i64::MAX)
    }
}

impl Table {
    fn forget_old(&mut self, now: Duration) {
        while let Some((begun, _)) = self.order.front() {
            if now.saturating_sub(*begun) < LIFETIME && self.order.len() < CAPACITY {
                return;
            }
            if let Some((_, id)) = self.order.pop_front() {
                self.sessions.remove(&id);
            }
        }
    }
}
