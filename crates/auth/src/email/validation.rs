//! Sessions in which somebody shows that an address is theirs.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use myelin_language::Language;
use myelin_runtime::Secret;
use myelin_store::schema::auth::{EmailPurpose, EmailToken, EmailValidation, ThirdPartyId};
use myelin_store::{Batch, CommitError, Durability, Reader, Scan, Snapshot};
use ruma::OwnedUserId;
use sha2::{Digest, Sha256};
use url::Url;

use super::EmailError;
use super::address::EmailAddress;
use super::mail::{Letter, Mail, Written};
use crate::auth::ATTEMPTS;
use crate::session::token::{self, Kind};
use crate::{Auth, StoreError};

/// How long a mail's link is good for, and then how long the client may take to do what it was for.
const LIFETIME: Duration = Duration::from_secs(3600);
/// How many mails one session has sent at most.
const MAX_SENDS: i64 = 10;
/// The longest client secret and the longest next link, in bytes.
const MAX_SECRET: usize = 255;
const MAX_NEXT_LINK: usize = 2048;
/// The medium of e-mail addresses.
pub(crate) const EMAIL: &str = "email";

/// A mail that a client asks for.
#[derive(Clone, Debug)]
pub struct EmailRequest {
    /// What the address is to be used for.
    pub purpose: EmailPurpose,
    /// The address, as it was entered.
    pub email: String,
    /// The client's secret.
    pub client_secret: String,
    /// A mail is sent only where this is more than the last one that the client gave.
    pub send_attempt: i64,
    /// Where the browser goes afterwards.
    pub next_link: Option<String>,
    /// The language of who asks; nothing where it is not known.
    pub language: Option<Language>,
}

/// By what a client names a session.
#[derive(Clone, Debug)]
pub struct EmailCredentials {
    /// The session.
    pub sid: String,
    /// The client's secret.
    pub client_secret: String,
}

/// An address that was shown to be somebody's own, until it is used for what it was shown for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedEmail {
    pub(crate) sid: String,
    pub(crate) address: String,
    pub(crate) validated_at: i64,
}

/// What the link in a mail leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// The address.
    pub address: String,
    /// What it is to be used for.
    pub purpose: EmailPurpose,
    /// Where the browser goes afterwards.
    pub next_link: Option<String>,
}

impl Auth {
    /// Whether this server sends mail.
    #[must_use]
    pub fn sends_email(&self) -> bool {
        self.mails.is_some()
    }

