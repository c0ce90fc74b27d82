//! A list of rooms in one piece, as it is stored: looked at where it lies, never decoded as a whole.
//!
//! First comes a [`Head`], then a [`Record`] for each room, newest first, then the places of these records in the order of
//! their rooms, then, as JSON, the kinds that the records speak of.

use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use zerocopy::little_endian::{I64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{RoomEntry, RoomKey, Standing, Tags};

/// The layout of what is stored. Nothing else is read.
const LAYOUT: u32 = 2;

/// What precedes the records.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head {
    layout: U32,
    rooms: U32,
    listed: U32,
}

/// A room; see [`RoomEntry`].
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Record {
    room: I64,
    changed: I64,
    read_at: I64,
    moved_at: I64,
    joined_at: I64,
    sticky_until: I64,
    /// The number of its [`Kind`].
    kind: U32,
    standing: u8,
    marks: u8,
}

/// What few rooms have, and many the same of.
type Kind = (Option<Arc<str>>, Tags);

const ENCRYPTED: u8 = 1;
const DM: u8 = 1 << 1;
const ASKED_AS_DM: u8 = 1 << 2;
const HAS_JOINED_AT: u8 = 1 << 3;
const HAS_STICKY_UNTIL: u8 = 1 << 4;

/// The rooms.
#[derive(Clone, Debug, Default)]
pub(super) struct Base {
    bytes: Bytes,
    kinds: Arc<[Kind]>,
}

/// Where things are in the bytes.
struct Parts<'b> {
    head: Head,
    records: &'b [Record],
    places: &'b [U32],
    kinds: &'b [u8],
}

fn parts(bytes: &[u8]) -> Option<Parts<'_>> {
    let (head, rest) = Head::read_from_prefix(bytes).ok()?;
    let rooms = usize::try_from(head.rooms.get()).ok()?;
    let (records, rest) = <[Record]>::ref_from_prefix_with_elems(rest, rooms).ok()?;
    let (places, kinds) = <[U32]>::ref_from_prefix_with_elems(rest, rooms).ok()?;
    (head.layout == LAYOUT).then_some(Parts { head, records, places, kinds })
}

impl Base {
    /// Takes over what was stored; `None` where it is of another layout.
    pub(super) fn read(bytes: Bytes) -> Option<Self> {
        let kinds: Vec<(Option<String>, Vec<Box<str>>)> =
            serde_json::from_slice(parts(&bytes)?.kinds).ok()?;
        let kinds = kinds
            .into_iter()
            .map(|(room_type, tags)| (room_type.map(Arc::from), (!tags.is_empty()).then(|| Arc::from(tags))));
        let kinds = kinds.collect();
        Some(Self { bytes, kinds })
    }

    /// Packs rooms, newest first, each of which is there once.
    pub(super) fn pack(rooms: &[(RoomKey, RoomEntry)]) -> Self {
        let count = |count: usize| U32::new(u32::try_from(count).unwrap_or(u32::MAX));
        let listed = rooms.iter().filter(|(_, entry)| entry.standing.is_listed()).count();
        let head = Head { layout: U32::new(LAYOUT), rooms: count(rooms.len()), listed: count(listed) };
        let mut bytes = Vec::with_capacity(
            size_of::<Head>() + rooms.len() * (size_of::<Record>() + size_of::<U32>()) + 64,
        );
        bytes.extend_from_slice(head.as_bytes());
        let mut kinds: Vec<Kind> = Vec::new();
        let mut numbers: FxHashMap<Kind, usize> = FxHashMap::default();
        for (room, entry) in rooms {
            let kind = (entry.room_type.clone(), entry.tags.clone());
            let number = *numbers.entry(kind).or_insert_with_key(|kind| {
                kinds.push(kind.clone());
                kinds.len() - 1
            });
            bytes.extend_from_slice(Record::of(*room, entry, count(number)).as_bytes());
        }
        let mut places: Vec<usize> = (0..rooms.len()).collect();
        places.sort_unstable_by_key(|place| rooms.get(*place).map(|(room, _)| *room));
        bytes.extend(places.into_iter().flat_map(|place| count(place).to_bytes()));
        let told: Vec<(Option<&str>, &[Box<str>])> = kinds
            .iter()
            .map(|(room_type, tags)| (room_type.as_deref(), tags.as_deref().unwrap_or_default()))
            .collect();
        // Writing text to memory does not fail.
        bytes.extend(serde_json::to_vec(&told).unwrap_or_default());
        Self { bytes: bytes.into(), kinds: kinds.into() }
    }

