//! Invites of people by an address of theirs, through an identity server
//! (<https://spec.matrix.org/v1.19/client-server-api/#third-party-invites>).
//!
//! The identity server that a user names says whose the address is, and that user is invited. Where it does not know, it keeps
//! the invite, and the room gets an `m.room.third_party_invite`: whoever has the identity server's signature that the address
//! is theirs may redeem it.

mod protocol;
mod redeem;

pub use protocol::{IdentityAnswer, IdentityRequest, IdentityServers, NoAnswer, To};
pub use redeem::Bound;

use std::collections::BTreeMap;

use futures_util::future::join_all;
use myelin_pdu::{CanonicalJsonRule, CanonicalObject, RoomRules, RoomVersionId};
use myelin_room_core::auth::Rejection;
use myelin_room_core::key::{self, StateKey};
use myelin_room_core::machine::StateEvent;
use myelin_room_core::power::PowerLevels;
use myelin_runtime::Secret;
use myelin_store::schema::rooms::{Member, Membership, Room, RoomById, RoomSummary};
use myelin_store::{Reader, Snapshot};
use ruma::{OwnedServerName, OwnedUserId, RoomId, UserId};
use serde_json::{Map, Value};

use self::protocol::{Stored, Talk};
use crate::{Draft, MembershipError, Refusal, Rooms, SendError, load, members};

/// The only medium in which an identity server can ask somebody in who has no account yet.
const EMAIL: &str = "email";
/// The longest address, in bytes.
const LONGEST_ADDRESS: usize = 512;
/// The most addresses that one request invites.
pub(crate) const MAX_ADDRESSES: usize = 20;

/// An address of somebody who is to be invited.
#[derive(Clone, Debug)]
pub struct Addressee {
    /// The identity server that is asked.
    pub id_server: String,
    /// The inviting user's access token there.
    pub id_access_token: Secret<String>,
    /// What kind of address it is: `email`, `msisdn`.
    pub medium: String,
    /// The address.
    pub address: String,
}

/// Why somebody was not invited by their address.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ThirdPartyError {
    /// This server does not speak to the identity server.
    #[error("this server does not speak to the identity server {0:?}")]
    Untrusted(String),
    /// It is no address.
    #[error("this is no address that somebody can be invited by")]
    Address,
    /// No account is known by the address, and the identity server can't reach whom it belongs to.
    #[error("no account is known by this address, and only an e-mail address may wait for one")]
    Medium,
    /// The identity server does not answer.
    #[error("the identity server does not answer; try again later")]
    Unreachable,
    /// The identity server's answer is not what the specification says.
    #[error("the identity server's answer can't be understood")]
    BadAnswer,
    /// The identity server does not know the access token.
    #[error("the identity server does not accept id_access_token")]
    Token,
    /// The user has to agree to the identity server's terms first.
    #[error("the identity server wants its terms to be agreed to first")]
    Terms,
    /// The identity server refuses, in its own words.
    #[error("the identity server refuses: {0}")]
    Refused(String),
    /// The key that signed is no longer the identity server's.
    #[error("the identity server has revoked the key of this invite")]
    Revoked,
    /// The room refuses, or can't be written.
    #[error(transparent)]
    Membership(#[from] MembershipError),
}

impl From<NoAnswer> for ThirdPartyError {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::Refused => Self::Untrusted(String::new()),
            NoAnswer::Unreachable => Self::Unreachable,
        }
    }
}

impl From<SendError> for ThirdPartyError {
    fn from(error: SendError) -> Self {
        Self::Membership(error.into())
    }
}

/// An address that was looked at, and its identity server.
struct Checked<'a> {
    server: OwnedServerName,
    token: &'a Secret<String>,
    medium: &'a str,
    address: String,
}

impl<'a> Checked<'a> {
    fn new(addressee: &'a Addressee) -> Result<Self, ThirdPartyError> {
        let Addressee { id_server, id_access_token: token, medium, address } = addressee;
        let untrusted = || ThirdPartyError::Untrusted(id_server.clone());
        let server = OwnedServerName::try_from(id_server.as_str()).map_err(|_| untrusted())?;
        let plain = |c: char| !c.is_whitespace() && !c.is_control();
        let is_address = match medium.as_str() {
            EMAIL => address.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()),
            "msisdn" => !address.is_empty() && address.chars().all(|c| c.is_ascii_digit()),
            _ => false,
        };
        if !is_address || address.len() > LONGEST_ADDRESS || !address.chars().all(plain) {
            return Err(ThirdPartyError::Address);
        }
        // Addresses are compared in lower case (appendices, "3PID Types").
        Ok(Self { server, token, medium, address: address.to_lowercase() })
    }

    fn talk<'t>(&'t self, door: &'t dyn IdentityServers) -> Talk<'t> {
        Talk { door, server: &self.server, token: self.token }
    }
}

