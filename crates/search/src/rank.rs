//! How closely an event matches.

/// Millionths, so that ranks are ordered without question and survive in a token.
pub(crate) type Rank = i64;

/// How soon repetitions stop to count (BM25's k₁).
const SATURATION: f64 = 1.2;
/// How much the length of a text counts (BM25's b).
const LENGTH: f64 = 0.75;
/// How many words a text of usual length has.
const USUAL: f64 = 16.0;

/// The rank of a text of `length` words in which the terms occur so often: BM25's weight of each term's frequency, with a
/// fixed usual length and without weights for rare terms. Every result has every term, so rarity would hardly change the
/// order; and the rank of an event does not change while others come, so pages fit together.
pub(crate) fn rank(occurrences: &[u32], length: u32) -> Rank {
    let norm = SATURATION * (1.0 - LENGTH + LENGTH * f64::from(length) / USUAL);
    let weight = |count: &u32| {
        let count = f64::from(*count);
        count * (SATURATION + 1.0) / (count + norm)
    };
    let sum: f64 = occurrences.iter().map(weight).sum();
    // At most MAX_TERMS times 2.2, far from the limits of either type.
    (sum * 1e6).round() as Rank
}

/// The rank as clients see it.
pub(crate) fn shown(rank: Rank) -> f64 {
    rank as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn more_occurrences_and_shorter_texts_rank_higher() {
        assert!(rank(&[2], 10) > rank(&[1], 10));
        assert!(rank(&[1], 5) > rank(&[1], 10));
        assert!(rank(&[1, 1], 10) > rank(&[2, 0], 10), "repetitions count less and less");
        assert!(rank(&[1000], 1000) < rank(&[1], 1) * 3, "and never for much");
        assert_eq!(rank(&[1], 16), 1_000_000);
    }
}
