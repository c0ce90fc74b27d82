//! Setting and listing pushers.

use bytes::Bytes;
use myelin_model::Requester;
use myelin_store::schema::auth::Device;
use myelin_store::schema::notify::{PendingPush, PushUser, Pusher};
use myelin_store::{Batch, CommitError, ReadError, Reader, Scan, Snapshot};
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use serde_json::{Map, Value};

use crate::rules::RuleError;
use crate::{ATTEMPTS, Notify};

/// How many pushers a user may have.
pub const MAX_PUSHERS: usize = 100;
/// The longest `pushkey`, in bytes.
const MAX_PUSHKEY: usize = 512;
/// The longest `app_id`, in characters.
const MAX_APP_ID: usize = 64;
/// The longest of the other texts, in bytes.
const MAX_TEXT: usize = 1_024;
/// The largest `data`, in bytes of JSON.
const MAX_DATA: usize = 16 * 1_024;
/// The only path that notifications are sent to.
const PATH: &str = "/_matrix/push/v1/notify";

/// Which gateways a pusher may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schemes {
    /// Those reached by HTTPS, as the specification demands.
    HttpsOnly,
    /// Those reached by plain HTTP too: for gateways within one's own network.
    HttpToo,
}

/// A pusher as a client sets it.
#[derive(Clone, Debug)]
pub struct NewPusher {
    /// The gateway's name for the device.
    pub pushkey: String,
    /// The application.
    pub app_id: String,
    /// Its name for people.
    pub app_display_name: String,
    /// The device's name for people.
    pub device_display_name: String,
    /// Which device specific rules it follows.
    pub profile_tag: Option<String>,
    /// The language of its user.
    pub lang: String,
    /// What the gateway gets, and `url`.
    pub data: Map<String, Value>,
    /// Pushers of other users with this key and application stay.
    pub append: bool,
}

/// Why a pusher was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PusherProblem {
    /// A text is empty or too long.
    #[error("{0} is empty or too long")]
    Text(&'static str),
    /// The data are too large.
    #[error("data may have {MAX_DATA} bytes")]
    LargeData,
    /// The URL is not one that notifications may be sent to.
    #[error("data.url must be an HTTPS URL with the path {PATH}")]
    Url,
    /// The user has too many.
    #[error("a user may have {MAX_PUSHERS} pushers")]
    TooMany,
    /// The session that asks has ended.
    #[error("the session has ended")]
    SessionEnded,
}

