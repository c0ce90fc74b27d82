//! How often somebody may guess a second factor.

use std::time::Duration;

use myelin_runtime::{Quota, RateLimiter};
use ruma::UserId;

use crate::Auth;

/// Wrong codes by account. Who guesses knows the password already, and one code
/// in 333,333 is right at any time: five at once, then one in five minutes, is even odds after two years.
#[derive(Debug)]
pub(crate) struct SecondFailures(RateLimiter<String>);

impl SecondFailures {
    pub(crate) fn new() -> Self {
        Self(RateLimiter::new(Quota { per_second: 1.0 / 300.0, burst: 5.0 }, 16_384))
    }
}

impl Auth {
    /// Whether wrong codes for this account are used up for the moment.
    pub(super) fn check_second(&self, user_id: &UserId) -> Result<(), Duration> {
        let Some(SecondFailures(failures)) = &self.second_failures else { return Ok(()) };
        failures.peek(&user_id.to_string(), self.env.clock.elapsed())
    }

    /// Counts a wrong code.
    pub(super) fn count_second(&self, user_id: &UserId) {
        if let Some(SecondFailures(failures)) = &self.second_failures {
            // An empty bucket can't get emptier: the refusal says nothing new.
            let _ = failures.take(&user_id.to_string(), self.env.clock.elapsed());
        }
    }
}
