//! The way between the account's pages.

use maud::{Markup, html};
use myelin_auth::Browser;

use super::person;
use crate::browser::Visit;
use crate::wish::Wish;

/// What an account page shows: who is signed in, the way to the others, and what it is about.
pub(super) fn framed(visit: &Visit, browser: &Browser, current: &Wish, body: &Markup) -> Markup {
    html! {
        (person(visit, browser))
        (menu(visit, current))
        (body)
    }
}

fn menu(visit: &Visit, current: &Wish) -> Markup {
    let say = &visit.messages().menu;
    let pages = [
        (Wish::Overview, &say.devices),
        (Wish::Profile, &say.profile),
        (Wish::Password, &say.password),
        (Wish::SecondStep, &say.second_step),
        (Wish::Providers, &visit.messages().upstream.connections_title),
        (Wish::Emails, &say.emails),
        (Wish::Browsers, &say.browsers),
        (Wish::Activity(None), &say.activity),
        (Wish::Export, &say.export),
    ];
    let is_there = |wish: &Wish| match wish {
        Wish::Password => visit.pages.auth.keeps_passwords(),
        Wish::Emails => visit.pages.auth.sends_email(),
        Wish::Providers => !visit.pages.auth.providers().is_empty(),
        _ => true,
    };
    html! {
        nav aria-label=(say.label) {
            ul.menu {
                @for (wish, text) in pages.iter().filter(|(wish, _)| is_there(wish)) {
                    li { a href=(wish.path()) aria-current=[(wish == current).then_some("page")] { (text) } }
                }
            }
        }
    }
}

/// Something that was done.
pub(super) fn note(message: Option<&str>) -> Markup {
    html! { @if let Some(message) = message { p.note role="status" { (message) } } }
}
