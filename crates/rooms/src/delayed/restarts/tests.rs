//! Random stories of one event against what MSC4140 promises: not before its time, and not much later.

use bytes::Bytes;
use myelin_store::schema::delayed::{DelayStatus, DelayedEvent};
use proptest::prelude::*;
use ruma::{owned_room_id, owned_user_id};

use super::{InMemory, Restarts, SLACK};

#[derive(Clone, Debug)]
enum Step {
    Pass(i64),
    Restart,
    Write,
    /// Somebody begins to end the event, and does not.
    Take,
    Crash {
        down: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..20_000_i64).prop_map(Step::Pass),
        4 => Just(Step::Restart),
        2 => Just(Step::Write),
        1 => Just(Step::Take),
        1 => (0..100_000_i64).prop_map(|down| Step::Crash { down }),
    ]
}

fn row(delay: i64) -> DelayedEvent {
    DelayedEvent {
        delay_id: "delay".to_owned(),
        user_id: owned_user_id!("@alice:hs"),
        session: 1,
        txn: None,
        room_id: owned_room_id!("!room:hs"),
        kind: "m.room.message".to_owned(),
        state_key: None,
        content: Bytes::from_static(b"{}"),
        delay,
        status: DelayStatus::Pending,
        due: delay,
        wake: delay,
        finalised: None,
        event_id: None,
        error: None,
        sticky: None,
        restarted: None,
    }
}

/// A server, its store, and what its clients were told.
struct Story {
    now: i64,
    started: i64,
    memory: Restarts,
    stored: DelayedEvent,
    /// When a restart was last answered, or when the event was scheduled.
    last: i64,
    /// Whether the server has crashed since.
    crashed: bool,
}

impl Story {
    fn new(delay: i64) -> Self {
        let memory = Restarts::new(0);
        Self { now: 0, started: 0, memory, stored: row(delay), last: 0, crashed: false }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Pass(time) => self.now += time,
            Step::Restart => {
                if self.memory.restart("delay", None, self.now) == InMemory::No {
                    self.memory.take(&self.stored);
                    self.stored.due = self.now + self.stored.delay;
                    self.stored.restarted = Some(self.now);
                    self.memory.run(&self.stored);
                }
                (self.last, self.crashed) = (self.now, false);
            }
            Step::Write => {
                let times = self.memory.unwritten();
                for time in &times {
                    assert_eq!(time.written, self.stored.due, "written on what is there");
                    self.stored.due = time.due;
                }
                self.memory.wrote(&times);
            }
            Step::Take => drop(self.memory.take(&self.stored)),
            Step::Crash { down } => {
                self.now += down;
                (self.started, self.crashed) = (self.now, true);
                self.memory = Restarts::new(self.now);
            }
        }
    }

    fn check(&self) {
        let (due, delay) = (self.memory.due(&self.stored), self.stored.delay);
        let promised = self.last + delay;
        assert!(due >= promised, "sent at {due}, {} before its time", promised - due);
        let late = if self.stored.restarted.is_some() && (self.crashed || self.started > self.last) {
            (promised + SLACK).max(self.started + delay.min(SLACK))
        } else {
            promised
        };
        assert!(due <= late, "sent at {due}, {} after the latest", due - late);
    }
}

proptest! {
    #[test]
    fn an_event_is_sent_not_before_its_last_restart_wants_and_at_most_a_little_late_after_a_crash(
        delay in 1..200_000_i64,
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut story = Story::new(delay);
        for step in &steps {
            // An event whose time has come is sent, and nothing can be restarted any more.
            let is_due = story.memory.due(&story.stored) <= story.now;
            if is_due && !matches!(step, Step::Crash { .. }) {
                break;
            }
            story.take(step);
            story.check();
        }
    }
}

#[test]
fn a_restart_is_answered_from_memory_only_where_it_is_the_owners_nobody_ends_the_event_and_a_written_one_is_near()
 {
    let (memory, mut stored) = (Restarts::new(0), row(1_000_000));
    let (alice, bob) = (owned_user_id!("@alice:hs"), owned_user_id!("@bob:hs"));
    assert_eq!(memory.restart("delay", None, 0), InMemory::No, "it was never restarted");
    (stored.due, stored.restarted) = (1_000_000, Some(0));
    memory.run(&stored);
    assert_eq!(memory.restart("delay", Some(&bob), 1), InMemory::No, "it is not theirs");
    assert_eq!(memory.restart("delay", Some(&alice), 1), InMemory::First);
    assert_eq!(memory.restart("delay", None, 2), InMemory::Yes);
    assert_eq!(memory.due(&stored), 1_000_002);
    assert_eq!(memory.restart("delay", None, SLACK), InMemory::No, "what is written is too old");
    memory.wrote(&memory.unwritten());
    assert_eq!(memory.restart("delay", None, SLACK), InMemory::First);
    assert_eq!(memory.take_due(&stored, SLACK), None, "it is not due");
    assert_eq!(memory.take_due(&stored, 2_000_000), Some(1_000_000 + SLACK));
    assert_eq!(memory.restart("delay", None, SLACK), InMemory::No, "it is being sent");
    stored.due = 1_000_000 + SLACK + 1;
    memory.run(&stored);
    memory.close();
    assert_eq!(memory.restart("delay", None, SLACK), InMemory::No, "the server stops");
}
