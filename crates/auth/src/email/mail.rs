//! Mails: what they say, and the way out.

use futures_util::future::BoxFuture;
use myelin_runtime::Secret;
use myelin_store::schema::auth::EmailPurpose;
use ruma::{ServerName, UserId};

use super::address::EmailAddress;

/// A mail to be sent.
#[derive(Clone, Debug)]
pub struct Mail {
    /// To whom.
    pub to: EmailAddress,
    /// What its `Message-ID` is before the `@`: the same however often it is tried.
    pub id: String,
    /// When it was written, in milliseconds since the Unix epoch.
    pub at: i64,
    /// What it is about.
    pub subject: String,
    /// What it says. Whoever reads it has the mailbox, so nobody else may.
    pub text: Secret<String>,
}

/// Why a mail is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The mail server will not take it.
    #[error("the mail server refused it: {0}")]
    Refused(String),
    /// The mail server can't take it now, or can't be reached.
    #[error("the mail server can't be reached or is busy: {0}")]
    Unreachable(String),
}

/// The way to the mail server.
pub trait Mailer: Send + Sync + 'static {
    /// Hands one mail over.
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), MailError>>;
}

/// What a mail is for.
pub(crate) enum Letter<'a> {
    /// It carries the link by which its reader shows that the mailbox is theirs; for a new password, of whose account.
    Confirm { purpose: EmailPurpose, link: &'a str, account: Option<&'a UserId> },
    /// The address belongs to an account already.
    Taken { purpose: EmailPurpose, account: &'a UserId },
    /// Something about how its reader signs in has changed.
    Changed { account: &'a UserId, told: &'a str },
}

impl Letter<'_> {
    pub(crate) fn subject(&self, server: &ServerName) -> String {
        match self {
            Self::Confirm { purpose: EmailPurpose::Reset, .. } => format!("Reset your password on {server}"),
            Self::Confirm { .. } => format!("Confirm your e-mail address for {server}"),
            Self::Taken { .. } => format!("Your e-mail address on {server}"),
            Self::Changed { .. } => format!("Signing in to your account on {server}"),
        }
    }

    pub(crate) fn text(&self, server: &ServerName) -> String {
        match self {
            Self::Confirm { purpose, link, account } => {
                let asked = match (purpose, account) {
                    (EmailPurpose::Reset, Some(account)) => {
                        format!("a new password for the account {account}")
                    }
                    (EmailPurpose::Reset, None) => format!("a new password on the Matrix server {server}"),
                    (EmailPurpose::Register, _) => {
                        format!("an account with this e-mail address on the Matrix server {server}")
                    }
                    (EmailPurpose::Add, _) => {
                        format!(
                            "this e-mail address to be added to their account on the Matrix server {server}"
                        )
                    }
                };
                format!(
                    "Hello,\n\nsomebody, probably you, asked for {asked}.\n\n\
                     To confirm this, open the following page and press the button there:\n\n{link}\n\n\
                     Then go back to where you began. The page is good for one hour.\n\n\
                     If it was not you, do nothing, and nothing changes.\n"
                )
            }
            Self::Taken { purpose, account } => {
                let asked = match purpose {
                    EmailPurpose::Register => "tried to make an account with",
                    EmailPurpose::Add | EmailPurpose::Reset => "tried to add to an account",
                };
                format!(
                    "Hello,\n\nsomebody, probably you, {asked} this e-mail address on the Matrix server {server}. \
                     It belongs to the account {account} already.\n\n\
                     You can log in to that account. If you have forgotten its password, your app can have a new one \
                     made: look for \"Forgot password?\" where you log in.\n\n\
                     If it was not you, do nothing, and nothing changes.\n"
                )
            }
            Self::Changed { account, told } => format!(
                "Hello,\n\n{told}\n\nThe account is {account} on the Matrix server {server}.\n\n\
                 If it was you, there is nothing to do. If it was not you, somebody knows your password: choose another \
                 one at once, and tell whoever runs the server.\n"
            ),
        }
    }
}
