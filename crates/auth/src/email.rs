//! E-mail: showing that an address is one's own, and the mails for it
//! (<https://spec.matrix.org/v1.19/client-server-api/#adding-account-administrative-contact-information>).
//!
//! A client asks for a mail ([`Auth::request_email`]), the person opens the link in it and confirms
//! ([`Auth::confirm_email`]), and the client goes on with what it wanted, which uses the session up. What a stranger is
//! answered, and how long that takes, is the same whether or not an address belongs to an account.

pub(crate) mod address;
pub(crate) mod mail;
pub(crate) mod messages;
pub(crate) mod queue;
pub(crate) mod validation;

use std::time::Duration;

use crate::StoreError;

/// What an operator decides about e-mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmailConfig {
    /// Whether nobody registers without an address.
    pub required_to_register: bool,
    /// The hosts that a browser may be sent to afterwards; any where the list is empty.
    pub next_link_domains: Vec<String>,
}

/// Why no mail is on its way.
#[derive(Debug, thiserror::Error)]
pub enum EmailError {
    /// This server sends no mail.
    #[error("this server sends no e-mail")]
    Off,
    /// That is no address.
    #[error("this is no e-mail address that mail can be sent to")]
    Address,
    /// The client's secret has other characters, or too many.
    #[error("a client secret has 1 to 255 of the characters 0-9 a-z A-Z . = _ -")]
    Secret,
    /// The browser may not be sent there.
    #[error("the next link must be a web address that this server's operator allows")]
    NextLink,
    /// Too many mails, to this address or on the whole.
    #[error("too many mails were asked for")]
    Limited(Duration),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<myelin_store::ReadError> for EmailError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Store(error.into())
    }
}
