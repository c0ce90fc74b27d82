//! Profiles (client-server API, "Profiles").

use std::collections::BTreeMap;

use bytes::Bytes;
use myelin_model::{Pos, Requester, Topic};
use myelin_store::schema::auth::Account;
use myelin_store::schema::users::{GLOBAL, Profile, ProfileSpread};
use myelin_store::{Batch, CommitError, Planned, ReadError, Reader, Snapshot};
use ruma::{OwnedUserId, UserId};
use serde_json::value::{RawValue, to_raw_value};

use crate::{InvalidKey, ProfileKey, Users, directory, is_own, profile_changes};

/// The largest profile as JSON, in bytes.
pub const MAX_PROFILE: usize = 64 * 1_024;

/// The longest display name, avatar URL or time zone, in bytes: the first two are copied into an event of each room.
const MAX_TEXT: usize = 1_024;

/// A profile as JSON: its fields with their values as they were set.
pub(crate) type Fields = BTreeMap<String, Box<RawValue>>;

/// Why a profile was not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is somebody else's.
    #[error("a profile can be changed by its own user only")]
    NotYours,
    /// There is no such user here, or no more.
    #[error("this server knows no profile of {0}")]
    NoSuchUser(OwnedUserId),
    /// The field's name.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// The field's value.
    #[error("{0}")]
    Value(&'static str),
    /// The profile would be larger than [`MAX_PROFILE`].
    #[error("the whole profile may have at most {MAX_PROFILE} bytes")]
    TooLarge,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Users {
    /// The whole profile of a user of this server, as JSON.
    ///
    /// # Errors
    /// [`ProfileError::NoSuchUser`], and where the store can't be read.
    pub async fn profile(&self, user_id: &UserId) -> Result<Bytes, ProfileError> {
        let (_, profile) = self.load_profile(&*self.engine.snapshot().await?, user_id).await?;
        Ok(written(&fields(&profile)))
    }

    /// The value of one field, as JSON.
    ///
    /// # Errors
    /// [`ProfileError::NoSuchUser`], and where the store can't be read.
    pub async fn profile_field(
        &self,
        user_id: &UserId,
        key: &ProfileKey,
    ) -> Result<Option<Box<RawValue>>, ProfileError> {
        let (_, profile) = self.load_profile(&*self.engine.snapshot().await?, user_id).await?;
        Ok(fields(&profile).remove(key.as_str()))
    }

    /// Sets a field. A changed display name or avatar reaches the rooms of the user by and by, even through a restart.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub async fn set_profile_field(
        &self,
        requester: &Requester,
        user_id: &UserId,
        key: &ProfileKey,
        value: &RawValue,
    ) -> Result<(), ProfileError> {
        self.change_profile(requester, user_id, &|profile| set(profile, key, value)).await
    }

    /// Removes a field; nothing happens where there is none.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub async fn delete_profile_field(
        &self,
        requester: &Requester,
        user_id: &UserId,
        key: &ProfileKey,
    ) -> Result<(), ProfileError> {
        self.change_profile(requester, user_id, &|profile| {
            match key {
                ProfileKey::DisplayName => profile.display_name = None,
                ProfileKey::AvatarUrl => profile.avatar_url = None,
                ProfileKey::Other(key) => {
                    let mut others = others(profile);
                    if others.remove(key).is_some() {
                        profile.fields = (!others.is_empty()).then(|| written(&others));
                    }
                }
            }
            Ok(())
        })
        .await
    }

    async fn change_profile(
        &self,
        requester: &Requester,
        user_id: &UserId,
        change: &(dyn Fn(&mut Profile) -> Result<(), ProfileError> + Sync),
    ) -> Result<(), ProfileError> {
        if !is_own(requester, user_id) {
            return Err(ProfileError::NotYours);
        }
        let _turn = self.turns.of(myelin_model::Shard::of(user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            let (account, before) = self.load_profile(&*snapshot, user_id).await?;
            let mut after = before.clone();
            change(&mut after)?;
            if after == before {
                return Ok(());
            }
            if written(&fields(&after)).len() > MAX_PROFILE {
                return Err(ProfileError::TooLarge);
            }
            let mut batch = self.batch(user_id);
            batch.expect_column::<Account>(&(account.user_id,), "version", &account.version);
            profile_changes::note(&*snapshot, &mut batch, &before, &after).await?;
            drop(snapshot);
            let shown = plan(&mut batch, &before, after);
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                if shown {
                    self.spread_wanted.notify_one();
                }
                return Ok(());
            }
        }
    }

    /// The account and profile of a user of this server; an account without a profile has an empty one.
    async fn load_profile(
        &self,
        snapshot: &dyn Snapshot,
        user_id: &UserId,
    ) -> Result<(Account, Profile), ProfileError> {
        let no_such_user = || ProfileError::NoSuchUser(user_id.to_owned());
        if !self.is_local(user_id) {
            return Err(no_such_user());
        }
        let account = snapshot.get::<Account>(&(user_id.to_owned(),)).await?;
        let account = account.filter(|account| account.deactivated_at.is_none()).ok_or_else(no_such_user)?;
        let profile = snapshot.get::<Profile>(&(user_id.to_owned(),)).await?;
        let user_id = user_id.to_owned();
        let empty =
            || Profile { user_id, display_name: None, avatar_url: None, fields: None, changed: Pos::ZERO };
        Ok((account, profile.unwrap_or_else(empty)))
    }
}

