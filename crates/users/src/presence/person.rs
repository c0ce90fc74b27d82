//! One user's presence, put together from what their devices say. Pure: time is a parameter.

use std::time::Duration;

/// How long a device counts as connected after its last sync ended: clients ask again at once, on a bad network later.
pub(super) const OFFLINE_AFTER: Duration = Duration::from_secs(30);

/// After how long without activity somebody who is online counts as idle.
pub(super) const IDLE_AFTER: Duration = Duration::from_secs(300);

/// How long after their last activity somebody who is online counts as currently active.
pub(super) const ACTIVE_FOR: Duration = Duration::from_secs(60);

/// How many devices of a user count. Of more, the one that was seen longest ago is forgotten.
const MAX_DEVICES: usize = 16;

/// Whether somebody is there (client-server API, "Presence").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PresenceState {
    /// They are not connected, or don't want to be seen.
    #[default]
    Offline,
    /// They are idle.
    Unavailable,
    /// They are connected.
    Online,
}

impl PresenceState {
    /// The state as the specification writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Unavailable => "unavailable",
            Self::Online => "online",
        }
    }

    /// Reads what the specification writes; nothing else is a state.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Offline, Self::Unavailable, Self::Online].into_iter().find(|state| state.as_str() == text)
    }
}

/// What others see of somebody, but for how long ago they were active: others are told when this changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) state: PresenceState,
    pub(super) currently_active: bool,
    pub(super) status_msg: Option<String>,
}

/// A user, as their devices report.
#[derive(Debug, Default)]
pub(super) struct Person {
    devices: Vec<Device>,
    pub(super) status_msg: Option<String>,
    pub(super) last_active: Option<Duration>,
}

#[derive(Debug)]
struct Device {
    id: String,
    said: PresenceState,
    last_active: Duration,
    last_seen: Duration,
    /// The syncs under way.
    connections: u32,
}

impl Device {
    fn is_gone(&self, now: Duration) -> bool {
        self.connections == 0 && now >= self.last_seen + OFFLINE_AFTER
    }

    fn state(&self, now: Duration) -> PresenceState {
        match self.said {
            _ if self.is_gone(now) => PresenceState::Offline,
            PresenceState::Online if now >= self.last_active + IDLE_AFTER => PresenceState::Unavailable,
            said => said,
        }
    }
}

impl Person {
    /// A sync of a device begins. One that says nothing makes a device online that was not there, and leaves one alone
    /// that is idle: asking for news is no activity.
    pub(super) fn connect(&mut self, id: &str, said: Option<PresenceState>, now: Duration) {
        let device = self.device(id, now);
        device.connections = device.connections.saturating_add(1);
        device.last_seen = now;
        let appears = device.said == PresenceState::Offline;
        match said {
            None if !appears => {}
            None | Some(PresenceState::Online) => self.say(id, PresenceState::Online, now),
            Some(state) => self.say(id, state, now),
        }
    }

    /// A sync of a device has ended.
    pub(super) fn disconnect(&mut self, id: &str, now: Duration) {
        if let Some(device) = self.devices.iter_mut().find(|device| device.id == id) {
            device.connections = device.connections.saturating_sub(1);
            device.last_seen = now;
        }
    }

    /// A device says how its user is; to say that they are online is activity.
    pub(super) fn say(&mut self, id: &str, state: PresenceState, now: Duration) {
        let device = self.device(id, now);
        device.said = state;
        device.last_seen = now;
        if state == PresenceState::Online {
            device.last_active = now;
            self.last_active = Some(now);
        }
    }

    /// The user does something with a device. It wakes one that is idle; one that hides stays hidden.
    pub(super) fn act(&mut self, id: &str, now: Duration) {
        self.forget_gone(now);
        if let Some(device) = self.devices.iter().find(|device| device.id == id)
            && device.said != PresenceState::Offline
        {
            self.say(id, PresenceState::Online, now);
        }
    }

    /// The device, made if it is not there or has been gone.
    fn device(&mut self, id: &str, now: Duration) -> &mut Device {
        self.forget_gone(now);
        let place = self.devices.iter().position(|device| device.id == id);
        let place = place.unwrap_or_else(|| {
            if self.devices.len() >= MAX_DEVICES {
                let oldest = self.devices.iter().enumerate().min_by_key(|(_, device)| device.last_seen);
                let oldest = oldest.map_or(0, |(place, _)| place);
                self.devices.swap_remove(oldest);
            }
            let (id, said) = (id.to_owned(), PresenceState::Offline);
            self.devices.push(Device { id, said, last_active: now, last_seen: now, connections: 0 });
            self.devices.len() - 1
        });
        &mut self.devices[place]
    }

    /// Forgets the devices that have been away too long.
    pub(super) fn forget_gone(&mut self, now: Duration) {
        self.devices.retain(|device| !device.is_gone(now));
    }

    /// What others see: the best that any device says.
    pub(super) fn shown(&self, now: Duration) -> Shown {
        let state = self.devices.iter().map(|device| device.state(now)).max().unwrap_or_default();
        let is_active = self.last_active.is_some_and(|at| now < at + ACTIVE_FOR);
        let currently_active = state == PresenceState::Online && is_active;
        Shown { state, currently_active, status_msg: self.status_msg.clone() }
    }

    /// When that next changes by itself, at the earliest.
    pub(super) fn next_change(&self, now: Duration) -> Option<Duration> {
        let leaves = |device: &Device| (device.connections == 0).then(|| device.last_seen + OFFLINE_AFTER);
        let idles =
            |device: &Device| (device.said == PresenceState::Online).then(|| device.last_active + IDLE_AFTER);
        let of_devices = self.devices.iter().flat_map(|device| [leaves(device), idles(device)]);
        let rests = self.last_active.map(|at| at + ACTIVE_FOR);
        of_devices.chain([rests]).flatten().filter(|at| *at > now).min()
    }
}
