//! Devices of a user (<https://spec.matrix.org/v1.19/client-server-api/#device-management>).

pub(crate) mod delete_devices;
#[expect(clippy::module_inception, reason = "one file per endpoint, named as its path ends")]
pub(crate) mod device;
pub(crate) mod devices;

use myelin_auth::{DeviceError, DeviceInfo};
use serde_json::{Map, Value};

use crate::Error;

/// A device as its user sees it. What is not known is left out.
fn shown(device: DeviceInfo) -> Value {
    let mut body = Map::new();
    body.insert("device_id".to_owned(), device.device_id.as_str().into());
    let mut known = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    known("display_name", device.display_name.map(Value::from));
    known("last_seen_ip", device.last_seen_ip.map(Value::from));
    known("last_seen_ts", device.last_seen_ts.map(Value::from));
    Value::Object(body)
}

fn unknown_device() -> Error {
    Error::not_found("You have no device of this id.")
}

impl From<DeviceError> for Error {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Unknown => unknown_device(),
            DeviceError::Problem(problem) => problem.into(),
            DeviceError::Store(error) => error.into(),
        }
    }
}