impl Rooms {
    /// Invites whoever has this address: the user whose it is known to be, or by an invite that waits for them.
    ///
    /// # Errors
    /// See [`ThirdPartyError`].
    pub async fn invite_address(
        &self,
        user: &UserId,
        room_id: &RoomId,
        addressee: &Addressee,
        reason: Option<&str>,
    ) -> Result<(), ThirdPartyError> {
        let door = self.identity_door(addressee)?;
        let checked = Checked::new(addressee)?;
        // Nobody is asked about an address, nor sent mail, for who may not invite.
        self.may_invite(user, room_id).await?;
        let named = |error| name(error, &addressee.id_server);
        let talk = checked.talk(door);
        let known = talk.look_up(&[(&checked.address, checked.medium)]).await.map_err(named)?;
        let known = match known.into_iter().next().flatten() {
            Some(known) => Some(known),
            None => self.leave_invite(door, user, room_id, &checked).await.map_err(named)?,
        };
        if let Some(known) = known {
            self.invite(user, room_id, &known, reason).await?;
        }
        Ok(())
    }

    fn identity_door(&self, addressee: &Addressee) -> Result<&dyn IdentityServers, ThirdPartyError> {
        self.identity.as_deref().ok_or_else(|| ThirdPartyError::Untrusted(addressee.id_server.clone()))
    }

