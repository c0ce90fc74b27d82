//! `/hierarchy`: the rooms of a space, depth first
//! (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy>).

use std::collections::{HashMap, HashSet};

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Event, Member, RoomById, State};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_timeline::{contents, load};
use ruma::{OwnedRoomId, RoomId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Rooms;
use crate::preview::{Details, details, may_preview};
use crate::reading::ReadingError;

/// The most rooms of one space tree that are walked through; a longer tree ends there.
const MOST_WALKED: usize = 2_000;
/// The most children of one space that are listed.
const MOST_CHILDREN: usize = 1_000;
/// How deep a walk goes at most.
const MOST_DEPTH: usize = 50;

/// A place in a space tree.
#[derive(Clone, Debug, Serialize)]
pub struct SpaceRoom {
    #[serde(flatten)]
    /// The room.
    pub details: Details,
    /// The `m.space.child` events of a space.
    pub children_state: Vec<Child>,
}

/// An `m.space.child` event, stripped but for its time.
#[derive(Clone, Debug, Serialize)]
pub struct Child {
    #[serde(rename = "type")]
    kind: &'static str,
    state_key: String,
    content: Box<RawValue>,
    sender: String,
    origin_server_ts: i64,
    #[serde(skip)]
    order: Option<String>,
    #[serde(skip)]
    suggested: bool,
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct ChildContent {
    via: Option<Vec<String>>,
    order: Option<String>,
    suggested: Option<bool>,
}

/// Which part of the tree to list.
#[derive(Clone, Copy, Debug)]
pub struct TreeRequest {
    /// Only children that their space suggests.
    pub suggested_only: bool,
    /// How deep to go; the space itself is at 0.
    pub max_depth: usize,
    /// How many rooms to pass over.
    pub offset: usize,
    /// How many to list.
    pub limit: usize,
}

impl Rooms {
    /// A page of the rooms of a space, the space first, and whether there are more. Rooms that the user may not see, or
    /// that this server does not know, are left out with what is below them.
    ///
    /// # Errors
    /// [`ReadingError::NotInRoom`] where the user may not see the space itself.
    pub async fn hierarchy(
        &self,
        user: &UserId,
        room_id: &RoomId,
        request: TreeRequest,
    ) -> Result<(Vec<SpaceRoom>, bool), ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let (mut stack, mut walked) = (vec![(room_id.to_owned(), 0)], HashSet::new());
        let (mut page, mut passed) = (Vec::new(), 0);
        while let Some((room_id, depth)) = stack.pop() {
            if walked.len() >= MOST_WALKED || !walked.insert(room_id.clone()) {
                continue;
            }
            let Some(room) = seen(&*snapshot, user, &room_id).await? else {
                if walked.len() == 1 {
                    return Err(ReadingError::NotInRoom);
                }
                continue;
            };
            if page.len() == request.limit {
                return Ok((page, true));
            }
            let is_space = room.preview.room_type.as_deref() == Some("m.space");
            let children = match is_space {
                true => children(&*snapshot, room.preview.room, request.suggested_only).await?,
                false => Vec::new(),
            };
            if depth < request.max_depth.min(MOST_DEPTH) {
                let below =
                    children.iter().rev().filter_map(|child| child.state_key.as_str().try_into().ok());
                stack.extend(below.map(|child: OwnedRoomId| (child, depth + 1)));
            }
            if passed < request.offset {
                passed += 1;
            } else {
                page.push(SpaceRoom { details: room, children_state: children });
            }
        }
        Ok((page, false))
    }
}

/// The room, if this server knows it and the user may see what it shows of itself.
async fn seen(
    snapshot: &dyn Snapshot,
    user: &UserId,
    room_id: &RoomId,
) -> Result<Option<Details>, ReadError> {
    let Some(row) = snapshot.get::<RoomById>(&(room_id.to_owned(),)).await? else { return Ok(None) };
    let Some(details) = details(snapshot, &[row.room]).await?.pop() else { return Ok(None) };
    let member = snapshot.get::<Member>(&(row.room, user.to_owned())).await?;
    let may = may_preview(snapshot, &details, Some(user), member.as_ref()).await?;
    Ok(Some(details).filter(|_| may))
}

/// The children of a space in the order that the spec gives them: by `order`, those without one last, then by age.
async fn children(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    suggested_only: bool,
) -> Result<Vec<Child>, ReadError> {
    let scan = Scan::prefix::<State>((room, "m.space.child".to_owned()), MOST_CHILDREN);
    let events: Vec<_> = snapshot.scan::<State>(scan).await?.into_iter().map(|row| row.event).collect();
    let headers = load(snapshot, &events).await?;
    let stored: HashMap<_, _> = contents(snapshot, &events).await?.into_iter().collect();
    let mut children: Vec<Child> = headers
        .into_iter()
        .filter_map(|header| child(&header, stored.get(&header.event)?))
        .filter(|child| child.suggested || !suggested_only)
        .collect();
    children.sort_by(|a, b| {
        let key = |child: &Child| {
            (child.order.is_none(), child.order.clone(), child.origin_server_ts, child.state_key.clone())
        };
        key(a).cmp(&key(b))
    });
    Ok(children)
}

/// A child as it is shown; one without `via` was taken out of the space.
fn child(header: &Event, json: &[u8]) -> Option<Child> {
    let stored: Stored<'_> = serde_json::from_slice(json).ok()?;
    let content: ChildContent = serde_json::from_str(stored.content.get()).ok()?;
    content.via?;
    // "Consisting of ASCII characters within the range \x20 and \x7E, not more than 50 of them."
    let well_formed =
        |order: &String| order.len() <= 50 && order.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    Some(Child {
        kind: "m.space.child",
        state_key: header.state_key.clone()?,
        content: stored.content.to_owned(),
        sender: header.sender.to_string(),
        origin_server_ts: header.origin_server_ts,
        order: content.order.filter(well_formed),
        suggested: content.suggested.unwrap_or(false),
    })
}
