//! Accounts, passwords, sessions and devices, registration, interactive authentication.
//!
//! A session is a device with its tokens. Tokens come in generations: a refresh issues the next one, and the older
//! one stays good until the client shows a token of the newer one, so that an answer lost on the way locks nobody
//! out. Everything here hangs on the session's number ([`myelin_store::schema::auth::Device`]). An OAuth grant is a
//! session with a client's name on it (`oauth`), and its tokens pass the same door ([`Auth::authenticate`]).
//!
//! What other services keep for a session or an account goes with it in the same commit, through the ports
//! [`SessionEnd`]. Only the bounded, unacknowledged things live in memory: the token cache, interactive sessions,
//! nonces, and where a device was last seen.

mod account;
mod audit;
mod auth;
mod config;
mod directory;
mod email;
mod error;
mod factor;
mod guesses;
mod identity;
mod maintain;
mod oauth;
mod openid;
mod registration;
mod rendezvous;
mod session;
mod terms;
mod turn;
mod uia;
mod upstream;

pub use account::localpart::{NameProblem, new_user_id};
pub use account::moderation::{Lock, ModerationError, Suspension};
pub use account::operator::{AccountInfo, AdminRights};
pub use account::password::{Identifier, PasswordProblem};
pub use account::strength::{BreachedPasswords, Guess, PasswordDigest};
pub use account::third_party::{ThirdPartyError, ThirdPartyInfo};
pub use account::{AccountError, Deactivated, Departing, Erase, OtherSessions};
pub use audit::{Act, Actor, AuditEntry, Told};
pub use auth::{Auth, SessionEnd};
pub use config::{AuthConfig, LegacyLogins, PasswordCost, RegistrationMode};
pub use directory::{DIRECTORY, Directory, DirectoryDown, DirectoryEntry, DirectoryRules, LookError, Looked};
pub use email::address::EmailAddress;
pub use email::mail::{Mail, MailError, Mailer, Written};
pub use email::validation::{Confirmation, EmailCredentials, EmailRequest, ValidatedEmail};
pub use email::{EmailConfig, EmailError};
pub use error::StoreError;
pub use factor::{
    HalfSignedIn, NewHalf, Passkey, PasskeyChallenge, PasskeyError, SecondFactors, SecondStepError, SignIn,
    TotpEnrolment, TotpError,
};
pub use guesses::Origin;
pub use identity::IdentityTokens;
pub use myelin_store::schema::auth::EmailPurpose;
pub use oauth::{
    Browser, DeviceAuthorization, DeviceToDecide, EndedDevice, Introspection, NewBrowser, OauthConfig,
    OauthError, OauthTokens, OwnActivity, OwnBrowser, OwnDevice, Redeemed, RegisteredClient,
};
pub use openid::{OpenId, OpenIdError};
pub use registration::invitation::{InviteError, Invited};
pub use registration::shared_secret::{SharedSecretError, SharedSecretRegistration};
pub use registration::token::{NewRegistrationToken, RegistrationTokenInfo, TokenCreateError};
pub use registration::{Created, NewAccount, RegisterError};
pub use rendezvous::MeetingForm;
pub use session::authenticate::AuthenticateError;
pub use session::device::{DeviceError, DeviceInfo};
pub use session::login::{Login, LoginError};
pub use session::login_token::NewLoginToken;
pub use session::refresh::RefreshError;
pub use session::{DeviceProblem, Issued, NewSession, RefreshTokens};
pub use terms::{AcceptedTerms, Terms, TermsText};
pub use turn::{TurnConfig, TurnCredentials};
pub use uia::page::StageOnPage;
pub use uia::{Attempt, Challenge, Credential, Operation, Passed, Refusal, Stage, UiaError};
pub use upstream::{
    Arrived, Connection, Disconnected, ExistingAccount, Newcomers, Pending, Person, ProviderAnswer,
    ProviderFetch, ProviderRequest, ProviderState, SaysWhen, UpstreamError, UpstreamProvider,
};

#[cfg(test)]
mod tests;