    /// Of the addresses that a new room invites: the users whose they are known to be, and those that are nobody's.
    pub(crate) async fn look_up_all<'a>(
        &self,
        addressees: &'a [Addressee],
    ) -> Result<(Vec<OwnedUserId>, Vec<&'a Addressee>), ThirdPartyError> {
        let mut by_server: BTreeMap<(&str, &str), Vec<(&Addressee, Checked<'_>)>> = BTreeMap::new();
        for addressee in addressees {
            self.identity_door(addressee)?;
            let key = (addressee.id_server.as_str(), addressee.id_access_token.expose().as_str());
            by_server.entry(key).or_default().push((addressee, Checked::new(addressee)?));
        }
        let asked = by_server.values().map(|all| self.look_up_at_one(all));
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for answer in join_all(asked).await {
            for (addressee, user) in answer? {
                match user {
                    Some(user) => known.push(user),
                    None if addressee.medium == EMAIL => unknown.push(addressee),
                    None => return Err(ThirdPartyError::Medium),
                }
            }
        }
        Ok((known, unknown))
    }

    /// The users of addresses that all go to one identity server with one token.
    async fn look_up_at_one<'a>(
        &self,
        all: &[(&'a Addressee, Checked<'_>)],
    ) -> Result<Vec<(&'a Addressee, Option<OwnedUserId>)>, ThirdPartyError> {
        let Some((addressee, first)) = all.first() else { return Ok(Vec::new()) };
        let talk = first.talk(self.identity_door(addressee)?);
        let addresses: Vec<(&str, &str)> =
            all.iter().map(|(_, checked)| (checked.address.as_str(), checked.medium)).collect();
        let users = talk.look_up(&addresses).await.map_err(|error| name(error, &addressee.id_server))?;
        Ok(all.iter().map(|(addressee, _)| *addressee).zip(users).collect())
    }

    /// Leaves invites to a room that was just made. It stands by then, so that what fails here is told to the operator only.
    pub(crate) async fn leave_invites(&self, user: &UserId, room_id: &RoomId, addressees: &[&Addressee]) {
        let each = addressees.iter().map(async |addressee| {
            let door = self.identity_door(addressee)?;
            match self.leave_invite(door, user, room_id, &Checked::new(addressee)?).await? {
                Some(known) => Ok(self.invite(user, room_id, &known, None).await?),
                None => Ok::<(), ThirdPartyError>(()),
            }
        });
        for result in join_all(each).await {
            if let Err(error) = result {
                tracing::warn!(%error, %room_id, "somebody was not invited by their address into a new room");
            }
        }
    }

    /// Leaves an invite with the identity server and puts it into the room; or says whose the address is.
    async fn leave_invite(
        &self,
        door: &dyn IdentityServers,
        user: &UserId,
        room_id: &RoomId,
        checked: &Checked<'_>,
    ) -> Result<Option<OwnedUserId>, ThirdPartyError> {
        if checked.medium != EMAIL {
            return Err(ThirdPartyError::Medium);
        }
        let body = self.described(user, room_id, checked).await?;
        let (token, content) = match checked.talk(door).store_invite(body).await? {
            Stored::Known(known) => return Ok(Some(known)),
            Stored::Waits(token, content) => (token, content),
        };
        let bytes = Value::Object(content).to_string();
        let content = CanonicalObject::parse(bytes.as_bytes(), CanonicalJsonRule::Strict)
            .map_err(|_| ThirdPartyError::BadAnswer)?;
        let draft = Draft {
            sender: user.to_owned(),
            kind: key::THIRD_PARTY_INVITE.to_owned(),
            state_key: Some(token),
            content,
            redacts: None,
            sticky: None,
        };
        self.send(room_id, draft, None).await?;
        Ok(None)
    }

    /// The body of `store-invite`: what the mail to the invited says.
    async fn described(
        &self,
        user: &UserId,
        room_id: &RoomId,
        checked: &Checked<'_>,
    ) -> Result<Value, SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let room = load::room_nid(&*snapshot, room_id).await?.ok_or(SendError::NoSuchRoom)?;
        let summary = snapshot.get::<RoomSummary>(&(room,)).await?;
        let row = snapshot.get::<Room>(&(room,)).await?;
        let profile = members::profiles(&*snapshot, &[user.to_owned()]).await?.pop().flatten();
        let mut body = Map::new();
        let mut add = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                body.insert(key.to_owned(), value.into());
            }
        };
        add("medium", Some(checked.medium.to_owned()));
        add("address", Some(checked.address.clone()));
        add("room_id", Some(room_id.to_string()));
        add("sender", Some(user.to_string()));
        add("room_type", row.and_then(|row| row.room_type));
        if let Some(summary) = summary {
            add("room_alias", summary.canonical_alias);
            add("room_avatar_url", summary.avatar_url);
            add("room_join_rules", summary.join_rule);
            add("room_name", summary.name);
        }
        if let Some(profile) = profile {
            add("sender_display_name", profile.display_name);
            add("sender_avatar_url", profile.avatar_url);
        }
        Ok(Value::Object(body))
    }

    /// Whether the user may invite into the room, as far as that can be said before it is known whom.
    async fn may_invite(&self, user: &UserId, room_id: &RoomId) -> Result<(), SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let row = snapshot.get::<RoomById>(&(room_id.to_owned(),)).await?.ok_or(SendError::NoSuchRoom)?;
        let (policy, server) = (&self.deps.policy, &self.deps.config.server_name);
        if policy.refuses_room(room_id.as_str()) {
            return Err(Refusal::RoomBlocked.into());
        }
        if policy.refuses_user(user, server) {
            return Err(Refusal::UserBlocked(user.to_owned()).into());
        }
        let member = snapshot.get::<Member>(&(row.room, user.to_owned())).await?;
        if member.is_none_or(|member| member.membership != Membership::Join) {
            let sender = user.as_str().into();
            return Err(Refusal::NotAllowed(Rejection::SenderNotJoined { sender }).into());
        }
        let Some(room) = snapshot.get::<Room>(&(row.room,)).await? else { return Err(SendError::NoSuchRoom) };
        check_power(&*snapshot, &room, user).await
    }
}

/// Whether the user has the power to invite.
async fn check_power(snapshot: &dyn Snapshot, room: &Room, user: &UserId) -> Result<(), SendError> {
    let unsupported = || SendError::UnsupportedVersion(room.version.clone());
    let version: RoomVersionId = room.version.parse().map_err(|_| unsupported())?;
    let rules = RoomRules::for_version(&version);
    let keys = [StateKey::new(key::CREATE, ""), StateKey::new(key::POWER_LEVELS, "")];
    let mut state = load::state(snapshot, room.room, rules, &keys).await?.into_iter();
    let create = state.next().flatten().ok_or(SendError::NoSuchRoom)?;
    let levels = state.next().flatten();
    let levels = PowerLevels::new(&rules.auth, create.event(), levels.as_ref().map(StateEvent::event));
    let (has, required) = (levels.user_level(user.as_str()), levels.invite());
    if has.reaches(required) {
        return Ok(());
    }
    let sender = user.as_str().into();
    Err(Refusal::NotAllowed(Rejection::LacksPower { sender, action: "invite users", has, required }).into())
}

/// The error, with the name of the identity server where it is about that.
fn name(error: ThirdPartyError, id_server: &str) -> ThirdPartyError {
    match error {
        ThirdPartyError::Untrusted(_) => ThirdPartyError::Untrusted(id_server.to_owned()),
        other => other,
    }
}
