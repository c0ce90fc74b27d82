//! What rooms need to know about the server.

use myelin_pdu::{RoomVersionId, SigningKey};
use ruma::OwnedServerName;

use crate::{PolicyList, Retention};

/// The settings of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// This server's name: the domain of its users, and who signs its events.
    pub server_name: OwnedServerName,
    /// The key events are signed with.
    pub signing_key: SigningKey,
    /// The version of rooms whose creator asks for none.
    pub default_room_version: RoomVersionId,
    /// The rooms whose moderation policies are followed.
    pub policy_lists: Vec<PolicyList>,
    /// What is deleted when it is old; none: nothing, whatever rooms say.
    pub retention: Option<Retention>,
}