    /// Begins a session, or goes on with it, and sends a mail where a new one is asked for. Answers with the session's
    /// id, which says nothing about whether the address belongs to somebody.
    ///
    /// # Errors
    /// See [`EmailError`].
    pub async fn request_email(&self, request: EmailRequest) -> Result<String, EmailError> {
        let mails = self.mails.as_ref().ok_or(EmailError::Off)?;
        let address = EmailAddress::parse(&request.email).ok_or(EmailError::Address)?;
        check_secret(&request.client_secret)?;
        self.check_next_link(request.next_link.as_deref())?;
        let sid = sid(request.purpose, &address, &request.client_secret);
        let mut place = None;
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let row = snapshot.get::<EmailValidation>(&(sid.clone(),)).await?;
            let live = row.as_ref().filter(|row| row.expires_at > self.now());
            if live.is_some_and(|row| row.send_attempt >= request.send_attempt) {
                return Ok(sid);
            }
            if live.is_some_and(|row| row.sends >= MAX_SENDS) {
                return Err(EmailError::Limited(LIFETIME));
            }
            let owner = self.owner_of(&*snapshot, address.as_str()).await?;
            drop(snapshot);
            if place.is_none() {
                place = Some(mails.place(address.as_str()).map_err(EmailError::Limited)?);
            }
            let token = token::mint(&self.env.random, Kind::Email);
            let batch = self.session_batch(&sid, &address, &request, row.as_ref(), &token);
            match self.engine.commit(batch).await {
                Ok(_) => {}
                Err(CommitError::Conflict { .. }) => continue,
                Err(error) => return Err(StoreError::from(error).into()),
            }
            if let (Some(written), Some(place)) = (self.write(&request, owner.as_ref(), &token), place.take())
            {
                mails.send(place, self.mail(address, written));
            }
            return Ok(sid);
        }
        Err(StoreError::Contended.into())
    }

    /// What the link with this token leads to; nothing where it is unknown, was used, or has expired.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn email_to_confirm(&self, token: &str) -> Result<Option<Confirmation>, StoreError> {
        let snapshot = self.engine.snapshot().await?;
        Ok(self.session_of_token(&*snapshot, token).await?.map(Confirmation::from))
    }

    /// The person at the browser confirms. Doing it twice does no harm.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn confirm_email(&self, token: &str) -> Result<Option<Confirmation>, StoreError> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let Some(row) = self.session_of_token(&*snapshot, token).await? else { return Ok(None) };
            drop(snapshot);
            if row.validated_at.is_some() {
                return Ok(Some(row.into()));
            }
            let mut batch = self.batch(&row.sid);
            expect_session(&mut batch, &row);
            let now = self.now();
            let expires_at = now.saturating_add(lifetime());
            batch.put(&EmailValidation { validated_at: Some(now), expires_at, ..row.clone() });
            match self.engine.commit(batch).await {
                Ok(_) => return Ok(Some(row.into())),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Contended)
    }

    /// The address that was confirmed in a session, for this purpose.
    pub(crate) async fn validated(
        &self,
        snapshot: &dyn Snapshot,
        purpose: EmailPurpose,
        credentials: &EmailCredentials,
    ) -> Result<Option<ValidatedEmail>, StoreError> {
        let row = snapshot.get::<EmailValidation>(&(credentials.sid.clone(),)).await?;
        let secret_hash = token::hash(&credentials.client_secret);
        let row = row.filter(|row| {
            row.purpose == purpose && row.secret_hash == secret_hash[..] && row.expires_at > self.now()
        });
        Ok(row.and_then(|row| {
            let validated_at = row.validated_at?;
            Some(ValidatedEmail { sid: row.sid, address: row.address, validated_at })
        }))
    }

    /// The address that was confirmed for this in a session, if one was.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn confirmed_email(
        &self,
        purpose: EmailPurpose,
        credentials: &EmailCredentials,
    ) -> Result<Option<ValidatedEmail>, StoreError> {
        let snapshot = self.engine.snapshot().await?;
        self.validated(&*snapshot, purpose, credentials).await
    }

    /// The account that an address belongs to.
    pub(crate) async fn owner_of(
        &self,
        snapshot: &dyn Snapshot,
        address: &str,
    ) -> Result<Option<OwnedUserId>, StoreError> {
        let key = (EMAIL.to_owned(), address.to_owned());
        Ok(snapshot.get::<ThirdPartyId>(&key).await?.map(|row| row.user_id))
    }

    /// Forgets sessions and tokens that have expired.
    pub(crate) async fn prune_emails(&self) -> Result<(), StoreError> {
        let mut batch = self.batch("email_validation");
        batch.durability = Durability::MayLag;
        let sessions = Scan::index::<EmailValidation>(EmailValidation::BY_EXPIRY, (), usize::MAX);
        batch.delete_range(sessions.up_to((self.now(),)));
        let tokens = Scan::index::<EmailToken>(EmailToken::BY_EXPIRY, (), usize::MAX);
        batch.delete_range(tokens.up_to((self.now(),)));
        self.engine.commit(batch).await?;
        Ok(())
    }

    fn check_next_link(&self, link: Option<&str>) -> Result<(), EmailError> {
        let Some(link) = link else { return Ok(()) };
        let url = Url::parse(link).map_err(|_| EmailError::NextLink)?;
        let domains = &self.config.email.next_link_domains;
        let host = url.host_str().unwrap_or_default();
        let allowed = matches!(url.scheme(), "http" | "https")
            && link.len() <= MAX_NEXT_LINK
            && url.username().is_empty()
            && (domains.is_empty() || domains.iter().any(|domain| domain.eq_ignore_ascii_case(host)));
        if allowed { Ok(()) } else { Err(EmailError::NextLink) }
    }

    fn session_batch(
        &self,
        sid: &str,
        address: &EmailAddress,
        request: &EmailRequest,
        before: Option<&EmailValidation>,
        token: &Secret<String>,
    ) -> Batch {
        let now = self.now();
        let mut batch = self.batch(sid);
        match before {
            Some(before) => expect_session(&mut batch, before),
            None => batch.expect_absent::<EmailValidation>(&(sid.to_owned(),)),
        }
        let live = before.filter(|before| before.expires_at > now);
        let expires_at = now.saturating_add(lifetime());
        batch.put(&EmailValidation {
            sid: sid.to_owned(),
            purpose: request.purpose,
            address: address.as_str().to_owned(),
            secret_hash: Bytes::copy_from_slice(&token::hash(&request.client_secret)),
            send_attempt: request.send_attempt,
            sends: live.map_or(1, |live| live.sends + 1),
            next_link: request.next_link.clone(),
            expires_at,
            validated_at: live.and_then(|live| live.validated_at),
        });
        let hash = Bytes::copy_from_slice(&token::hash(token.expose()));
        batch.put(&EmailToken { hash, sid: sid.to_owned(), expires_at });
        batch
    }

    /// The mail for a request; none where a new password is asked for that nobody here has.
    fn write(
        &self,
        request: &EmailRequest,
        owner: Option<&OwnedUserId>,
        token: &Secret<String>,
    ) -> Option<Written> {
        let path = "/_matrix/client/unstable/email/submit_token?token=";
        let link = format!("{}{path}{}", self.config.public_url, token.expose());
        let (purpose, link) = (request.purpose, link.as_str());
        let letter = match (purpose, owner) {
            (EmailPurpose::Reset, None) => return None,
            (EmailPurpose::Reset, Some(account)) => Letter::Reset { account, link },
            (EmailPurpose::Register | EmailPurpose::Add, Some(account)) => Letter::Taken { purpose, account },
            (EmailPurpose::Register | EmailPurpose::Add, None) => Letter::Confirm { purpose, link },
        };
        let language = request.language.unwrap_or(self.config.language);
        Some(letter.written(language, self.config.sender()))
    }

    /// A mail to somebody, of now.
    pub(crate) fn mail(&self, to: EmailAddress, written: Written) -> Mail {
        Mail { to, id: self.env.random.alphanumeric(24), at: self.now(), written }
    }

    async fn session_of_token(
        &self,
        snapshot: &dyn Snapshot,
        token: &str,
    ) -> Result<Option<EmailValidation>, StoreError> {
        if !Kind::Email.fits(token) {
            return Ok(None);
        }
        let key = (Bytes::copy_from_slice(&token::hash(token)),);
        let is_live = |expires_at: i64| expires_at > self.now();
        let token = snapshot.get::<EmailToken>(&key).await?.filter(|token| is_live(token.expires_at));
        let Some(token) = token else { return Ok(None) };
        let row = snapshot.get::<EmailValidation>(&(token.sid,)).await?;
        Ok(row.filter(|row| is_live(row.expires_at)))
    }
}

