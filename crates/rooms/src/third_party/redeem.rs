//! Redeeming an `m.room.third_party_invite`: an identity server has signed that the address is a user's.

use myelin_model::RoomNid;
use myelin_pdu::{CanonicalObject, CanonicalValue, RoomRules, RoomVersionId};
use myelin_room_core::key::{self, StateKey};
use myelin_room_core::third_party::fitting_key;
use myelin_store::Reader;
use myelin_store::schema::rooms::{Member, Membership, Room, RoomById, State};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use super::ThirdPartyError;
use super::protocol::is_valid;
use crate::{MembershipError, Rooms, SendError, load, members};

/// The most invites that one notice of an identity server brings.
const MOST_BOUND: usize = 100;

/// An invite that waited for an address, now that it is somebody's.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Who invited.
    pub sender: OwnedUserId,
    /// What the identity server has signed: `mxid`, `token`, `signatures`.
    pub signed: CanonicalObject,
}

/// An invite that waits, as its room has it.
struct Waiting {
    display_name: Option<String>,
    /// Where the key that signed is shown to be valid, and the key.
    validity: Option<(String, String)>,
}

impl Rooms {
    /// Makes invites of what waited for an address that is this user's now. What can't be one is passed over.
    pub async fn address_bound(&self, user: &UserId, invites: &[Bound]) {
        for invite in invites.iter().take(MOST_BOUND) {
            if let Err(error) = self.redeem(user, invite).await {
                tracing::info!(%error, room_id = %invite.room_id, "an invite by address was not redeemed");
            }
        }
    }

    /// Invites the user by what an identity server has signed, on behalf of who invited the address. Nothing happens where
    /// they are invited or in the room already.
    ///
    /// # Errors
    /// See [`ThirdPartyError`]; the room's rules judge the signature.
    pub async fn redeem(&self, user: &UserId, invite: &Bound) -> Result<(), ThirdPartyError> {
        let Bound { room_id, sender, signed } = invite;
        let server = &self.deps.config.server_name;
        if let Some(remote) = [user, sender].into_iter().find(|user| user.server_name() != server) {
            return Err(MembershipError::Remote(remote.to_owned()).into());
        }
        let Some((room, profile_user)) = self.room_without(user, room_id).await? else { return Ok(()) };
        let waiting = self.waiting(room, invite).await?;
        if let Some((url, public_key)) = waiting.as_ref().and_then(|waiting| waiting.validity.as_ref()) {
            let door = self.identity.as_deref().ok_or(ThirdPartyError::Untrusted(String::new()))?;
            if !is_valid(door, url, public_key).await? {
                return Err(ThirdPartyError::Revoked);
            }
        }
        let snapshot = self.deps.engine.snapshot().await.map_err(SendError::from)?;
        let profile = members::profiles(&*snapshot, &[profile_user]).await.map_err(SendError::from)?;
        drop(snapshot);
        let profile = profile.into_iter().next().flatten();
        let mut draft = members::draft(sender, user, "invite", profile.as_ref(), None);
        let mut redeemed = CanonicalObject::default();
        let display_name = waiting.and_then(|waiting| waiting.display_name).unwrap_or_default();
        redeemed.insert("display_name", display_name);
        redeemed.insert("signed", signed.clone());
        draft.content.insert("third_party_invite", redeemed);
        self.send_to(room, draft, None).await?;
        Ok(())
    }

    /// The room, unless the user is invited or in it.
    async fn room_without(
        &self,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<Option<(RoomNid, OwnedUserId)>, SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let row = snapshot.get::<RoomById>(&(room_id.to_owned(),)).await?.ok_or(SendError::NoSuchRoom)?;
        let member = snapshot.get::<Member>(&(row.room, user.to_owned())).await?;
        let is_there =
            member.is_some_and(|member| matches!(member.membership, Membership::Join | Membership::Invite));
        Ok((!is_there).then(|| (row.room, user.to_owned())))
    }

    /// The invite that is redeemed, where the room has it and one of its keys has signed; otherwise the room's rules refuse
    /// what comes of it, and nobody is asked about a key.
    async fn waiting(&self, room: RoomNid, invite: &Bound) -> Result<Option<Waiting>, SendError> {
        let Some(token) = invite.signed.get_str("token") else { return Ok(None) };
        let snapshot = self.deps.engine.snapshot().await?;
        let row = snapshot.get::<Room>(&(room,)).await?.ok_or(SendError::NoSuchRoom)?;
        let Ok(version) = row.version.parse::<RoomVersionId>() else { return Ok(None) };
        let key = load::state_key(room, &StateKey::new(key::THIRD_PARTY_INVITE, token));
        let Some(state) = snapshot.get::<State>(&key).await? else { return Ok(None) };
        let mut found = load::events(&*snapshot, RoomRules::for_version(&version), &[state.event]).await?;
        let Some(stored) = found.remove(&state.event) else { return Ok(None) };
        let content = stored.pdu.content_object();
        let keys = keys(&content);
        let texts: Vec<Box<str>> = keys.iter().map(|(key, _)| (*key).into()).collect();
        let Some(fitting) = fitting_key(&invite.signed, &texts) else { return Ok(None) };
        let url = keys.iter().find(|(key, url)| *key == fitting && url.is_some());
        let validity = url.and_then(|(key, url)| Some(((*url)?.to_owned(), (*key).to_owned())));
        Ok(Some(Waiting { display_name: content.get_str("display_name").map(str::to_owned), validity }))
    }
}

/// The keys of an invite, each with where it is shown to be valid.
fn keys(content: &CanonicalObject) -> Vec<(&str, Option<&str>)> {
    let listed = content.get("public_keys").and_then(CanonicalValue::as_array).unwrap_or_default();
    let listed = listed.iter().filter_map(CanonicalValue::as_object);
    let all = std::iter::once(content).chain(listed);
    all.filter_map(|key| Some((key.get_str("public_key")?, key.get_str("key_validity_url")))).collect()
}
