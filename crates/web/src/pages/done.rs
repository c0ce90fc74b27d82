//! `GET /oauth2/done`: for who signed in and came for nothing else.

use axum::response::Response;
use maud::html;

use super::named;
use crate::browser::{Visit, see_other};
use crate::messages::fill;
use crate::next::{Next, SIGN_IN, SIGN_OUT};

/// Says who is signed in.
pub(crate) async fn get(visit: Visit) -> Response {
    let Some(browser) = &visit.browser else { return see_other(&Next::Nowhere.through(SIGN_IN, None)) };
    let say = &visit.messages().done;
    let body = html! {
        p { (fill(&say.signed_in, &[("user", &named(browser.user_id.as_str()))])) }
        p.soft { (say.close) }
        form method="post" action=(SIGN_OUT) {
            (visit.form_token())
            button.quiet { (say.sign_out) }
        }
    };
    visit.page(html! { (say.title) }, body)
}
