//! Whose devices a client must look at again, and whose it may forget.

use std::collections::BTreeSet;

/// `device_lists` of a sync answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceLists<U> {
    /// Users whose devices changed, or with whom the user now shares a room.
    pub changed: BTreeSet<U>,
    /// Users with whom the user no longer shares a room.
    pub left: BTreeSet<U>,
}

impl<U> Default for DeviceLists<U> {
    fn default() -> Self {
        Self { changed: BTreeSet::new(), left: BTreeSet::new() }
    }
}

/// What happened between two syncs.
#[derive(Clone, Debug)]
pub struct DeviceListInput<U> {
    /// The user who syncs.
    pub own: U,
    /// Users whose device lists changed, whether they matter to the user or not.
    pub updated: BTreeSet<U>,
    /// Users who joined rooms of the user, and the members of rooms that the user joined.
    pub met: BTreeSet<U>,
    /// Users who left rooms of the user, and the members of rooms that the user left.
    pub parted: BTreeSet<U>,
}

impl<U: Ord + Clone> DeviceListInput<U> {
    /// The users of whom must be known whether they share a room with the user now.
    #[must_use]
    pub fn candidates(&self) -> BTreeSet<U> {
        let all = self.updated.iter().chain(&self.met).chain(&self.parted);
        all.filter(|user| **user != self.own).cloned().collect()
    }

    /// The answer, given who of the candidates shares a room with the user now.
    #[must_use]
    pub fn decide(&self, sharing: &BTreeSet<U>) -> DeviceLists<U> {
        let own_changed = self.updated.contains(&self.own).then(|| self.own.clone());
        let met = self.met.iter().filter(|user| **user != self.own);
        let changed = self.updated.iter().chain(met).filter(|user| sharing.contains(user)).cloned();
        let gone = |user: &&U| !sharing.contains(user) && **user != self.own;
        DeviceLists {
            changed: changed.chain(own_changed).collect(),
            left: self.parted.iter().filter(gone).cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DeviceListInput, DeviceLists};

    #[test]
    fn one_who_leaves_one_of_two_shared_rooms_is_not_forgotten() {
        let input = DeviceListInput {
            own: "me",
            updated: ["me", "stranger", "friend"].into(),
            met: ["new"].into(),
            parted: ["gone", "friend"].into(),
        };
        assert_eq!(input.candidates(), ["friend", "gone", "new", "stranger"].into());
        let answer = input.decide(&["friend", "new"].into());
        let expected = DeviceLists { changed: ["friend", "me", "new"].into(), left: ["gone"].into() };
        assert_eq!(answer, expected);
    }
}