/// Writes the changed profile into the batch, which expects the one it was changed from. Says whether rooms show the
/// change; then the batch has the task to bring it there.
fn plan(batch: &mut Batch, before: &Profile, after: Profile) -> bool {
    let key = (after.user_id.clone(),);
    if before.changed == Pos::ZERO {
        batch.expect_absent::<Profile>(&key);
    } else {
        batch.expect_column::<Profile>(&key, "changed", &before.changed);
    }
    let shown = after.display_name != before.display_name || after.avatar_url != before.avatar_url;
    let changed = batch.next_pos();
    if after.display_name != before.display_name {
        directory::renamed(batch, &key.0, before.display_name.as_deref(), after.display_name.as_deref());
    }
    if shown {
        batch.put(&ProfileSpread { user_id: key.0.clone(), done: GLOBAL, changed });
    }
    batch.wake(Topic::user(key.0.as_str()));
    batch.put(&Profile { changed, ..after });
    shown
}

fn set(profile: &mut Profile, key: &ProfileKey, value: &RawValue) -> Result<(), ProfileError> {
    match key {
        ProfileKey::DisplayName => profile.display_name = text(value)?,
        ProfileKey::AvatarUrl => {
            // Whether it is a URI of media is for clients to look at: they show what they can.
            profile.avatar_url = text(value)?;
        }
        ProfileKey::Other(key) => {
            if key == "m.tz" {
                text(value)?.ok_or(ProfileError::Value("a time zone is given by its name"))?;
            }
            let mut others = others(profile);
            let before = others.insert(key.clone(), value.to_owned());
            if before.is_none_or(|before| before.get() != value.get()) {
                profile.fields = Some(written(&others));
            }
        }
    }
    Ok(())
}

/// A text value. Nothing and an empty text are how clients took a value away before there was a request for it.
fn text(value: &RawValue) -> Result<Option<String>, ProfileError> {
    let text: Option<String> =
        serde_json::from_str(value.get()).map_err(|_| ProfileError::Value("the value must be a string"))?;
    if text.as_ref().is_some_and(|text| text.len() > MAX_TEXT) {
        return Err(ProfileError::Value("the value may have at most 1024 bytes"));
    }
    Ok(text.filter(|text| !text.is_empty()))
}

/// The fields beside name and avatar.
fn others(profile: &Profile) -> Fields {
    profile.fields.as_ref().and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default()
}

pub(crate) fn fields(profile: &Profile) -> Fields {
    let mut fields = others(profile);
    let texts = [("displayname", &profile.display_name), ("avatar_url", &profile.avatar_url)];
    for (key, text) in texts {
        if let Some(value) = text.as_ref().and_then(|text| to_raw_value(text).ok()) {
            fields.insert(key.to_owned(), value);
        }
    }
    fields
}

fn written(fields: &Fields) -> Bytes {
    Bytes::from(serde_json::to_vec(fields).expect("a map of strings and raw JSON can be written"))
}

#[cfg(test)]
mod tests;