    /// What is to be stored.
    pub(super) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    fn records(&self) -> &[Record] {
        parts(&self.bytes).map(|parts| parts.records).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.records().len()
    }

    /// How many of the rooms lists show.
    pub(super) fn listed(&self) -> usize {
        let listed = parts(&self.bytes).and_then(|parts| usize::try_from(parts.head.listed.get()).ok());
        listed.unwrap_or_default()
    }

    pub(super) fn entry(&self, room: RoomKey) -> Option<RoomEntry> {
        let Parts { records, places, .. } = parts(&self.bytes)?;
        let record = |place: &U32| records.get(usize::try_from(place.get()).ok()?);
        let found =
            places.binary_search_by_key(&Some(room.0), |place| record(place).map(|record| record.room.get()));
        Some(record(places.get(found.ok()?)?)?.entry(&self.kinds))
    }

    /// The rooms, newest first.
    pub(super) fn all(&self) -> impl Iterator<Item = (RoomKey, RoomEntry)> {
        self.records().iter().map(|record| (RoomKey(record.room.get()), record.entry(&self.kinds)))
    }
}

impl Record {
    fn of(room: RoomKey, entry: &RoomEntry, kind: U32) -> Self {
        let mark = |mark: u8, is: bool| if is { mark } else { 0 };
        Self {
            room: I64::new(room.0),
            changed: I64::new(entry.changed),
            read_at: I64::new(entry.read_at),
            moved_at: I64::new(entry.moved_at),
            joined_at: I64::new(entry.joined_at.unwrap_or_default()),
            sticky_until: I64::new(entry.sticky_until.unwrap_or_default()),
            kind,
            standing: match entry.standing {
                Standing::Joined => 0,
                Standing::Invited => 1,
                Standing::Knocking => 2,
                Standing::Removed => 3,
                Standing::Left => 4,
            },
            marks: mark(ENCRYPTED, entry.is_encrypted)
                | mark(DM, entry.is_dm)
                | mark(ASKED_AS_DM, entry.asked_as_dm)
                | mark(HAS_JOINED_AT, entry.joined_at.is_some())
                | mark(HAS_STICKY_UNTIL, entry.sticky_until.is_some()),
        }
    }

    fn entry(&self, kinds: &[Kind]) -> RoomEntry {
        let is = |mark: u8| self.marks & mark != 0;
        let kind = usize::try_from(self.kind.get()).ok().and_then(|kind| kinds.get(kind));
        let (room_type, tags) = kind.cloned().unwrap_or_default();
        RoomEntry {
            standing: match self.standing {
                0 => Standing::Joined,
                1 => Standing::Invited,
                2 => Standing::Knocking,
                3 => Standing::Removed,
                _ => Standing::Left,
            },
            changed: self.changed.get(),
            read_at: self.read_at.get(),
            moved_at: self.moved_at.get(),
            joined_at: is(HAS_JOINED_AT).then(|| self.joined_at.get()),
            room_type,
            is_encrypted: is(ENCRYPTED),
            is_dm: is(DM),
            asked_as_dm: is(ASKED_AS_DM),
            tags,
            sticky_until: is(HAS_STICKY_UNTIL).then(|| self.sticky_until.get()),
        }
    }
}
