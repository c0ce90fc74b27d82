//! The errors of OAuth on the wire, by the codes that the RFCs give them.

use std::borrow::Cow;

/// An error's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request lacks a parameter, repeats one or is malformed (RFC 6749).
    InvalidRequest,
    /// Who calls is not who may (RFC 6749, section 5.2).
    InvalidClient,
    /// The code or token is unknown, used up, expired, or another client's (RFC 6749, section 5.2).
    InvalidGrant,
    /// The client did not register for this (RFC 6749).
    UnauthorizedClient,
    /// Another grant type than those served (RFC 6749, section 5.2).
    UnsupportedGrantType,
    /// Another response type than `code` (RFC 6749, section 4.1.2.1).
    UnsupportedResponseType,
    /// The scope is no use for anything here (RFC 6749).
    InvalidScope,
    /// The user said no (RFC 6749, section 4.1.2.1).
    AccessDenied,
    /// The server can't now, and may later (RFC 6749, section 4.1.2.1).
    TemporarilyUnavailable,
    /// The server failed (RFC 6749, section 4.1.2.1).
    ServerError,
    /// The user would have to sign in, and nothing may be shown (OpenID Connect Core, section 3.1.2.6).
    LoginRequired,
    /// The user would have to be asked, and nothing may be shown (OpenID Connect Core, section 3.1.2.6).
    InteractionRequired,
    /// Request objects are not supported (OpenID Connect Core, section 3.1.2.6).
    RequestNotSupported,
    /// Request objects by reference are not supported (OpenID Connect Core, section 3.1.2.6).
    RequestUriNotSupported,
    /// A redirect URI that can't be registered (RFC 7591, section 3.2.2).
    InvalidRedirectUri,
    /// Metadata that can't be registered (RFC 7591, section 3.2.2).
    InvalidClientMetadata,
    /// The user has not decided yet (RFC 8628, section 3.5).
    AuthorizationPending,
    /// The same, and the client asks too often (RFC 8628, section 3.5).
    SlowDown,
    /// The device code has expired (RFC 8628, section 3.5).
    ExpiredToken,
}

impl ErrorCode {
    /// The code on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
            Self::LoginRequired => "login_required",
            Self::InteractionRequired => "interaction_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
        }
    }
}

/// An error, as it goes to the client: its code, and a sentence for the client's developers.
///
/// The sentence has only the characters that RFC 6749 (section 4.1.2.1) allows and quotes nothing that was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {description}", code.as_str())]
pub struct Refusal {
    /// Its code.
    pub code: ErrorCode,
    /// What is wrong, and what would be right.
    pub description: Cow<'static, str>,
}

impl Refusal {
    /// A refusal.
    #[must_use]
    pub fn new(code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        Self { code, description: description.into() }
    }
}
