//! Positions in the store's log.

use std::fmt;

/// A position: when this server learnt something.
///
/// Positions are assigned inside the commit, so position order is commit order and no reader ever sees a hole.
/// They are positive. A row that is about to be committed carries a *pending* position instead: the n-th one of
/// its batch, which the engine replaces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pos(i64);

impl Pos {
    /// Before everything: the position of an empty store.
    pub const ZERO: Self = Self(0);
    /// After everything; an upper bound for scans.
    pub const MAX: Self = Self(i64::MAX);

    /// A position that a commit assigned. Negative input is clamped to [`Pos::ZERO`].
    #[must_use]
    pub const fn new(value: i64) -> Self {
        Self(if value < 0 { 0 } else { value })
    }

    /// The placeholder for the `n`-th position of the batch being built, counted from 0.
    #[must_use]
    pub const fn pending(n: u32) -> Self {
        Self(-1 - n as i64)
    }

    /// Which placeholder this is, or `None` for an assigned position.
    #[must_use]
    pub const fn as_pending(self) -> Option<u32> {
        if self.0 < 0 { Some((-1 - self.0) as u32) } else { None }
    }

    /// The number itself; negative for a placeholder.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The assigned position of placeholder `n` in a batch whose first position is `self`.
    #[must_use]
    pub const fn nth(self, n: u32) -> Self {
        Self(self.0 + n as i64)
    }
}

impl fmt::Debug for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_pending() {
            Some(n) => write!(f, "Pos(pending {n})"),
            None => write!(f, "Pos({})", self.0),
        }
    }
}

impl fmt::Display for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Pos;

    #[test]
    fn a_placeholder_knows_its_number_and_an_assigned_position_is_none() {
        assert_eq!(Pos::pending(0).as_pending(), Some(0));
        assert_eq!(Pos::pending(7).as_pending(), Some(7));
        assert_eq!(Pos::ZERO.as_pending(), None);
        assert_eq!(Pos::new(5).as_pending(), None);
        assert_eq!(Pos::new(5).nth(2), Pos::new(7));
    }
}
