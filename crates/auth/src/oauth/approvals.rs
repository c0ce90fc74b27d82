//! What somebody approved in a browser and nobody has used yet, and the browsers in which they are signed in: all of it ends
//! with the password, and with the sessions.

use myelin_store::schema::auth::LoginToken;
use myelin_store::schema::oauth::{BrowserSession, KnownBrowser, OauthCode, OauthDeviceCode, ResetApproval};
use myelin_store::{Batch, Scan};
use ruma::OwnedUserId;

use crate::{Auth, StoreError};

/// Adds to the batch that nothing comes any more of what the user approved, and that they are signed in in no browser. Who
/// redeems something at the same moment expects its row, and finds it gone.
pub(crate) fn end_approvals(batch: &mut Batch, user_id: &OwnedUserId) {
    end_unused(batch, user_id);
    let user = (user_id.clone(),);
    batch.delete_range(Scan::index::<KnownBrowser>(KnownBrowser::BY_USER, user, usize::MAX));
    end_browsers(batch, user_id);
}

/// Adds to the batch that nothing comes any more of what the user approved and nobody has used.
pub(crate) fn end_unused(batch: &mut Batch, user_id: &OwnedUserId) {
    let user = (user_id.clone(),);
    batch.delete_range(Scan::index::<OauthCode>(OauthCode::BY_USER, user.clone(), usize::MAX));
    let decided = (Some(user_id.clone()),);
    batch.delete_range(Scan::index::<OauthDeviceCode>(OauthDeviceCode::BY_USER, decided, usize::MAX));
    batch.delete_range(Scan::index::<LoginToken>(LoginToken::BY_USER, user.clone(), usize::MAX));
    batch.delete::<ResetApproval>(&user);
}

/// Adds to the batch that the user is signed in in no browser.
pub(crate) fn end_browsers(batch: &mut Batch, user_id: &OwnedUserId) {
    let all = Scan::index::<BrowserSession>(BrowserSession::BY_USER, (user_id.clone(),), usize::MAX);
    batch.delete_range(all);
}

impl Auth {
    /// The same, by itself.
    pub(crate) async fn end_approvals_of(&self, user_id: &OwnedUserId) -> Result<(), StoreError> {
        let mut batch = self.batch(user_id.as_str());
        end_approvals(&mut batch, user_id);
        // It expects nothing, so that nobody can have been faster.
        self.commit(batch, user_id).await.map(drop)
    }
}
