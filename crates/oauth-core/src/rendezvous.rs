//! Places where two devices of a person meet before one of them is logged in: sign-in by QR code
//! (MSC4108 as of 2024, MSC4388 "Insecure rendezvous session").
//!
//! A place holds one text, which either device reads and replaces; who replaces it says which one they saw. What is said there
//! is between the devices, who encrypt it. Anybody may open a place, so that all of this is bounded: in size, in number, by
//! who opened it, and in time.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use bytes::Bytes;

/// The most bytes of what a place holds (MSC4388, "Maximum payload size").
pub const MAX_BYTES: usize = 4096;
/// For how long a place is there, in milliseconds: as long as it may be (MSC4388, "Maximum duration of a rendezvous"), since
/// somebody may have to find their second factor meanwhile.
pub const LIFETIME: i64 = 300_000;
/// The most places at once: 16 MiB.
const MOST: usize = 4096;
/// The most of one opener, who may be a whole office.
const MOST_OF_OPENER: usize = 64;

/// What a place holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Tells it from whatever the place held before.
    pub token: String,
    /// What was written last.
    pub data: Bytes,
    /// When, in milliseconds since the Unix epoch.
    pub written_at: i64,
    /// When the place goes, in milliseconds since the Unix epoch.
    pub ends_at: i64,
}

/// There are too many places, of this opener or in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are too many rendezvous sessions at the moment")]
pub struct TooMany;

/// What came of writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The place holds the new data.
    Yes(Place),
    /// Somebody wrote after what the writer had seen; the place holds this.
    Stale(Place),
    /// There is no such place, or not any more.
    Gone,
}

/// The places, by id. `O` is who opened one.
#[derive(Debug)]
pub struct Rendezvous<O> {
    places: HashMap<String, (O, Place)>,
    /// How many each opener has.
    openers: HashMap<O, usize>,
    /// In the order in which they go: all live equally long.
    ends: VecDeque<(i64, String)>,
}

impl<O> Default for Rendezvous<O> {
    fn default() -> Self {
        Self { places: HashMap::new(), openers: HashMap::new(), ends: VecDeque::new() }
    }
}

impl<O: Clone + Eq + Hash> Rendezvous<O> {
    /// Opens a place. Its id and token are the caller's to draw, each for this once.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn open(
        &mut self,
        now: i64,
        opener: O,
        id: String,
        token: String,
        data: Bytes,
    ) -> Result<Place, TooMany> {
        self.sweep(now);
        let of_opener = self.openers.get(&opener).copied().unwrap_or_default();
        if self.places.len() >= MOST || self.ends.len() >= 2 * MOST || of_opener >= MOST_OF_OPENER {
            return Err(TooMany);
        }
        let place = Place { token, data, written_at: now, ends_at: now.saturating_add(LIFETIME) };
        self.openers.insert(opener.clone(), of_opener + 1);
        self.ends.push_back((place.ends_at, id.clone()));
        self.places.insert(id, (opener, place.clone()));
        Ok(place)
    }

    /// What a place holds.
    pub fn look(&mut self, now: i64, id: &str) -> Option<Place> {
        self.sweep(now);
        self.places.get(id).map(|(_, place)| place.clone())
    }

    /// Replaces what a place holds, by somebody who saw what has the token `seen`. That is `token` from then on, which the
    /// caller draws for this once.
    pub fn write(&mut self, now: i64, id: &str, seen: &str, token: String, data: Bytes) -> Written {
        self.sweep(now);
        let Some((_, place)) = self.places.get_mut(id) else { return Written::Gone };
        if place.token != seen {
            return Written::Stale(place.clone());
        }
        *place = Place { token, data, written_at: now, ends_at: place.ends_at };
        Written::Yes(place.clone())
    }

    /// Closes a place; whether there was one.
    pub fn close(&mut self, now: i64, id: &str) -> bool {
        self.sweep(now);
        self.forget(id)
    }

    /// How many places there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Forgets those whose time is over.
    fn sweep(&mut self, now: i64) {
        while let Some((_, id)) = self.ends.pop_front_if(|(end, _)| *end <= now) {
            self.forget(&id);
        }
    }

    fn forget(&mut self, id: &str) -> bool {
        let Some((opener, _)) = self.places.remove(id) else { return false };
        if let Some(count) = self.openers.get_mut(&opener) {
            *count -= 1;
            if *count == 0 {
                self.openers.remove(&opener);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{LIFETIME, MOST, MOST_OF_OPENER, Rendezvous, TooMany, Written};

    fn open(places: &mut Rendezvous<usize>, now: i64, opener: usize, id: usize) -> Result<(), TooMany> {
        let opened = places.open(now, opener, format!("id{id}"), "first".to_owned(), Bytes::from("hello"));
        opened.map(drop)
    }

    fn write(places: &mut Rendezvous<usize>, seen: &str, token: &str) -> Written {
        places.write(1, "id0", seen, token.to_owned(), Bytes::from(token.to_owned()))
    }

    #[test]
    fn of_two_who_saw_the_same_one_writes() {
        let mut places = Rendezvous::default();
        open(&mut places, 0, 0, 0).unwrap();
        assert!(matches!(write(&mut places, "first", "second"), Written::Yes(_)));
        let Written::Stale(place) = write(&mut places, "first", "third") else { panic!("both wrote") };
        assert_eq!((place.token.as_str(), &place.data[..]), ("second", &b"second"[..]));
        assert!(matches!(write(&mut places, "second", "third"), Written::Yes(_)));
        assert_eq!(places.look(1, "id0").unwrap().data, "third");
        assert_eq!(places.write(1, "id1", "first", "x".to_owned(), Bytes::new()), Written::Gone);
    }

    #[test]
    fn a_place_goes_when_it_is_closed_or_its_time_is_over_however_often_it_was_written() {
        let mut places = Rendezvous::default();
        open(&mut places, 0, 0, 0).unwrap();
        open(&mut places, 5, 0, 1).unwrap();
        assert!(matches!(write(&mut places, "first", "second"), Written::Yes(_)));
        assert!(places.look(LIFETIME - 1, "id0").is_some());
        assert_eq!(places.look(LIFETIME, "id0"), None);
        assert!(places.close(LIFETIME, "id1"));
        assert!(!places.close(LIFETIME, "id1"));
        assert!(places.is_empty() && places.openers.is_empty());
    }

    #[test]
    fn neither_one_opener_nor_all_together_fill_the_memory() {
        let mut places = Rendezvous::default();
        for id in 0..MOST_OF_OPENER {
            open(&mut places, 0, 0, id).unwrap();
        }
        assert_eq!(open(&mut places, 0, 0, MOST), Err(TooMany));
        for id in MOST_OF_OPENER..MOST {
            open(&mut places, 0, 1 + id / MOST_OF_OPENER, id).unwrap();
        }
        assert_eq!(open(&mut places, 0, MOST, MOST), Err(TooMany));
        // Opening and closing without end is bounded too.
        for id in 0..3 * MOST {
            places.close(0, &format!("id{id}"));
            let _ = open(&mut places, 0, id, id);
        }
        assert!(places.len() <= MOST && places.ends.len() <= 2 * MOST);
        open(&mut places, LIFETIME, 0, 0).unwrap();
        assert_eq!((places.len(), places.ends.len()), (1, 1));
    }
}
