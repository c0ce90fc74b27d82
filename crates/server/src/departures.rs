//! A deactivated account leaves its rooms: `auth` keeps the list, `rooms` does the leaving.

use std::sync::Arc;
use std::time::Duration;

use myelin_auth::{Auth, Departing};
use myelin_rooms::{MembershipError, Rooms};
use myelin_runtime::Env;

/// How often the list is looked at; its index is empty almost always.
const PAUSE: Duration = Duration::from_secs(5);
/// How many accounts one look takes.
const AT_ONCE: usize = 16;

/// Starts the worker. What a crash interrupts goes on after the next start.
pub(crate) fn start(auth: &Arc<Auth>, rooms: &Arc<Rooms>, env: &Env) {
    let (auth, rooms, tasks) = (Arc::clone(auth), Arc::clone(rooms), env.tasks.clone());
    env.tasks.supervise("departures", move || {
        let (auth, rooms, tasks) = (Arc::clone(&auth), Arc::clone(&rooms), tasks.clone());
        async move {
            let stopping = tasks.stopping();
            tokio::pin!(stopping);
            loop {
                if let Err(error) = see_off(&auth, &rooms).await {
                    tracing::warn!(error, "a deactivated account could not leave its rooms yet");
                }
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = &mut stopping => return,
                }
            }
        }
    });
}

async fn see_off(auth: &Auth, rooms: &Rooms) -> Result<(), String> {
    for Departing { user_id, .. } in auth.departing(AT_ONCE).await.map_err(|error| error.to_string())? {
        let left = rooms.leave_all(&user_id).await;
        match left {
            Err(MembershipError::Send(error)) if error.is_passing() => {
                return Err(error.to_string());
            }
            // A room whose rules keep somebody in does not keep the others waiting.
            _ => auth.departed(&user_id).await.map_err(|error| error.to_string())?,
        }
    }
    Ok(())
}
