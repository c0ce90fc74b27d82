//! Putting an unread count together from the rows it is made of. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use ruma::OwnedEventId;

use super::{Notification, QuietSpan, RoomHighlight, ThreadBase, ThreadStep, UnreadBase};

/// How much is unread in one timeline (`unread_notifications` of a sync response).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that notify the user.
    pub notifications: u64,
    /// Those of them that are highlights.
    pub highlights: u64,
}

/// What a user has not read in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// In the main timeline.
    pub main: Counts,
    /// In each thread where anything is unread, by its root (`unread_thread_notifications`).
    pub threads: BTreeMap<OwnedEventId, Counts>,
}

impl Unread {
    /// In the room as a whole, for clients that know no threads.
    #[must_use]
    pub fn total(&self) -> Counts {
        self.threads.values().fold(self.main, |sum, counts| Counts {
            notifications: sum.notifications.saturating_add(counts.notifications),
            highlights: sum.highlights.saturating_add(counts.highlights),
        })
    }
}

/// An event in a thread that a user has not read and is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ThreadItem<'a> {
    pub(super) order: i64,
    pub(super) root: &'a OwnedEventId,
    notifies: bool,
    highlight: bool,
}

/// The rows of one user and room that lie above the user's base.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) own: Vec<Notification>,
    pub(super) of_all: Vec<RoomHighlight>,
    pub(super) spans: Vec<QuietSpan>,
    pub(super) steps: Vec<ThreadStep>,
    pub(super) thread_bases: Vec<ThreadBase>,
    /// Of a user who is told only of threads that they are subscribed to: these, each with the order above which.
    pub(super) subscribed: Option<HashMap<OwnedEventId, i64>>,
}

impl Rows {
    /// The counts of the room, whose counter stands at `to`.
    pub(super) fn count(&self, base: &UnreadBase, to: i64) -> Unread {
        let mut threads: BTreeMap<OwnedEventId, Counts> = BTreeMap::new();
        for item in self.in_threads() {
            let counts = threads.entry(item.root.clone()).or_default();
            counts.notifications += u64::from(item.notifies);
            counts.highlights += u64::from(item.highlight);
        }
        Unread { main: self.main(base, to), threads }
    }

    /// What the counter says of the main timeline, and what the rows say otherwise.
    fn main(&self, base: &UnreadBase, to: i64) -> Counts {
        let from = base.counter;
        let quiet = |span: &QuietSpan| (span.until.unwrap_or(to).min(to) - span.from.max(from)).max(0);
        let is_counted = |step: i64| {
            !self.spans.iter().any(|span| span.from < step && span.until.is_none_or(|until| step <= until))
        };
        let beyond =
            |row: &Notification| i64::from(row.notifies) - i64::from(row.step.is_some_and(is_counted));
        let above = |order: i64, thread: &Option<OwnedEventId>| thread.is_none() && order > base.main_order;
        let own: Vec<_> = self.own.iter().filter(|row| above(row.order, &row.thread)).collect();
        let of_all = self.of_all.iter().filter(|row| above(row.order, &row.thread));
        let said: HashSet<i64> = own.iter().map(|row| row.order).collect();
        let highlights = own.iter().filter(|row| row.highlight).count()
            + of_all.filter(|row| !said.contains(&row.order)).count();
        let notifications =
            to - from - self.spans.iter().map(quiet).sum::<i64>() + own.into_iter().map(beyond).sum::<i64>();
        Counts {
            notifications: u64::try_from(notifications).unwrap_or(0),
            highlights: u64::try_from(highlights).unwrap_or(u64::MAX),
        }
    }

    /// Whether the step counts for the user, as far as their subscriptions say.
    fn counts(&self, step: &ThreadStep) -> bool {
        match &self.subscribed {
            Some(subscribed) => subscribed.get(&step.root).is_some_and(|from| step.order > *from),
            None => step.for_subscribers != Some(true),
        }
    }

    /// What is unread in threads, by order: what is said of everyone, overridden by what is said of this user.
    pub(super) fn in_threads(&self) -> Vec<ThreadItem<'_>> {
        let is_quiet = |order: i64| {
            let spans = &mut self.spans.iter();
            spans.any(|span| span.from_order < order && span.until_order.is_none_or(|until| order <= until))
        };
        let of_all: HashSet<i64> = self.of_all.iter().map(|row| row.order).collect();
        let mut items: BTreeMap<i64, ThreadItem<'_>> = BTreeMap::new();
        for step in &self.steps {
            let ThreadStep { order, root, .. } = step;
            let counts = of_all.contains(order) || self.counts(step);
            let (notifies, highlight) = (counts && !is_quiet(*order), false);
            items.insert(*order, ThreadItem { order: *order, root, notifies, highlight });
        }
        for RoomHighlight { order, thread, .. } in &self.of_all {
            let Some(root) = thread else { continue };
            let item = ThreadItem { order: *order, root, notifies: false, highlight: true };
            items.entry(*order).or_insert(item).highlight = true;
        }
        for Notification { order, thread, notifies, highlight, .. } in &self.own {
            let Some(root) = thread else { continue };
            let (notifies, highlight) = (*notifies, *highlight);
            items.insert(*order, ThreadItem { order: *order, root, notifies, highlight });
        }
        let read: HashMap<_, _> = self.thread_bases.iter().map(|base| (&base.root, base.order)).collect();
        let is_unread = |item: &ThreadItem<'_>| read.get(item.root).is_none_or(|read| item.order > *read);
        let told = items.into_values().filter(|item| item.notifies || item.highlight);
        told.filter(is_unread).collect()
    }
}
