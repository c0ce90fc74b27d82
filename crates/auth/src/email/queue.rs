//! Mails on their way. They are handed to the mail server behind the request, so that the time of an answer tells
//! nobody whether there was one to send.
//!
//! A mail waits in memory: it carries a token of which the store knows the hash alone. One that is lost when the server
//! ends is asked for again, with a higher attempt, as people do whom no mail reaches.

use std::sync::Arc;
use std::time::Duration;

use myelin_runtime::{Env, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::mail::{Mail, MailError, Mailer};

/// How many mails wait at once.
const WAITING: usize = 256;
/// How many are handed over at once.
const AT_ONCE: usize = 4;
/// How often one is tried, and how long the first pause between two tries is; each is double the one before.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_secs(5);

/// The mails of one server.
pub(crate) struct Mails {
    mailer: Arc<dyn Mailer>,
    env: Env,
    waiting: Arc<Semaphore>,
    sending: Arc<Semaphore>,
    limits: Option<Limits>,
}

/// Mails asked for: to one address, and on the whole.
struct Limits {
    to_address: RateLimiter<String>,
    all: RateLimiter<()>,
}

/// A place in the queue.
pub(crate) struct Place(OwnedSemaphorePermit);

impl Mails {
    pub(crate) fn new(mailer: Arc<dyn Mailer>, env: Env, limited: bool) -> Self {
        // Somebody who waits for a mail asks again a few times; nobody's mailbox is filled.
        let to_address = Quota { per_second: 1.0 / 600.0, burst: 5.0 };
        let all = Quota { per_second: 2.0, burst: 120.0 };
        Self {
            mailer,
            env,
            waiting: Arc::new(Semaphore::new(WAITING)),
            sending: Arc::new(Semaphore::new(AT_ONCE)),
            limits: limited.then(|| Limits {
                to_address: RateLimiter::new(to_address, 16_384),
                all: RateLimiter::new(all, 2),
            }),
        }
    }

    /// A place in the queue for a mail to this address.
    ///
    /// # Errors
    /// How long to wait until there is one.
    pub(crate) fn place(&self, address: &str) -> Result<Place, Duration> {
        if let Some(limits) = &self.limits {
            let now = self.env.clock.elapsed();
            limits.to_address.take(&address.to_owned(), now)?;
            limits.all.take(&(), now)?;
        }
        Arc::clone(&self.waiting).try_acquire_owned().map(Place).map_err(|_| PAUSE)
    }

    /// Sends a mail. Nobody waits for it; what stands in its way is logged.
    pub(crate) fn send(&self, place: Place, mail: Mail) {
        let (mailer, sending, tasks) =
            (Arc::clone(&self.mailer), Arc::clone(&self.sending), self.env.tasks.clone());
        self.env.tasks.spawn("auth.mail", async move {
            let Place(_waiting) = place;
            let mut pause = PAUSE;
            for attempt in 1..=TRIES {
                match hand_over(&*mailer, &sending, &mail).await {
                    Ok(()) => return,
                    Err(error @ MailError::Unreachable(_)) if attempt < TRIES => {
                        tracing::warn!(%error, attempt, "a mail was not sent and is tried again");
                    }
                    Err(error) => return tracing::error!(%error, "a mail was not sent"),
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause *= 2,
                    () = tasks.stopping() => return tracing::warn!("a mail was not sent before the server stopped"),
                }
            }
        });
    }
}

async fn hand_over(mailer: &dyn Mailer, sending: &Semaphore, mail: &Mail) -> Result<(), MailError> {
    // It is never closed.
    let _turn = sending.acquire().await;
    mailer.send(mail).await
}
