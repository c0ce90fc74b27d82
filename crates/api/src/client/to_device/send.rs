//! `PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid>

use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;
use http::StatusCode;
use myelin_e2ee::{DeviceTarget, E2ee, Messages, SendError};
use ruma::api::client::to_device::send_event_to_device::v3::{Request, Response};
use ruma::to_device::DeviceIdOrAllDevices;

use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

/// Sends messages to devices.
pub(crate) async fn put(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    let mut messages = Messages::new();
    for (user_id, devices) in request.messages {
        let of_user = messages.entry(user_id).or_default();
        for (device, content) in devices {
            let target = match device {
                DeviceIdOrAllDevices::AllDevices => DeviceTarget::All,
                DeviceIdOrAllDevices::DeviceId(device_id) => DeviceTarget::One(device_id),
            };
            of_user.insert(target, Bytes::copy_from_slice(content.json().get().as_bytes()));
        }
    }
    let kind = request.event_type.to_string();
    e2ee.send_to_device(&requester, &kind, request.txn_id.as_str(), &messages).await?;
    Ok(Answer(Response::new()))
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NotAnObject => Self::bad_json("Each message must be a JSON object."),
            SendError::NameTooLong => {
                Self::invalid_param("An event type or transaction id may have at most 255 bytes.")
            }
            SendError::TooLarge => {
                let message =
                    "All copies of the messages together are too large; send to fewer devices at once.";
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", message)
            }
            SendError::Read(error) => error.into(),
            SendError::Commit(error) => error.into(),
        }
    }
}
