//! The rules for `m.room.member` (rule 4 of room version 11, 5 of 12).

use myelin_pdu::AuthRules;

use super::{Rejection, Room, StateView};
use crate::{
    content::{AuthorisedVia, JoinRule, Member, Redemption},
    event::Event,
    key,
    membership::Membership,
    power::first_creator,
    third_party, user_id,
};

/// A membership event, with what every rule on it looks at.
struct Change<'a> {
    event: &'a Event,
    content: &'a Member,
    sender: &'a str,
    target: &'a str,
}

pub(super) fn check<S: StateView + ?Sized>(room: &Room<'_, S>, event: &Event) -> Result<(), Rejection> {
    let target = event.state_key.as_deref().filter(|key| user_id::server_name(key).is_some());
    let target = target.ok_or(Rejection::MemberWithoutTarget)?;
    let content = event.as_member().ok_or(Rejection::NoMembership)?;
    let membership = content.membership.as_ref().ok_or(Rejection::NoMembership)?;
    // That the voucher's server signed the event was checked with its other signatures.
    if content.authorised_via == AuthorisedVia::Invalid {
        return Err(Rejection::AuthorisedViaNoUser);
    }
    let change = Change { event, content, sender: &event.sender, target };
    match membership {
        Membership::Join => check_join(room, &change),
        Membership::Invite => check_invite(room, &change),
        Membership::Leave => check_leave(room, &change),
        Membership::Ban => check_ban(room, &change),
        Membership::Knock if room.rules.auth.knocking => check_knock(room, &change),
        Membership::Knock => Err(Rejection::UnknownMembership { membership: "knock".into() }),
        Membership::Unknown(membership) => {
            Err(Rejection::UnknownMembership { membership: membership.clone() })
        }
    }
}

fn check_join<S: StateView + ?Sized>(room: &Room<'_, S>, change: &Change<'_>) -> Result<(), Rejection> {
    let &Change { sender, target, .. } = change;
    let follows_create = matches!(&*change.event.prev_events, [only] if *only == room.create.event_id);
    if follows_create && first_creator(&room.rules.auth, room.create) == Some(target) {
        return Ok(());
    }
    if sender != target {
        return Err(Rejection::JoinForAnother { sender: sender.into(), target: target.into() });
    }
    let membership = room.membership(target);
    if membership == &Membership::Ban {
        return Err(Rejection::TargetBanned { target: target.into() });
    }
    let invited = matches!(membership, Membership::Invite | Membership::Join);
    match room.join_rule() {
        JoinRule::Public => Ok(()),
        rule if invited && lets_the_invited_in(&room.rules.auth, rule) => Ok(()),
        JoinRule::Restricted if room.rules.auth.restricted => {
            check_voucher(room, change, &JoinRule::Restricted)
        }
        JoinRule::KnockRestricted if room.rules.auth.knock_restricted => {
            check_voucher(room, change, &JoinRule::KnockRestricted)
        }
        rule => Err(Rejection::NotInvited { target: target.into(), join_rule: rule.as_str().into() }),
    }
}

/// Whether who is invited may join under this rule: under every rule that the room's version knows.
fn lets_the_invited_in(rules: &AuthRules, rule: &JoinRule) -> bool {
    match rule {
        JoinRule::Public | JoinRule::Invite => true,
        JoinRule::Knock => rules.knocking,
        JoinRule::Restricted => rules.restricted,
        JoinRule::KnockRestricted => rules.knock_restricted,
        JoinRule::Unknown(_) => false,
    }
}

/// A restricted join by who is not invited: somebody who may invite must vouch for it.
fn check_voucher<S: StateView + ?Sized>(
    room: &Room<'_, S>,
    change: &Change<'_>,
    rule: &JoinRule,
) -> Result<(), Rejection> {
    let AuthorisedVia::User(voucher) = &change.content.authorised_via else {
        return Err(Rejection::NobodyVouches {
            target: change.target.into(),
            join_rule: rule.as_str().into(),
        });
    };
    if room.membership(voucher) != &Membership::Join {
        return Err(Rejection::VoucherNotJoined { voucher: voucher.clone() });
    }
    let (has, required) = (room.power.user_level(voucher), room.power.invite());
    if has.reaches(required) {
        Ok(())
    } else {
        Err(Rejection::VoucherLacksPower { voucher: voucher.clone(), has, required })
    }
}

