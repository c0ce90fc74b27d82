//! Matrix errcodes for what rooms refuse.

use http::StatusCode;
use myelin_rooms::{
    AliasError, CreateError, MembershipError, NoticeError, ReadingError, Refusal, SendError, StateError,
    ThirdPartyError, UpgradeError,
};

use crate::Error;

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match &error {
            SendError::Refused(refusal) => refusal.into(),
            // Whether the room exists is none of a stranger's business.
            SendError::NoSuchRoom => Self::forbidden("You are not in this room."),
            SendError::UnsupportedVersion(_) => {
                Self::new(StatusCode::BAD_REQUEST, "M_UNSUPPORTED_ROOM_VERSION", sentence(&error))
            }
            SendError::Busy => Self::limit_exceeded(std::time::Duration::from_secs(1)),
            SendError::Full => Self::full(),
            SendError::Unavailable(_) => Self::unavailable(&error),
        }
    }
}

impl From<&Refusal> for Error {
    fn from(refusal: &Refusal) -> Self {
        let message = sentence(refusal);
        match refusal {
            Refusal::NotAllowed(_)
            | Refusal::MayNotRedact
            | Refusal::RoomBlocked
            | Refusal::UserBlocked(_) => Self::forbidden(message),
            Refusal::NoEvent(_) => Self::bad_json(message),
            Refusal::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", message),
            Refusal::InviteBlocked(_) => Self::new(StatusCode::FORBIDDEN, "M_INVITE_BLOCKED", message),
            Refusal::NoSuchEvent => Self::not_found(message),
            Refusal::TooManySticky { retry_after } => {
                Self::limit_exceeded(std::time::Duration::from_millis(*retry_after))
            }
            Refusal::Suspended => Self::user_suspended(),
        }
    }
}

impl From<CreateError> for Error {
    fn from(error: CreateError) -> Self {
        let message = sentence(&error);
        let bad = |errcode| Self::new(StatusCode::BAD_REQUEST, errcode, message.clone());
        match error {
            CreateError::UnsupportedVersion(_) => bad("M_UNSUPPORTED_ROOM_VERSION"),
            CreateError::AliasInUse(_) => bad("M_ROOM_IN_USE"),
            CreateError::InvalidAlias(_) => bad("M_INVALID_PARAM"),
            CreateError::InitialState(_) | CreateError::CreatorHasLevel => bad("M_INVALID_ROOM_STATE"),
            CreateError::TooMuch => bad("M_INVALID_PARAM"),
            // The caller's own initial state breaks the rules: their request is wrong, not their power.
            CreateError::Send(SendError::Refused(Refusal::NotAllowed(_))) => bad("M_INVALID_ROOM_STATE"),
            CreateError::ThirdParty(error) => error.into(),
            CreateError::Send(error) => error.into(),
        }
    }
}

impl From<MembershipError> for Error {
    fn from(error: MembershipError) -> Self {
        let message = sentence(&error);
        match error {
            MembershipError::Remote(_) | MembershipError::NotInRoom(_) | MembershipError::NotBanned(_) => {
                Self::forbidden(message)
            }
            MembershipError::NoticeRoom => {
                Self::new(StatusCode::FORBIDDEN, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM", message)
            }
            MembershipError::StillInRoom => Self::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message),
            MembershipError::Send(error) => error.into(),
        }
    }
}

impl From<ThirdPartyError> for Error {
    fn from(error: ThirdPartyError) -> Self {
        let message = sentence(&error);
        let bad = |errcode| Self::new(StatusCode::BAD_REQUEST, errcode, message.clone());
        match error {
            ThirdPartyError::Untrusted(_) => bad("M_SERVER_NOT_TRUSTED"),
            ThirdPartyError::Address => bad("M_INVALID_PARAM"),
            ThirdPartyError::Medium => bad("M_THREEPID_NOT_FOUND"),
            // Never a 5xx, nor a 401, of another server's making: the client would blame this one, or log its user out.
            ThirdPartyError::Unreachable | ThirdPartyError::BadAnswer | ThirdPartyError::Refused(_) => {
                bad("M_UNKNOWN")
            }
            ThirdPartyError::Token | ThirdPartyError::Revoked => Self::forbidden(message),
            ThirdPartyError::Terms => Self::new(StatusCode::FORBIDDEN, "M_TERMS_NOT_SIGNED", message),
            ThirdPartyError::Membership(error) => error.into(),
        }
    }
}

impl From<ReadingError> for Error {
    fn from(error: ReadingError) -> Self {
        let message = sentence(&error);
        match error {
            ReadingError::NotInRoom => Self::forbidden(message),
            ReadingError::NotFound => Self::not_found(message),
            ReadingError::BadToken(_) => Self::invalid_param(message),
            ReadingError::Read(error) => error.into(),
        }
    }
}

impl From<NoticeError> for Error {
    fn from(error: NoticeError) -> Self {
        match error {
            NoticeError::Create(error) => error.into(),
            NoticeError::Send(error) => error.into(),
        }
    }
}

impl From<UpgradeError> for Error {
    fn from(error: UpgradeError) -> Self {
        match error {
            UpgradeError::NotAllowed => Self::forbidden(sentence(&error)),
            UpgradeError::Create(error) => error.into(),
            UpgradeError::Send(error) => error.into(),
        }
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Alias(error) => error.into(),
            StateError::Send(error) => error.into(),
        }
    }
}

impl From<AliasError> for Error {
    fn from(error: AliasError) -> Self {
        let message = sentence(&error);
        match error {
            AliasError::Foreign(_) | AliasError::Invalid(_) => Self::invalid_param(message),
            AliasError::Elsewhere(_) => Self::new(StatusCode::BAD_REQUEST, "M_BAD_ALIAS", message),
            AliasError::InUse(_) => Self::new(StatusCode::CONFLICT, "M_UNKNOWN", message),
            AliasError::NotFound(_) | AliasError::NoSuchRoom => Self::not_found(message),
            AliasError::NotAllowed(_) | AliasError::Blocked(_) => Self::forbidden(message),
            AliasError::Read(error) => error.into(),
            AliasError::Commit(error) => error.into(),
        }
    }
}

/// An error's message as a sentence for people.
fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}
