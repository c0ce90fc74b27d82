//! Reading by keys that lie near each other.
//!
//! The headers of a room's members, or of a page of its history, were mostly stored one after the other. One pass over
//! their range costs less than looking each of them up, as long as it meets few rows that nobody asked for.

use myelin_store::{Datum, KeyspaceDef};

/// The fewest keys that are worth a pass of their own.
const FEWEST: usize = 8;
/// How far a key may be from the one before it: at most every second row is read in vain.
const STEP: i64 = 2;

/// Splits keys into parts of which each is read in one way: those with [`Part::in_one_pass`] by their range.
pub(super) fn parts<'k>(keyspace: &KeyspaceDef, keys: &'k [Vec<Datum>]) -> Vec<Part<'k>> {
    if keyspace.key_len != 1 || keys.len() < FEWEST {
        return vec![Part { keys, in_one_pass: false }];
    }
    let is_near = |before: &Vec<Datum>, key: &Vec<Datum>| match (before.as_slice(), key.as_slice()) {
        ([Datum::Int(before)], [Datum::Int(key)]) => {
            *before < *key && key.checked_sub(*before).is_some_and(|step| step <= STEP)
        }
        _ => false,
    };
    keys.chunk_by(is_near).map(|keys| Part { keys, in_one_pass: keys.len() >= FEWEST }).collect()
}

/// Some of the keys, in their order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part<'k> {
    pub(super) keys: &'k [Vec<Datum>],
    /// They are near each other, ascending, and many enough.
    pub(super) in_one_pass: bool,
}

#[cfg(test)]
mod tests {
    use myelin_store::schema::rooms::{Event, State};
    use myelin_store::{Datum, Keyspace};

    use super::parts;

    /// The lengths of the parts, those read in one pass as positive numbers.
    fn lengths<K: Keyspace>(numbers: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let keys: Vec<_> = numbers.into_iter().map(|number| vec![Datum::Int(number)]).collect();
        let length = |len: usize, in_one_pass: bool| {
            let len = i64::try_from(len).unwrap();
            if in_one_pass { len } else { -len }
        };
        parts(K::DEF, &keys).iter().map(|part| length(part.keys.len(), part.in_one_pass)).collect()
    }

    #[test]
    fn only_many_ascending_keys_of_one_number_are_read_in_one_pass() {
        assert_eq!(lengths::<Event>(1..=20), [20]);
        assert_eq!(lengths::<Event>((1..=20).step_by(2)), [10]);
        assert_eq!(lengths::<Event>((1..=20).chain(100..=103)), [20, -4]);
        assert_eq!(lengths::<Event>((1..=20).rev()), [-1; 20]);
        assert_eq!(lengths::<Event>([5; 9]), [-1; 9]);
        assert_eq!(lengths::<Event>(1..=7), [-7]);
        assert_eq!(lengths::<Event>([i64::MIN, i64::MAX].into_iter().chain(1..=8)), [-1, -1, 8]);
        assert_eq!(lengths::<State>(1..=20), [-20]);
    }
}