fn check_invite<S: StateView + ?Sized>(room: &Room<'_, S>, change: &Change<'_>) -> Result<(), Rejection> {
    let &Change { sender, target, .. } = change;
    if let Some(redemption) = &change.content.third_party_invite {
        return check_redemption(room, change, redemption);
    }
    check_sender_joined(room, sender)?;
    match room.membership(target) {
        Membership::Join => return Err(Rejection::TargetJoined { target: target.into() }),
        Membership::Ban => return Err(Rejection::TargetBanned { target: target.into() }),
        _ => {}
    }
    let (has, required) = (room.power.user_level(sender), room.power.invite());
    if has.reaches(required) {
        Ok(())
    } else {
        Err(Rejection::lacks_power(sender, has, "invite users", required))
    }
}

fn check_redemption<S: StateView + ?Sized>(
    room: &Room<'_, S>,
    change: &Change<'_>,
    redemption: &Redemption,
) -> Result<(), Rejection> {
    let &Change { sender, target, .. } = change;
    if room.membership(target) == &Membership::Ban {
        return Err(Rejection::TargetBanned { target: target.into() });
    }
    let (Some(signed), Some(mxid), Some(token)) = (&redemption.signed, redemption.mxid(), redemption.token())
    else {
        return Err(Rejection::ThirdPartyInviteIncomplete);
    };
    if mxid != target {
        return Err(Rejection::ThirdPartyInviteForAnother { mxid: mxid.into(), target: target.into() });
    }
    let invite = room.state.state(key::THIRD_PARTY_INVITE, token).ok_or(Rejection::NoThirdPartyInvite)?;
    if *invite.sender != *sender {
        return Err(Rejection::ThirdPartyInviteByAnother {
            invited_by: invite.sender.clone(),
            sender: sender.into(),
        });
    }
    let keys =
        invite.as_third_party_invite().map(|content| content.public_keys.as_slice()).unwrap_or_default();
    if third_party::fitting_key(signed, keys).is_some() {
        Ok(())
    } else {
        Err(Rejection::ThirdPartySignatureInvalid)
    }
}

fn check_leave<S: StateView + ?Sized>(room: &Room<'_, S>, change: &Change<'_>) -> Result<(), Rejection> {
    let &Change { sender, target, .. } = change;
    if sender == target {
        return match room.membership(target) {
            Membership::Invite | Membership::Join => Ok(()),
            Membership::Knock if room.rules.auth.knocking => Ok(()),
            _ => Err(Rejection::NothingToLeave { sender: sender.into() }),
        };
    }
    check_sender_joined(room, sender)?;
    let has = room.power.user_level(sender);
    let ban = room.power.ban();
    if room.membership(target) == &Membership::Ban && !has.reaches(ban) {
        return Err(Rejection::lacks_power(sender, has, "unban users", ban));
    }
    check_removal(room, change, "kick", room.power.kick())
}

fn check_ban<S: StateView + ?Sized>(room: &Room<'_, S>, change: &Change<'_>) -> Result<(), Rejection> {
    check_sender_joined(room, change.sender)?;
    check_removal(room, change, "ban", room.power.ban())
}

/// What kicks and bans have in common: the sender needs the level, and more power than the target.
fn check_removal<S: StateView + ?Sized>(
    room: &Room<'_, S>,
    change: &Change<'_>,
    action: &'static str,
    required: i64,
) -> Result<(), Rejection> {
    let &Change { sender, target, .. } = change;
    let (has, target_has) = (room.power.user_level(sender), room.power.user_level(target));
    if !has.reaches(required) {
        return Err(Rejection::lacks_power(sender, has, action, required));
    }
    if target_has >= has {
        let (sender, target) = (sender.into(), target.into());
        return Err(Rejection::TargetTooPowerful { sender, target, action, has, target_has });
    }
    Ok(())
}

fn check_knock<S: StateView + ?Sized>(room: &Room<'_, S>, change: &Change<'_>) -> Result<(), Rejection> {
    let &Change { sender, target, .. } = change;
    let rule = room.join_rule();
    let allowed = match rule {
        JoinRule::Knock => true,
        JoinRule::KnockRestricted => room.rules.auth.knock_restricted,
        _ => false,
    };
    if !allowed {
        return Err(Rejection::KnockingNotAllowed { join_rule: rule.as_str().into() });
    }
    if sender != target {
        return Err(Rejection::KnockForAnother { sender: sender.into(), target: target.into() });
    }
    match room.membership(target) {
        membership @ (Membership::Ban | Membership::Invite | Membership::Join) => {
            Err(Rejection::KnockWithMembership {
                target: target.into(),
                membership: membership.as_str().into(),
            })
        }
        _ => Ok(()),
    }
}

fn check_sender_joined<S: StateView + ?Sized>(room: &Room<'_, S>, sender: &str) -> Result<(), Rejection> {
    if room.membership(sender) == &Membership::Join {
        Ok(())
    } else {
        Err(Rejection::SenderNotJoined { sender: sender.into() })
    }
}
