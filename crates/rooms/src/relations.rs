//! What an event says about its relation to another (`m.relates_to`).

use myelin_pdu::CanonicalObject;
use ruma::OwnedEventId;

/// A relation as its event states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stated {
    pub(crate) target: OwnedEventId,
    pub(crate) rel_type: String,
    pub(crate) key: Option<String>,
}

/// Longest relation type and annotation key that are indexed, in bytes. A longer key is an abuse, not a reaction.
const LONGEST: usize = 255;

/// The relation stated in an event's content, if it states one. A mere reply (`m.in_reply_to`) is none: clients resolve
/// it themselves.
pub(crate) fn stated(content: &CanonicalObject) -> Option<Stated> {
    let relates_to = content.get_object("m.relates_to")?;
    let text = |key| relates_to.get_str(key).filter(|text| text.len() <= LONGEST).map(str::to_owned);
    let target = OwnedEventId::try_from(relates_to.get_str("event_id")?).ok()?;
    Some(Stated { target, rel_type: text("rel_type")?, key: text("key") })
}

#[cfg(test)]
mod tests {
    use myelin_pdu::{CanonicalJsonRule, CanonicalObject};

    use super::stated;

    #[test]
    fn a_reaction_a_thread_and_a_reply_are_told_apart() {
        let of = |text: &str| {
            let content = CanonicalObject::parse(text.as_bytes(), CanonicalJsonRule::Strict).unwrap();
            stated(&content).map(|s| (s.rel_type, s.key))
        };
        let reaction = r#"{"m.relates_to":{"rel_type":"m.annotation","event_id":"$a","key":"x"}}"#;
        assert_eq!(of(reaction), Some(("m.annotation".into(), Some("x".into()))));
        let thread = r#"{"m.relates_to":{"rel_type":"m.thread","event_id":"$a","is_falling_back":true}}"#;
        assert_eq!(of(thread), Some(("m.thread".into(), None)));
        assert_eq!(of(r#"{"m.relates_to":{"m.in_reply_to":{"event_id":"$a"}}}"#), None);
        assert_eq!(of(r#"{"m.relates_to":7}"#), None);
        assert_eq!(of("{}"), None);
    }
}
