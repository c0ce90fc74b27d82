//! The device authorization grant.

use bytes::Bytes;
use myelin_oauth_core::client::{ClientMetadata, GrantType};
use myelin_oauth_core::code;
use myelin_oauth_core::device::{Decision, DeviceCode, LIFETIME, Late, Outcome, Stage, Tokens, UserCode};
use myelin_oauth_core::error::{ErrorCode, Refusal};
use myelin_oauth_core::scope::Scope;
use myelin_runtime::Secret;
use myelin_store::schema::auth::{Account, Device};
use myelin_store::schema::oauth::{DeviceCodeStage, OauthClient, OauthDeviceCode, OauthGrant};
use myelin_store::{Batch, CommitError, Durability, Reader, Scan, Snapshot};

use super::browser::{expect_browser, is_usable};
use super::grant::{NewGrant, family_of};
use super::{Browser, OauthError, OauthTokens, invalid_grant};
use crate::auth::{ATTEMPTS, Applied};
use crate::session::refresh::Next;
use crate::session::token::{self, Kind};
use crate::session::{Renewal, expect_device};
use crate::{Act, Actor, Auth, StoreError};

/// How long a code that came to nothing is kept after it has expired, so that its client is told so.
const LINGERS: i64 = 3_600_000;

/// A client that waits for its user (RFC 8628, section 3.2).
#[derive(Clone, Debug)]
pub struct DeviceAuthorization {
    /// What it asks with.
    pub device_code: Secret<String>,
    /// What it shows its user.
    pub user_code: UserCode,
    /// How long both are good, in seconds.
    pub expires_in: i64,
    /// How long it waits between two questions, in seconds.
    pub interval: i64,
}

/// A client about which somebody is to decide.
#[derive(Clone, Debug)]
pub struct DeviceToDecide {
    /// What it says of itself.
    pub client: ClientMetadata,
    /// The device that it will be.
    pub device_id: String,
}

impl Auth {
    /// Begins the grant for a client without a browser.
    ///
    /// # Errors
    /// Why not.
    pub async fn authorize_device(
        &self,
        client_id: &str,
        scope: &str,
    ) -> Result<DeviceAuthorization, OauthError> {
        self.client_for(client_id, GrantType::DeviceCode).await?;
        let scope = Scope::parse(scope)?;
        self.touch_client(client_id).await?;
        if self.config.limit_failures {
            self.oauth.take_device_code(self.env.clock.elapsed())?;
        }
        for _ in 0..ATTEMPTS {
            let user_code = UserCode::random(|end| self.env.random.below(end));
            if !self.rows_of(&user_code).await?.is_empty() {
                continue;
            }
            let device_code = token::mint(&self.env.random, Kind::DeviceCode);
            let now = self.now();
            let fresh = DeviceCode::new(client_id.to_owned(), now);
            let row = OauthDeviceCode {
                hash: Bytes::copy_from_slice(&token::hash(device_code.expose())),
                user_code: user_code.as_str().to_owned(),
                client_id: client_id.to_owned(),
                scope: scope.as_str().to_owned(),
                stage: DeviceCodeStage::Pending,
                user_id: None,
                poll_interval: fresh.interval,
                polled_at: None,
                expires_at: fresh.expires_at,
                forgotten_at: fresh.expires_at.saturating_add(LINGERS),
                origin: None,
            };
            let mut batch = self.batch("oauth_device_code");
            batch.insert(&row);
            self.engine.commit(batch).await.map_err(StoreError::from)?;
            let (expires_in, interval) = (LIFETIME / 1_000, fresh.interval / 1_000);
            return Ok(DeviceAuthorization { device_code, user_code, expires_in, interval });
        }
        Err(StoreError::Contended.into())
    }

