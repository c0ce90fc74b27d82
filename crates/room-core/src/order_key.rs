//! Where an event stands in its room's timeline.

/// The place of an event in the timeline of one room. Smaller is older.
///
/// Order keys say nothing about when this server learnt an event. Live events stand [`OrderKey::SPACING`] apart, so that
/// history can be filled in below and between them without renumbering. Not part of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey(pub i64);

impl OrderKey {
    /// The distance between neighbouring live events.
    pub const SPACING: i64 = 1 << 20;

    /// The place of the first event of a room, or of the first event learnt about it.
    pub const FIRST: Self = Self(0);

    /// The place of the live event after this one. `None` after 2^43 events, when the numbers are used up.
    pub fn next_live(self) -> Option<Self> {
        self.0.checked_add(Self::SPACING).map(Self)
    }

    /// A place below `first`, the oldest event known: for backfill. `None` when the numbers are used up.
    pub fn before(first: Self) -> Option<Self> {
        first.0.checked_sub(Self::SPACING).map(Self)
    }

    /// A place strictly between `a` and `b`, half-way. `None` when there is no room between them, or `a >= b`.
    pub fn between(a: Self, b: Self) -> Option<Self> {
        if a >= b {
            return None;
        }
        let middle = Self(a.0.midpoint(b.0));
        (a < middle && middle < b).then_some(middle)
    }

    /// `count` places strictly between `a` and `b`, ascending and evenly spread, so that a whole gap of history can be
    /// filled at once. (Filling it with [`OrderKey::between`], event after event, would use the gap up after twenty.)
    /// `None` when they do not fit; the caller then places fewer, or treats the rest as unplaced.
    pub fn spread(a: Self, b: Self, count: u32) -> Option<Vec<Self>> {
        let gap = i128::from(b.0) - i128::from(a.0);
        let step = gap / (i128::from(count) + 1);
        if step < 1 {
            return None;
        }
        (1..=i128::from(count)).map(|n| i64::try_from(i128::from(a.0) + n * step).ok().map(Self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn live_events_leave_a_million_places_between_them() {
        let a = OrderKey::FIRST;
        let b = a.next_live().unwrap();
        assert_eq!(OrderKey::spread(a, b, (1 << 20) - 1).unwrap().len(), (1 << 20) - 1);
        assert_eq!(OrderKey::spread(a, b, 1 << 20), None);
    }

    #[test]
    fn backfill_goes_below_the_oldest_event() {
        assert!(OrderKey::before(OrderKey::FIRST).unwrap() < OrderKey::FIRST);
        assert_eq!(OrderKey::before(OrderKey(i64::MIN)), None);
        assert_eq!(OrderKey(i64::MAX).next_live(), None);
    }

    #[test]
    fn neighbours_have_nothing_between_them() {
        assert_eq!(OrderKey::between(OrderKey(7), OrderKey(8)), None);
        assert_eq!(OrderKey::between(OrderKey(8), OrderKey(8)), None);
        assert_eq!(OrderKey::between(OrderKey(9), OrderKey(8)), None);
        assert_eq!(OrderKey::between(OrderKey(-9), OrderKey(-7)), Some(OrderKey(-8)));
    }

    proptest! {
        #[test]
        fn what_stands_between_is_strictly_between(a: i64, b: i64) {
            if let Some(middle) = OrderKey::between(OrderKey(a), OrderKey(b)) {
                prop_assert!(OrderKey(a) < middle && middle < OrderKey(b));
            } else {
                prop_assert!(i128::from(b) - i128::from(a) < 2);
            }
        }

        #[test]
        fn spread_places_ascend_strictly_within_the_gap(a: i64, b: i64, count in 0u32..300) {
            if let Some(places) = OrderKey::spread(OrderKey(a), OrderKey(b), count) {
                prop_assert_eq!(places.len(), count as usize);
                let all: Vec<_> = [OrderKey(a)].into_iter().chain(places).chain([OrderKey(b)]).collect();
                prop_assert!(all.is_sorted_by(|x, y| x < y));
            } else {
                prop_assert!(i128::from(b) - i128::from(a) < i128::from(count) + 1);
            }
        }
    }
}