impl From<EmailValidation> for Confirmation {
    fn from(row: EmailValidation) -> Self {
        Self { address: row.address, purpose: row.purpose, next_link: row.next_link }
    }
}

/// Adds to the batch that the session is used up: of two who use it, one gets it.
pub(crate) fn use_up(batch: &mut Batch, validated: &ValidatedEmail) {
    let key = (validated.sid.clone(),);
    batch.expect_column::<EmailValidation>(&key, "validated_at", &Some(validated.validated_at));
    batch.delete::<EmailValidation>(&key);
    batch.delete_range(Scan::index::<EmailToken>(EmailToken::BY_SID, key, usize::MAX));
}

/// Expects that nobody sent another mail or confirmed since the session was read.
fn expect_session(batch: &mut Batch, row: &EmailValidation) {
    let key = (row.sid.clone(),);
    batch.expect_column::<EmailValidation>(&key, "expires_at", &row.expires_at);
    batch.expect_column::<EmailValidation>(&key, "sends", &row.sends);
    batch.expect_column::<EmailValidation>(&key, "validated_at", &row.validated_at);
}

fn lifetime() -> i64 {
    i64::try_from(LIFETIME.as_millis()).unwrap_or(i64::MAX)
}

fn check_secret(secret: &str) -> Result<(), EmailError> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b".=_-".contains(&b);
    let fits = !secret.is_empty() && secret.len() <= MAX_SECRET && secret.bytes().all(legal);
    if fits { Ok(()) } else { Err(EmailError::Secret) }
}

/// The id of the session for an address and a secret. It is not kept secret, and can't be made by who has not the secret.
fn sid(purpose: EmailPurpose, address: &EmailAddress, secret: &str) -> String {
    let mut hash = Sha256::new();
    for part in [purpose.as_str(), address.as_str(), secret] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
}