    /// The client that shows this code, while somebody may decide about it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn device_to_decide(&self, user_code: &UserCode) -> Result<Option<DeviceToDecide>, StoreError> {
        let Some(row) = self.pending(user_code).await? else { return Ok(None) };
        let Some(client) = self.oauth_client(&row.client_id).await? else { return Ok(None) };
        let scope = Scope::parse(&row.scope).ok();
        Ok(scope.map(|scope| DeviceToDecide { client, device_id: scope.device_id().to_owned() }))
    }

    /// Decides about the client that shows this code, for who is signed in. Whether there was one that waited.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn decide_device(
        &self,
        browser: &Browser,
        user_code: &UserCode,
        decision: Decision,
    ) -> Result<bool, StoreError> {
        for _ in 0..ATTEMPTS {
            let Some(row) = self.pending(user_code).await? else { return Ok(false) };
            let decided = match stored(&row).decide(decision, self.now()) {
                Ok(decided) => decided,
                Err(Late::Expired | Late::Decided) => return Ok(false),
            };
            let user_id = &browser.user_id;
            let mut batch = self.batch(user_id.as_str());
            expect_code(&mut batch, &row);
            expect_browser(&mut batch, browser);
            let origin = browser.origin.clone();
            batch.put(&OauthDeviceCode { user_id: Some(user_id.clone()), origin, ..with(&row, &decided) });
            let act = match decision {
                Decision::Approve => Act::OauthApprove,
                Decision::Deny => Act::OauthDeny,
            };
            let detail = Some(row.client_id.clone());
            self.record(&mut batch, &Actor::User(user_id.clone()), act, Some(user_id), detail);
            if self.commit(batch, user_id).await? == Applied::Yes {
                return Ok(true);
            }
            if !self.is_signed_in(browser).await? {
                return Ok(false);
            }
        }
        Err(StoreError::Contended)
    }

    /// Answers a client that asks whether its user has decided.
    ///
    /// # Errors
    /// Why there are no tokens, or not yet.
    pub async fn poll_device(&self, device_code: &str, client_id: &str) -> Result<OauthTokens, OauthError> {
        if !Kind::DeviceCode.fits(device_code) {
            return Err(invalid_grant());
        }
        let key = (Bytes::copy_from_slice(&token::hash(device_code)),);
        for _ in 0..ATTEMPTS {
            let number = self.next_session().await?;
            let snapshot = self.engine.snapshot().await?;
            let row = snapshot.get::<OauthDeviceCode>(&key).await?.ok_or_else(invalid_grant)?;
            let unused = self.unused(&*snapshot, &row, device_code).await?;
            let tokens = if unused.is_some() { Tokens::Unused } else { Tokens::Used };
            let (outcome, next) = stored(&row).poll(client_id, tokens, self.now());
            let answer = match (outcome, unused) {
                (Outcome::Issue, _) => {
                    // From now on it is kept, to know one that comes back.
                    let forgotten_at = self.now().saturating_add(code::REMEMBERED);
                    let next = OauthDeviceCode { forgotten_at, ..with(&row, &next) };
                    self.issue_device(snapshot, (&row, &next), device_code, number).await?
                }
                (Outcome::Again, Some((grant, device))) => {
                    let before = grant.generation - 1;
                    let next = Next::read(&*snapshot, &device, before).await?;
                    drop(snapshot);
                    self.take_sibling(&next)?;
                    self.issue_again(grant, &device, next, device_code).await?
                }
                (Outcome::Reused, _) => {
                    drop(snapshot);
                    self.end_family(&family_of(device_code), Act::OauthCodeReused).await?;
                    return Err(invalid_grant());
                }
                (Outcome::Refused(error), _) => {
                    drop(snapshot);
                    if self.write_poll(&row, &with(&row, &next)).await? {
                        return Err(refused(error));
                    }
                    None
                }
                (Outcome::Again, None) => return Err(invalid_grant()),
            };
            if let Some(tokens) = answer {
                return Ok(tokens);
            }
        }
        Err(StoreError::Contended.into())
    }

    /// The grant that came of a device code, and its device, if no token of it was used yet.
    async fn unused(
        &self,
        snapshot: &dyn Snapshot,
        row: &OauthDeviceCode,
        device_code: &str,
    ) -> Result<Option<(OauthGrant, Device)>, StoreError> {
        if row.stage != DeviceCodeStage::Issued {
            return Ok(None);
        }
        let family = OauthGrant::of_family(&family_of(device_code));
        let Some(grant) = snapshot.scan::<OauthGrant>(family).await?.pop() else { return Ok(None) };
        let key = (grant.user_id.clone(), grant.device_id.clone());
        let device = snapshot.get::<Device>(&key).await?;
        let device = device.filter(|device| device.generation < grant.generation);
        Ok(device.map(|device| (grant, device)))
    }

    /// The session that was approved; nothing where something changed meanwhile. The snapshot ends before the commit.
    async fn issue_device(
        &self,
        snapshot: Box<dyn Snapshot>,
        (row, next): (&OauthDeviceCode, &OauthDeviceCode),
        device_code: &str,
        number: i64,
    ) -> Result<Option<OauthTokens>, OauthError> {
        let user_id = row.user_id.clone().ok_or_else(invalid_grant)?;
        let account = snapshot.get::<Account>(&(user_id.clone(),)).await?;
        let account = account.filter(is_usable).ok_or_else(invalid_grant)?;
        let client = snapshot.get::<OauthClient>(&(row.client_id.clone(),)).await?;
        // One that an operator removed gets nothing any more.
        let client = client.ok_or_else(invalid_grant)?;
        let client = ClientMetadata::parse(client.metadata.as_bytes()).ok();
        let mut batch = self.batch(user_id.as_str());
        expect_code(&mut batch, row);
        batch.put(next);
        let grant = NewGrant {
            code: device_code,
            client_id: &row.client_id,
            client_name: client.as_ref().and_then(|client| client.client_name.get("en")),
            scope: &row.scope,
            account: &account,
            origin: row.origin.as_deref(),
        };
        let tokens = self.open_grant(&mut batch, &*snapshot, &grant, number).await?;
        drop(snapshot);
        Ok((self.commit(batch, &user_id).await? == Applied::Yes).then_some(tokens))
    }

    /// The first tokens of a grant once more: the answer with them was lost.
    async fn issue_again(
        &self,
        grant: OauthGrant,
        device: &Device,
        next: Next,
        device_code: &str,
    ) -> Result<Option<OauthTokens>, OauthError> {
        let mut batch = self.batch(grant.user_id.as_str());
        expect_device(&mut batch, device);
        let mark = token::mark(device_code);
        let issued = self.issue_next(&mut batch, next, Renewal::Marked(&mark));
        let applied = self.commit(batch, &grant.user_id).await?;
        Ok((applied == Applied::Yes).then_some(OauthTokens { issued, scope: grant.scope }))
    }

    /// Writes when a client asked. Nobody minds when a power cut takes it.
    async fn write_poll(&self, row: &OauthDeviceCode, next: &OauthDeviceCode) -> Result<bool, StoreError> {
        if row == next {
            return Ok(true);
        }
        let mut batch = self.batch("oauth_device_code");
        batch.durability = Durability::MayLag;
        expect_code(&mut batch, row);
        batch.put(next);
        match self.engine.commit(batch).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn rows_of(&self, user_code: &UserCode) -> Result<Vec<OauthDeviceCode>, StoreError> {
        let key = (user_code.as_str().to_owned(),);
        let scan = Scan::index::<OauthDeviceCode>(OauthDeviceCode::BY_USER_CODE, key, 2);
        Ok(self.engine.snapshot().await?.scan::<OauthDeviceCode>(scan).await?)
    }

    /// The code that somebody means, if it waits and there is only one.
    async fn pending(&self, user_code: &UserCode) -> Result<Option<OauthDeviceCode>, StoreError> {
        let mut rows = self.rows_of(user_code).await?;
        let waits =
            |row: &OauthDeviceCode| row.stage == DeviceCodeStage::Pending && row.expires_at > self.now();
        Ok(rows.pop().filter(|row| rows.is_empty() && waits(row)))
    }

    /// Forgets device codes that nobody need know any more.
    pub(crate) async fn prune_device_codes(&self) -> Result<(), StoreError> {
        let mut batch = self.batch("oauth_device_code");
        batch.durability = Durability::MayLag;
        let all = Scan::index::<OauthDeviceCode>(OauthDeviceCode::BY_END, (), usize::MAX);
        batch.delete_range(all.up_to((self.now(),)));
        self.engine.commit(batch).await?;
        Ok(())
    }
}