/// Why a pusher was not set or deleted.
#[derive(Debug, thiserror::Error)]
pub enum PusherError {
    /// It was refused.
    #[error(transparent)]
    Refused(#[from] PusherProblem),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The user's rooms were not told of it all. It is set; the next start tells the others.
    #[error(transparent)]
    Spread(#[from] RuleError),
}

impl Notify {
    /// The pushers of the one who asks.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn pushers(&self, requester: &Requester) -> Result<Vec<Pusher>, ReadError> {
        let scan = Scan::prefix::<Pusher>((requester.user_id.clone(),), MAX_PUSHERS);
        self.engine.snapshot().await?.scan::<Pusher>(scan).await
    }

    /// Sets a pusher, in place of the user's own with this key and application. It lasts as long as the session that
    /// sets it.
    ///
    /// # Errors
    /// See [`PusherError`].
    pub async fn set_pusher(&self, requester: &Requester, new: &NewPusher) -> Result<(), PusherError> {
        let url = new.check(self.schemes)?;
        let _turn = self.turns.of(myelin_model::Shard::of(requester.user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            let batch = self.plan_pusher(&*snapshot, requester, new, url).await?;
            drop(snapshot);
            attempt += 1;
            match self.engine.commit(batch).await {
                Ok(_) => break,
                Err(CommitError::Conflict { .. }) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.spread(&requester.user_id).await?)
    }

    async fn plan_pusher(
        &self,
        snapshot: &dyn Snapshot,
        requester: &Requester,
        new: &NewPusher,
        url: &str,
    ) -> Result<Batch, PusherError> {
        let user_id = &requester.user_id;
        let mut batch = self.batch(user_id);
        if let Some(device_id) = &requester.device_id {
            let device = (user_id.clone(), device_id.clone());
            if snapshot.get::<Device>(&device).await?.is_none_or(|row| row.session != requester.session) {
                return Err(PusherProblem::SessionEnded.into());
            }
            batch.expect_column::<Device>(&device, "session", &requester.session);
        }
        let own = snapshot.scan::<Pusher>(Scan::prefix::<Pusher>((user_id.clone(),), MAX_PUSHERS)).await?;
        let is_new = !own.iter().any(|row| row.app_id == new.app_id && row.pushkey == new.pushkey);
        if is_new && own.len() >= MAX_PUSHERS {
            return Err(PusherProblem::TooMany.into());
        }
        if !new.append {
            let key = (new.app_id.clone(), new.pushkey.clone());
            let same = Scan::index::<Pusher>(Pusher::BY_KEY, key, MAX_PUSHERS);
            let same = snapshot.scan::<Pusher>(same).await?;
            for other in same.into_iter().filter(|other| other.user_id != *user_id) {
                delete(&mut batch, other.user_id, other.app_id, other.pushkey);
            }
        }
        match snapshot.get::<PushUser>(&(user_id.clone(),)).await? {
            Some(row) => batch.expect_column::<PushUser>(&(user_id.clone(),), "rules", &row.rules),
            None => batch.insert(&PushUser { user_id: user_id.clone(), rules: None, spreading: true }),
        }
        batch.put(&new.row(user_id.clone(), requester.device_id.clone(), url, self.now()));
        Ok(batch)
    }

    /// Deletes a pusher of the one who asks; nothing happens where there is none.
    ///
    /// # Errors
    /// See [`PusherError`].
    pub async fn delete_pusher(
        &self,
        requester: &Requester,
        app_id: &str,
        pushkey: &str,
    ) -> Result<(), PusherError> {
        self.drop_pusher(&requester.user_id, app_id, pushkey).await?;
        Ok(())
    }

    pub(super) async fn drop_pusher(
        &self,
        user_id: &UserId,
        app_id: &str,
        pushkey: &str,
    ) -> Result<(), CommitError> {
        let mut batch = self.batch(user_id);
        delete(&mut batch, user_id.to_owned(), app_id.to_owned(), pushkey.to_owned());
        self.engine.commit(batch).await.map(drop)
    }

    /// Adds to the batch that ends a device what that means for its pushers.
    pub fn device_removed(&self, batch: &mut Batch, user_id: &UserId, device_id: &DeviceId) {
        let device = (user_id.to_owned(), Some(OwnedDeviceId::from(device_id)));
        batch.delete_range(Scan::index::<Pusher>(Pusher::BY_DEVICE, device, usize::MAX));
    }

    pub(crate) fn now(&self) -> i64 {
        i64::try_from(self.env.clock.now()).unwrap_or(i64::MAX)
    }
}

fn delete(batch: &mut Batch, user_id: OwnedUserId, app_id: String, pushkey: String) {
    let key = (user_id, app_id, pushkey);
    batch.delete::<Pusher>(&key);
    batch.delete_range(Scan::prefix::<PendingPush>(key, usize::MAX));
}

impl NewPusher {
    /// Whether it can be; answers with its URL.
    fn check(&self, schemes: Schemes) -> Result<&str, PusherProblem> {
        let texts = [
            ("app_display_name", &self.app_display_name),
            ("device_display_name", &self.device_display_name),
            ("lang", &self.lang),
        ];
        let long = texts.into_iter().find(|(_, text)| text.len() > MAX_TEXT);
        if let Some((name, _)) = long {
            return Err(PusherProblem::Text(name));
        }
        if self.pushkey.is_empty() || self.pushkey.len() > MAX_PUSHKEY {
            return Err(PusherProblem::Text("pushkey"));
        }
        if self.app_id.is_empty() || self.app_id.chars().count() > MAX_APP_ID {
            return Err(PusherProblem::Text("app_id"));
        }
        if self.profile_tag.as_ref().is_some_and(|tag| tag.len() > MAX_TEXT) {
            return Err(PusherProblem::Text("profile_tag"));
        }
        if Value::Object(self.data.clone()).to_string().len() > MAX_DATA {
            return Err(PusherProblem::LargeData);
        }
        let url = self.data.get("url").and_then(Value::as_str).ok_or(PusherProblem::Url)?;
        if may_be_sent_to(url, schemes) { Ok(url) } else { Err(PusherProblem::Url) }
    }

    fn row(&self, user_id: OwnedUserId, device_id: Option<OwnedDeviceId>, url: &str, now: i64) -> Pusher {
        Pusher {
            user_id,
            app_id: self.app_id.clone(),
            pushkey: self.pushkey.clone(),
            device_id,
            app_display_name: self.app_display_name.clone(),
            device_display_name: self.device_display_name.clone(),
            profile_tag: self.profile_tag.clone(),
            lang: self.lang.clone(),
            data: Bytes::from(Value::Object(self.data.clone()).to_string()),
            url: url.to_owned(),
            set_at: now,
        }
    }
}

/// Whether this is the URL of a push gateway. Where its host leads is looked at when it is sent to.
fn may_be_sent_to(url: &str, schemes: Schemes) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let scheme = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => schemes == Schemes::HttpToo,
        _ => false,
    };
    // Names and passwords in a URL are no part of the specification.
    let has_host =
        uri.authority().is_some_and(|host| !host.host().is_empty() && !host.as_str().contains('@'));
    scheme && has_host && uri.path() == PATH
}

#[cfg(test)]
mod tests {
    use super::{Schemes, may_be_sent_to};

    #[test]
    fn only_the_one_path_of_a_gateway_is_sent_to() {
        let may = |url: &str| may_be_sent_to(url, Schemes::HttpsOnly);
        assert!(may("https://push.example.org/_matrix/push/v1/notify"));
        assert!(may("https://push.example.org:8443/_matrix/push/v1/notify?x=y"));
        for url in [
            "https://push.example.org/_matrix/push/v1/notify/",
            "https://push.example.org/_matrix/push/v1/../notify",
            "https://push.example.org/admin",
            "https://user:pw@push.example.org/_matrix/push/v1/notify",
            "http://push.example.org/_matrix/push/v1/notify",
            "file:///_matrix/push/v1/notify",
            "/_matrix/push/v1/notify",
            "https:///_matrix/push/v1/notify",
            "",
        ] {
            assert!(!may(url), "{url}");
        }
        assert!(may_be_sent_to("http://127.0.0.1:1/_matrix/push/v1/notify", Schemes::HttpToo));
    }
}
