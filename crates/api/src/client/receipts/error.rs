//! Matrix errcodes for receipts and typing.

use myelin_users::{ReceiptError, TypingError};

use crate::Error;

impl From<ReceiptError> for Error {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::NotInRoom => Self::forbidden("You are not in this room."),
            ReceiptError::NoSuchEvent(event_id) => {
                Self::not_found(format!("There is no event {event_id} in this room."))
            }
            ReceiptError::OtherThread(event_id) => {
                Self::invalid_param(format!("The event {event_id} is not related to the thread_id."))
            }
            ReceiptError::NoThread => Self::invalid_param("m.fully_read takes no thread_id."),
            ReceiptError::Read(error) => error.into(),
            ReceiptError::Commit(error) => error.into(),
        }
    }
}

impl From<TypingError> for Error {
    fn from(error: TypingError) -> Self {
        match error {
            TypingError::NotYours => Self::forbidden("You can only say of yourself that you are typing."),
            TypingError::NotInRoom => Self::forbidden("You are not in this room."),
            TypingError::Read(error) => error.into(),
        }
    }
}
