//! Letting the cross-signing keys of an account be replaced, from one of its devices: the one that asks, and no other.
//!
//! A client that the server told the way names its device ([MSC4312]). Where one comes by the action alone, the person picks the
//! device, those that asked a short time ago first.
//!
//! [MSC4312]: https://github.com/matrix-org/matrix-spec-proposals/pull/4312

use axum::response::Response;
use maud::html;
use myelin_auth::{Browser, OwnDevice};

use super::devices::{called, told};
use super::{done, form, sign_in_first};
use crate::browser::Visit;
use crate::messages::fill;
use crate::problem::Problem;
use crate::wish::Wish;

/// Asks whether the device may, or which one it is.
pub(super) async fn show(
    visit: &Visit,
    browser: &Browser,
    device_id: Option<&str>,
) -> Result<Response, Problem> {
    let auth = &visit.pages.auth;
    let asking = auth.asking_for_reset(browser);
    let meant = match (device_id, &*asking) {
        (Some(device_id), _) => Some(device_id),
        (None, [only]) => Some(only.as_str()),
        (None, _) => None,
    };
    if let Some(device_id) = meant {
        let device = auth.own_device(browser, &device_id.into()).await?;
        return Ok(device.map_or_else(|| super::devices::gone(visit), |device| ask(visit, browser, &device)));
    }
    let mut devices = auth.own_devices(browser).await?;
    devices.retain(|device| device.client.is_some());
    let place =
        |device: &OwnDevice| asking.iter().position(|id| *id == device.info.device_id).unwrap_or(usize::MAX);
    devices.sort_by_key(place);
    Ok(pick(visit, &devices, |device| place(device) != usize::MAX))
}

fn ask(visit: &Visit, browser: &Browser, device: &OwnDevice) -> Response {
    let say = &visit.messages().reset;
    let wish = Wish::Reset(Some(device.info.device_id.to_string()));
    let body = html! {
        p { (say.explain) }
        div.person {
            p { (fill(&say.device, &[("device", &html! { strong { (called(visit, device)) } })])) }
            (told(visit, device))
        }
        p { strong { (say.warning) } }
        (form(visit, browser, &wish, &html! {}, &say.button))
    };
    visit.page(html! { (say.title) }, body)
}

fn pick(visit: &Visit, devices: &[OwnDevice], asks: impl Fn(&OwnDevice) -> bool) -> Response {
    let say = &visit.messages().reset;
    let body = html! {
        p { (say.explain) }
        @if devices.is_empty() {
            p { (say.none) }
        } @else {
            p { (say.pick) }
            ul.devices {
                @for device in devices {
                    @let wish = Wish::Reset(Some(device.info.device_id.to_string()));
                    li {
                        p { a href=(wish.path()) { (called(visit, device)) } @if asks(device) { " · " (say.asks) } }
                        (told(visit, device))
                    }
                }
            }
        }
        p.foot { a href=(Wish::Overview.path()) { (visit.messages().account.cancel) } }
    };
    visit.page(html! { (say.title) }, body)
}

/// Lets the device replace the keys.
pub(super) async fn allow(
    visit: &Visit,
    browser: &Browser,
    device_id: Option<&str>,
) -> Result<Response, Problem> {
    let Some(device_id) = device_id else { return show(visit, browser, None).await };
    if visit.pages.auth.allow_reset(browser, &device_id.into()).await? {
        return Ok(done(visit, &visit.messages().reset.done, false));
    }
    // The device is gone, or the browser was signed out meanwhile; the page says which.
    let wish = Wish::Reset(Some(device_id.to_owned()));
    Ok(sign_in_first(visit, &wish))
}
