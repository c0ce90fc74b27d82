//! What happened to an account: the part of the audit log that concerns its user.

use axum::response::Response;
use maud::html;
use myelin_auth::Browser;

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
                    p { (told(say, &entry.action)) }
                    p.soft {
                        @if let Some(at) = moment(entry.at) { time { (at) } }
                        @if let Some(detail) = shown(&entry.action, entry.detail.as_deref()) { " · " bdi { (detail) } }
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
fn shown<'a>(action: &str, detail: Option<&'a str>) -> Option<&'a str> {
    match action {
        "oauth.login" => detail?.split(' ').next(),
        "oauth.approve" => detail?.split(' ').nth(1),
        "oauth.deny" | "browser.sign_in" => None,
        _ => detail,
    }
}

/// What was done, in words; by its name where there are none.
fn told<'a>(say: &'a Activity, action: &'a str) -> &'a str {
    match action {
        "login" | "oauth.login" => &say.login,
        "logout" | "oauth.revoke" | "device.end" | "sessions.end" => &say.device_end,
        "browser.sign_in" => &say.browser_sign_in,
        "browser.end" | "browser.end_others" => &say.browser_end,
        "oauth.approve" | "sso.approve" => &say.approve,
        "oauth.deny" => &say.deny,
        "oauth.token_reused" | "oauth.code_reused" => &say.reused,
        "account.create" => &say.create,
        "account.password" => &say.password,
        "account.3pid.add" => &say.email_add,
        "account.3pid.delete" => &say.email_remove,
        "cross_signing.allow" => &say.reset_allow,
        "cross_signing.reset" => &say.reset,
        "account.lock" => &say.lock,
        "account.unlock" => &say.unlock,
        "account.suspend" => &say.suspend,
        "account.unsuspend" => &say.unsuspend,
        "account.grant_admin" => &say.admin,
        "account.revoke_admin" => &say.no_admin,
        "terms.accept" => &say.terms,
        "account.export" => &say.export,
        "totp.add" | "totp.remove" | "recovery_codes.make" => &say.factor,
        "passkey.add" => &say.passkey_add,
        "passkey.rename" => &say.passkey_rename,
        "passkey.remove" => &say.passkey_remove,
        "passkey.copied" => &say.passkey_copied,
        "factors.remove" => &say.factors_remove,
        "uia.confirm" => &say.confirm,
        "upstream.connect" => &say.connect,
        "upstream.disconnect" => &say.disconnect,
        "upstream.logout" => &say.logout_there,
        "oauth.identity" => &say.identity,
        "second_factor.wrong" => &say.code_wrong,
        other => other,
    }
}
