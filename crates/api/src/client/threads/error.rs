//! Matrix errcodes for thread subscriptions.

use http::StatusCode;
use myelin_notify::SubscriptionError;

use crate::Error;

impl From<SubscriptionError> for Error {
    fn from(error: SubscriptionError) -> Self {
        match error {
            SubscriptionError::NotFound => {
                Self::not_found("There is no such thread here for you, or no subscription to it.")
            }
            SubscriptionError::NotInThread => Self::new(
                StatusCode::BAD_REQUEST,
                "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD",
                "The event that `automatic` names is not in this thread.",
            ),
            SubscriptionError::Unsubscribed => Self::new(
                StatusCode::CONFLICT,
                "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION",
                "You unsubscribed from this thread after the event that `automatic` names.",
            ),
            SubscriptionError::Read(error) => error.into(),
            SubscriptionError::Commit(error) => error.into(),
        }
    }
}
