//! What happened to an account: the part of the audit log that concerns its user.

use axum::response::Response;
use maud::html;
use myelin_auth::{Act, Browser, Told};

use super::devices::moment;
use super::menu::framed;
use crate::browser::Visit;
use crate::messages::Activity;
use crate::problem::Problem;
use crate::wish::Wish;

/// How many entries one page has.
const PAGE: usize = 30;

/// Shows a page of it.
pub(super) async fn show(visit: &Visit, browser: &Browser, before: Option<i64>) -> Result<Response, Problem> {
    let say = &visit.messages().activity;
    let mut entries = visit.pages.auth.own_activity(browser, before, PAGE + 1).await?;
    let more = entries.len() > PAGE;
    entries.truncate(PAGE);
    let next = entries.last().map(|entry| entry.pos).filter(|_| more);
    let body = html! {
        p.soft { (say.explain) }
        @if entries.is_empty() { p.soft { (say.none) } }
        ul.devices {
            @for entry in &entries {
                li {
                    p { (told(say, &entry.told)) }
                    p.soft {
                        @if let Some(at) = moment(entry.at) { time { (at) } }
                        @if let Some(detail) = shown(&entry.told, entry.detail.as_deref()) { " · " bdi { (detail) } }
                        @if entry.is_by_others { " · " (say.by_others) }
                    }
                }
            }
        }
        @if let Some(next) = next {
            p.foot { a href=(Wish::Activity(Some(next)).path()) { (say.more) } }
        }
    };
    Ok(visit.page(html! { (say.title) }, framed(visit, browser, &Wish::Activity(None), &body)))
}

/// What of the details is for people: devices, addresses and browsers, and no ids of clients.
fn shown<'a>(told: &Told, detail: Option<&'a str>) -> Option<&'a str> {
    match told {
        Told::Act(Act::OauthLogIn) => detail?.split(' ').next(),
        Told::Act(Act::OauthApprove) => detail?.split(' ').nth(1),
        Told::Act(Act::OauthDeny | Act::BrowserSignIn) => None,
        _ => detail,
    }
}

/// What was done, in words; by its name where a later version of the server wrote it.
fn told<'a>(say: &'a Activity, told: &'a Told) -> &'a str {
    match told {
        Told::Act(act) => words(say, *act),
        Told::Unknown(name) => name,
    }
}

fn words(say: &Activity, act: Act) -> &str {
    match act {
        Act::LogIn | Act::OauthLogIn => &say.login,
        Act::LogOut | Act::OauthRevoke | Act::DeviceEnd | Act::SessionsEnd => &say.device_end,
        Act::BrowserSignIn => &say.browser_sign_in,
        Act::BrowserEnd | Act::BrowserEndOthers => &say.browser_end,
        Act::OauthApprove | Act::SsoApprove => &say.approve,
        Act::OauthDeny => &say.deny,
        Act::OauthTokenReused | Act::OauthCodeReused => &say.reused,
        Act::OauthIdentity => &say.identity,
        Act::AccountCreate => &say.create,
        Act::AccountPassword => &say.password,
        Act::AddressAdd => &say.email_add,
        Act::AddressRemove => &say.email_remove,
        Act::AccountExport => &say.export,
        Act::AccountLock => &say.lock,
        Act::AccountUnlock => &say.unlock,
        Act::AccountSuspend => &say.suspend,
        Act::AccountUnsuspend => &say.unsuspend,
        Act::AdminGrant => &say.admin,
        Act::AdminRevoke => &say.no_admin,
        Act::CrossSigningAllow => &say.reset_allow,
        Act::CrossSigningReset => &say.reset,
        Act::UiaConfirm => &say.confirm,
        Act::TermsAccept => &say.terms,
        Act::TotpAdd | Act::TotpRemove | Act::RecoveryCodesMake => &say.factor,
        Act::PasskeyAdd => &say.passkey_add,
        Act::PasskeyRename => &say.passkey_rename,
        Act::PasskeyRemove => &say.passkey_remove,
        Act::PasskeyCopied => &say.passkey_copied,
        Act::FactorsRemove => &say.factors_remove,
        Act::SecondFactorWrong => &say.code_wrong,
        Act::UpstreamConnect => &say.connect,
        Act::UpstreamDisconnect => &say.disconnect,
        Act::UpstreamLogOut => &say.logout_there,
        // Nobody reads these of their own: the account is closed, or they are of no account.
        Act::AccountDeactivate
        | Act::OauthClientRemove
        | Act::InvitationCreate
        | Act::InvitationCreateAdmin
        | Act::InvitationSetUp
        | Act::RegistrationTokenCreate
        | Act::RegistrationTokenDelete => act.name(),
    }
}
