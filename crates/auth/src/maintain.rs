//! What goes on behind the requests: writing sights, ending what a crash left, forgetting old audit entries and tokens.

use std::sync::Arc;
use std::time::Duration;

use myelin_store::schema::auth::Audit;
use myelin_store::{Durability, Scan};

use crate::session::seen::Due;
use crate::{Auth, StoreError};

/// How often the rounds are made.
const ROUND: Duration = Duration::from_secs(60);
/// Every how many rounds the audit log and expired tokens are pruned.
const PRUNE_EVERY: u32 = 60;
/// How many deactivated accounts one round looks after.
const DEPARTING: usize = 100;

impl Auth {
    /// Starts the rounds. They end with the server, after a last write of where devices were seen.
    pub fn start(self: &Arc<Self>) {
        let auth = Arc::clone(self);
        self.env.tasks.supervise("auth.maintain", move || Arc::clone(&auth).maintain());
        if self.watches_directory() {
            let auth = Arc::clone(self);
            self.env.tasks.supervise("auth.directory", move || {
                let auth = Arc::clone(&auth);
                async move { auth.watch_directory().await }
            });
        }
    }

    async fn maintain(self: Arc<Self>) {
        let mut round = 0_u32;
        loop {
            let due = tokio::select! {
                () = tokio::time::sleep(ROUND) => Due::Rested,
                () = self.env.tasks.stopping() => Due::All,
            };
            if let Err(error) = self.round(due, round.is_multiple_of(PRUNE_EVERY)).await {
                tracing::warn!(%error, "account maintenance failed and is tried again in a minute");
            }
            if due == Due::All {
                return;
            }
            round = round.wrapping_add(1);
        }
    }

    async fn round(&self, due: Due, prune: bool) -> Result<(), StoreError> {
        self.write_seen(due).await?;
        if due == Due::Rested {
            self.end_departing().await?;
        }
        if prune {
            self.prune_openid().await?;
            self.prune_login_tokens().await?;
            self.prune_emails().await?;
            self.prune_invitations().await?;
            self.prune_codes().await?;
            self.prune_device_codes().await?;
            self.prune_browsers().await?;
            self.prune_approvals().await?;
            self.prune_challenges().await?;
            self.prune_clients().await?;
            self.prune_upstreams().await?;
            self.prune_identity_keys().await?;
            self.prune_audit().await?;
        }
        Ok(())
    }

    /// Ends sessions that a deactivation left behind when the server died in the middle of it.
    async fn end_departing(&self) -> Result<(), StoreError> {
        for departing in self.departing(DEPARTING).await? {
            self.end_all(&departing.user_id, None).await?;
        }
        Ok(())
    }

    /// Forgets audit entries older than the operator wants.
    pub(crate) async fn prune_audit(&self) -> Result<(), StoreError> {
        let kept = i64::try_from(self.config.audit_kept.as_millis()).unwrap_or(i64::MAX);
        let mut batch = self.batch("audit_log");
        batch.durability = Durability::MayLag;
        let all = Scan::index::<Audit>(Audit::BY_TIME, (), usize::MAX);
        batch.delete_range(all.before((self.now().saturating_sub(kept),)));
        self.engine.commit(batch).await?;
        Ok(())
    }
}
