//! How long history is kept (MSC1763).

use std::time::Duration;

use myelin_store::schema::erasure::{MOST_LIFETIME, ServerRetention};
use serde::{Deserialize, Serialize};

use super::{ConfigError, value};

/// How long history is kept. Times are a number and a unit: `90m`, `12h`, `30d`, `8w`, `1y`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Whether what is past its time is deleted. If not, rooms may say what they like.
    pub enabled: bool,
    /// For how long events are kept in rooms that don't say; without it, for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_max_lifetime: Option<String>,
    /// The shortest time that a room may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_lifetime_min: Option<String>,
    /// The longest time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_lifetime_max: Option<String>,
    /// How often what is past its time is deleted; it is hidden before that.
    pub interval: String,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            enabled: true,
            default_max_lifetime: None,
            allowed_lifetime_min: None,
            allowed_lifetime_max: None,
            interval: "1h".to_owned(),
        }
    }
}

impl Retention {
    /// The settings as the service of rooms takes them; none where nothing expires.
    ///
    /// # Errors
    /// When a time is none, or the bounds contradict each other.
    pub(crate) fn checked(&self) -> Result<Option<myelin_rooms::Retention>, ConfigError> {
        let time =
            |key, text: &Option<String>| text.as_deref().map(|text| milliseconds(key, text)).transpose();
        let server = ServerRetention {
            default_max: time("retention.default_max_lifetime", &self.default_max_lifetime)?,
            allowed_min: time("retention.allowed_lifetime_min", &self.allowed_lifetime_min)?,
            allowed_max: time("retention.allowed_lifetime_max", &self.allowed_lifetime_max)?,
            ..ServerRetention::new()
        };
        if server.allowed_max.is_some_and(|max| server.allowed_min.is_some_and(|min| min > max)) {
            return value("retention.allowed_lifetime_min", "must not be longer than allowed_lifetime_max");
        }
        let interval = milliseconds("retention.interval", &self.interval)?;
        if interval < 60_000 {
            return value("retention.interval", "must be at least a minute");
        }
        let interval = Duration::from_millis(interval.unsigned_abs());
        Ok(self.enabled.then_some(myelin_rooms::Retention { server, interval }))
    }
}

/// A time, in milliseconds.
fn milliseconds(key: &'static str, text: &str) -> Result<i64, ConfigError> {
    const SECOND: i64 = 1_000;
    const DAY: i64 = 86_400 * SECOND;
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "s" => Some(SECOND),
        "m" => Some(60 * SECOND),
        "h" => Some(3_600 * SECOND),
        "d" => Some(DAY),
        "w" => Some(7 * DAY),
        "y" => Some(365 * DAY),
        _ => None,
    };
    let time = number.parse::<i64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    time.filter(|time| *time <= MOST_LIFETIME).ok_or_else(|| ConfigError::Value {
        key,
        problem: format!("{text:?} is no time such as 12h, 30d, 8w or 1y"),
    })
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn a_time_has_a_unit() {
        for (text, time) in [("0s", 0), ("90m", 5_400_000), ("30d", 2_592_000_000), ("1y", 31_536_000_000)] {
            assert_eq!(milliseconds("key", text).unwrap(), time, "{text}");
        }
        for odd in ["", "30", "d", "-1d", "1 d", "1mo", "99999999999999y", "9007199254741s"] {
            assert!(milliseconds("key", odd).is_err(), "{odd}");
        }
    }
}
