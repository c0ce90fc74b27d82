//! Accounts, and what administrators do to them.

use super::{V1, V3, get, post, put};
use crate::client::account;
use crate::client::account::third_party::{add, bind, delete, list, request_token, submit_token, unbind};
use crate::{RateClass, Route};

/// The prefix of the page that links in mails lead to. It is below `/_matrix/client` so that a proxy which forwards that
/// forwards it too.
const EMAIL: &[&str] = &["/_matrix/client/unstable/email"];

/// In the order of the specification.
pub(super) fn routes() -> Vec<Route> {
    const VALIDITY: &str = "/register/m.login.registration_token/validity";
    vec![
        post(V3, "/register", account::register::post).public().class(RateClass::Login),
        get(V3, "/register/available", account::register_available::get).public().class(RateClass::Login),
        get(V1, VALIDITY, account::registration_token_validity::get).public().class(RateClass::Login),
        post(V3, "/register/email/requestToken", request_token::register).public().class(RateClass::Rare),
        post(V3, "/register/msisdn/requestToken", request_token::msisdn).public(),
        get(V3, "/account/whoami", account::whoami::get),
        // Who has forgotten their password has no session.
        post(V3, "/account/password", account::password::post).optional().class(RateClass::Login),
        post(V3, "/account/password/email/requestToken", request_token::reset)
            .public()
            .class(RateClass::Rare),
        post(V3, "/account/password/msisdn/requestToken", request_token::msisdn).public(),
        post(V3, "/account/deactivate", account::deactivate::post),
        get(V3, "/account/3pid", list::get),
        post(V3, "/account/3pid", add::post_old),
        post(V3, "/account/3pid/add", add::post),
        post(V3, "/account/3pid/bind", bind::post),
        post(V3, "/account/3pid/delete", delete::post).unsuspended(),
        post(V3, "/account/3pid/unbind", unbind::post),
        post(V3, "/account/3pid/email/requestToken", request_token::add).optional().class(RateClass::Rare),
        post(V3, "/account/3pid/msisdn/requestToken", request_token::msisdn).optional(),
        get(EMAIL, "/submit_token", submit_token::get).public().class(RateClass::Login).page(),
        post(EMAIL, "/submit_token", submit_token::post).public().class(RateClass::Login).page(),
        get(V1, "/admin/lock/{user_id}", account::lock::get).admin(),
        put(V1, "/admin/lock/{user_id}", account::lock::put).admin(),
        get(V1, "/admin/suspend/{user_id}", account::suspend::get).admin(),
        put(V1, "/admin/suspend/{user_id}", account::suspend::put).admin(),
        get(V3, "/admin/whois/{user_id}", account::whois::get),
    ]
}
