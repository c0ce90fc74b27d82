//! Rule 1: the create event.

use myelin_pdu::{CreatorRule, RoomIdFormat, RoomVersionId};

use super::{Rejection, SupportedRules};
use crate::{event::Event, user_id};

pub(super) fn check(rules: SupportedRules, event: &Event) -> Result<(), Rejection> {
    if !event.prev_events.is_empty() {
        return Err(Rejection::CreateHasPrevEvents);
    }
    check_room_id(rules, event)?;
    let Some(content) = event.as_create() else { return Err(Rejection::NoCreateEvent) };
    if let Some(fault) = &content.room_version_fault {
        return Err(fault.clone().into());
    }
    let stated = content.room_version.as_deref().unwrap_or(RoomVersionId::V1.as_str());
    let version = stated
        .parse::<RoomVersionId>()
        .map_err(|_| Rejection::UnknownRoomVersion { version: stated.into() })?;
    if version != rules.version {
        return Err(Rejection::OtherRoomVersion { stated: stated.into(), judged: rules.version.as_str() });
    }
    match rules.auth.creators {
        CreatorRule::ContentCreator if content.creator.is_none() => Err(Rejection::CreateWithoutCreator),
        CreatorRule::SenderAndAdditional => {
            content.additional_creators.as_ref().map(drop).map_err(|fault| fault.clone().into())
        }
        CreatorRule::ContentCreator | CreatorRule::Sender => Ok(()),
    }
}

fn check_room_id(rules: SupportedRules, event: &Event) -> Result<(), Rejection> {
    match (rules.room_id_format, event.room_id.as_deref()) {
        (RoomIdFormat::CreateEventHash, None) => Ok(()),
        (RoomIdFormat::CreateEventHash, Some(_)) => Err(Rejection::CreateHasRoomId),
        (RoomIdFormat::Chosen, None) => Err(Rejection::CreateWithoutRoomId),
        (RoomIdFormat::Chosen, Some(room_id)) => {
            let (_, server) = room_id.split_once(':').ok_or(Rejection::CreateWithoutRoomId)?;
            if user_id::server_name(&event.sender) == Some(server) {
                Ok(())
            } else {
                Err(Rejection::RoomIdOfAnotherServer {
                    room_id: room_id.into(),
                    sender: event.sender.clone(),
                })
            }
        }
    }
}
