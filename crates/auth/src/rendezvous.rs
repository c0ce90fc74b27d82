//! Where two devices meet for a sign-in by QR code: [`myelin_oauth_core::rendezvous`] with a clock, in this process's memory.
//!
//! What is there lives for minutes. Where the server is started anew meanwhile the devices are told that it is gone, and people
//! scan again.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use myelin_oauth_core::rendezvous::{Place, Rendezvous, TooMany, Written};
use myelin_runtime::neighbourhood;

use crate::Auth;

/// Letters and digits of an id: whoever knows it may read and write.
const ID: usize = 32;
/// Letters and digits of a token.
const TOKEN: usize = 22;

/// In which form devices ask. What is opened in one can't be reached in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeetingForm {
    /// Bytes and entity tags (MSC4108 as of 2024).
    Tagged,
    /// JSON and sequence tokens (MSC4388).
    Sequenced,
}

/// The places of both forms.
#[derive(Debug, Default)]
pub(crate) struct Meetings {
    tagged: Mutex<Rendezvous<IpAddr>>,
    sequenced: Mutex<Rendezvous<IpAddr>>,
}

impl Meetings {
    fn of(&self, form: MeetingForm) -> MutexGuard<'_, Rendezvous<IpAddr>> {
        let places = match form {
            MeetingForm::Tagged => &self.tagged,
            MeetingForm::Sequenced => &self.sequenced,
        };
        places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Auth {
    /// Opens a place for a device at this address; its id, and what it holds.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn open_meeting(
        &self,
        form: MeetingForm,
        address: Option<IpAddr>,
        data: Bytes,
    ) -> Result<(String, Place), TooMany> {
        let (id, token) = (self.env.random.alphanumeric(ID), self.env.random.alphanumeric(TOKEN));
        let opener = neighbourhood(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        let place = self.meetings.of(form).open(self.now(), opener, id.clone(), token, data)?;
        Ok((id, place))
    }

    /// What a place holds, if it is there.
    #[must_use]
    pub fn look_at_meeting(&self, form: MeetingForm, id: &str) -> Option<Place> {
        self.meetings.of(form).look(self.now(), id)
    }

    /// Replaces what a place holds, by a device that saw what has this token.
    #[must_use]
    pub fn write_to_meeting(&self, form: MeetingForm, id: &str, seen: &str, data: Bytes) -> Written {
        let token = self.env.random.alphanumeric(TOKEN);
        self.meetings.of(form).write(self.now(), id, seen, token, data)
    }

    /// Closes a place; whether there was one.
    pub fn close_meeting(&self, form: MeetingForm, id: &str) -> bool {
        self.meetings.of(form).close(self.now(), id)
    }
}
