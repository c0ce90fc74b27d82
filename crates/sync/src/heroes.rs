//! Heroes: members by whom a room without a name is called
//! (client-server API, "Calculating the display name for a room").

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Member, Membership};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::UserId;
use serde::Serialize;

/// How many heroes a room has at most.
const MOST_HEROES: usize = 5;
/// How many members are looked at to find them. In larger rooms the heroes are among these.
const MOST_MEMBERS: usize = 256;

/// A hero.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hero {
    pub(crate) user_id: String,
    #[serde(rename = "displayname", skip_serializing_if = "Option::is_none")]
    pub(crate) display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) avatar_url: Option<String>,
}

/// The heroes of each room, as the user sees it: the first members by the order in which they came, those who are in
/// the room or asked into it before those who are gone.
pub(crate) async fn heroes(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    rooms: &[RoomNid],
) -> Result<Vec<Vec<Hero>>, ReadError> {
    if rooms.is_empty() {
        return Ok(Vec::new());
    }
    let scans = rooms.iter().map(|room| Scan::prefix::<Member>((*room,), MOST_MEMBERS)).collect();
    let members = snapshot.scan_all::<Member>(scans).await?;
    Ok(members.into_iter().map(|members| choose(user_id, members)).collect())
}

fn choose(user_id: &UserId, mut members: Vec<Member>) -> Vec<Hero> {
    members.retain(|member| member.user_id != user_id && member.membership != Membership::Knock);
    let gone = |member: &Member| matches!(member.membership, Membership::Leave | Membership::Ban);
    if members.iter().any(|member| !gone(member)) {
        members.retain(|member| !gone(member));
    }
    members.sort_by_key(|member| member.joined_at.unwrap_or(member.order));
    let hero = |member: Member| Hero {
        user_id: member.user_id.into(),
        display_name: member.display_name,
        avatar_url: member.avatar_url,
    };
    members.into_iter().take(MOST_HEROES).map(hero).collect()
}