fn stored(row: &OauthDeviceCode) -> DeviceCode {
    let stage = match row.stage {
        DeviceCodeStage::Pending => Stage::Pending,
        DeviceCodeStage::Approved => Stage::Approved,
        DeviceCodeStage::Denied => Stage::Denied,
        DeviceCodeStage::Issued => Stage::Issued,
    };
    DeviceCode {
        client_id: row.client_id.clone(),
        expires_at: row.expires_at,
        stage,
        interval: row.poll_interval,
        polled_at: row.polled_at,
    }
}

fn with(row: &OauthDeviceCode, next: &DeviceCode) -> OauthDeviceCode {
    let stage = match next.stage {
        Stage::Pending => DeviceCodeStage::Pending,
        Stage::Approved => DeviceCodeStage::Approved,
        Stage::Denied => DeviceCodeStage::Denied,
        Stage::Issued => DeviceCodeStage::Issued,
    };
    OauthDeviceCode { stage, poll_interval: next.interval, polled_at: next.polled_at, ..row.clone() }
}

/// Expects that nobody decided or asked since the row was read.
fn expect_code(batch: &mut Batch, row: &OauthDeviceCode) {
    let key = (row.hash.clone(),);
    batch.expect_column::<OauthDeviceCode>(&key, "stage", &row.stage);
    batch.expect_column::<OauthDeviceCode>(&key, "polled_at", &row.polled_at);
}

fn refused(code: ErrorCode) -> OauthError {
    match code {
        ErrorCode::InvalidGrant => invalid_grant(),
        ErrorCode::AuthorizationPending => Refusal::new(code, "The user has not decided yet.").into(),
        ErrorCode::SlowDown => Refusal::new(code, "Ask less often: wait five seconds more each time.").into(),
        ErrorCode::AccessDenied => Refusal::new(code, "The user said no.").into(),
        other => Refusal::new(other, "The device code has expired.").into(),
    }
}
