//! Messages from device to device.

pub(crate) mod send;
