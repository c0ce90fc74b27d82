//! The devices of an account.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{Browser, DeviceError, OwnDevice};
use myelin_oauth_core::params::Params;

use super::super::{alert, name_of, named};
use super::form;
use super::menu::{framed, note};
use crate::browser::Visit;
use crate::messages::fill;
use crate::problem::Problem;
use crate::wish::Wish;

/// All of them.
pub(super) async fn list(visit: &Visit, browser: &Browser) -> Result<Response, Problem> {
    let say = &visit.messages().account;
    let devices = visit.pages.auth.own_devices(browser).await?;
    let body = html! {
        h2 { (say.devices) }
        @if devices.is_empty() { p.soft { (say.no_devices) } }
        ul.devices {
            @for device in &devices {
                li {
                    p { a href=(Wish::View(device.info.device_id.to_string()).path()) { (called(visit, device)) } }
                    (told(visit, device))
                }
            }
        }
        p.foot { a href=(Wish::Deactivate.path()) { (say.deactivate) } }
    };
    Ok(visit.page(html! { (say.title) }, framed(visit, browser, &Wish::Overview, &body)))
}

/// One of them.
pub(super) async fn one(visit: &Visit, browser: &Browser, device_id: &str) -> Result<Response, Problem> {
    view(visit, browser, device_id, &html! {}).await
}

async fn view(
    visit: &Visit,
    browser: &Browser,
    device_id: &str,
    message: &Markup,
) -> Result<Response, Problem> {
    let (renames, wish) = (&visit.messages().rename, Wish::View(device_id.to_owned()));
    let say = &visit.messages().account;
    let Some(device) = find(visit, browser, device_id).await? else { return Ok(gone(visit)) };
    let body = html! {
        (message)
        (told(visit, &device))
        p.soft { bdi { (device.info.device_id) } }
        form method="post" action=(wish.path()) {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            div.field {
                label for="display_name" { (renames.name) }
                input #display_name name="display_name" autocomplete="off" maxlength="255"
                    value=(device.info.display_name.as_deref().unwrap_or_default());
            }
            button.quiet { (renames.button) }
        }
        p.foot { a href=(Wish::End(device_id.to_owned()).path()) { (say.end) } }
        p.foot { a href=(Wish::Overview.path()) { (say.back) } }
    };
    Ok(visit.page(called(visit, &device), body))
}

/// Calls one something else.
pub(super) async fn rename(
    visit: &Visit,
    browser: &Browser,
    device_id: &str,
    fields: &Params,
) -> Result<Response, Problem> {
    let say = &visit.messages().rename;
    let name = fields.get("display_name").ok().flatten().unwrap_or_default().trim().to_owned();
    match visit.pages.auth.rename_own_device(browser, &device_id.into(), name).await {
        Ok(()) => view(visit, browser, device_id, &note(Some(&say.done))).await,
        Err(DeviceError::Problem(_)) => {
            view(visit, browser, device_id, &alert(Some(html! { (say.too_long) }))).await
        }
        Err(DeviceError::Unknown) => Ok(gone(visit)),
        Err(DeviceError::Store(error)) => Err(error.into()),
    }
}

/// Whether one is to end.
pub(super) async fn end(visit: &Visit, browser: &Browser, device_id: &str) -> Result<Response, Problem> {
    let say = &visit.messages().account;
    let Some(device) = find(visit, browser, device_id).await? else { return Ok(gone(visit)) };
    let opened = html! { input type="hidden" name="opened" value=(device.opened); };
    let body = html! {
        (told(visit, &device))
        p { (say.end_warning) }
        (form(visit, browser, &Wish::End(device_id.to_owned()), &opened, &say.end_button))
    };
    Ok(visit.page(fill(&say.end_title, &[("device", &called(visit, &device))]), body))
}

async fn find(visit: &Visit, browser: &Browser, device_id: &str) -> Result<Option<OwnDevice>, Problem> {
    Ok(visit.pages.auth.own_device(browser, &device_id.into()).await?)
}

pub(super) fn gone(visit: &Visit) -> Response {
    let say = &visit.messages().account;
    let body = html! {
        p { (say.gone) }
        p { a href=(Wish::Overview.path()) { (say.back) } }
    };
    visit.page_with(StatusCode::NOT_FOUND, html! { (say.title) }, body, None)
}

pub(in crate::pages) fn called(visit: &Visit, device: &OwnDevice) -> Markup {
    html! {
        @match device.info.display_name.as_deref().filter(|name| !name.trim().is_empty()) {
            Some(name) => bdi { (name) },
            None => (visit.messages().account.unnamed),
        }
    }
}

/// The day and the minute, in UTC.
pub(super) fn moment(millis: i64) -> Option<String> {
    let minutes = millis.div_euclid(60_000).rem_euclid(24 * 60);
    Some(format!("{} {:02}:{:02} UTC", date(millis)?, minutes / 60, minutes % 60))
}

/// When and where a device was seen, and which client it is.
pub(super) fn told(visit: &Visit, device: &OwnDevice) -> Markup {
    let say = &visit.messages().account;
    html! {
        p.soft {
            @match device.info.last_seen_ts.and_then(date) {
                Some(date) => (fill(&say.seen, &[("date", &html! { time datetime=(date) { (date) } })])),
                None => (say.never_seen),
            }
            @if let Some(ip) = &device.info.last_seen_ip { " · " bdi { (ip) } }
            @if let Some(client) = &device.client {
                " · " (named(name_of(client, visit)))
            }
        }
    }
}

/// The day, in the calendar of UTC: Howard Hinnant's `civil_from_days`.
pub(super) fn date(millis: i64) -> Option<String> {
    let days = millis.div_euclid(86_400_000).checked_add(719_468)?;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (millis, day) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_399_999, "2000-02-28"),
            (951_782_400_000, "2000-02-29"),
            (1_795_651_200_000, "2026-11-26"),
            (4_107_542_400_000, "2100-03-01"),
        ] {
            assert_eq!(date(millis).as_deref(), Some(day), "{millis}");
        }
        assert!(date(i64::MAX).is_some());
    }
}
