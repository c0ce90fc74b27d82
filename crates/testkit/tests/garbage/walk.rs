//! The walk over the table of routes, and what must hold of every answer.

use http::{Method, StatusCode};
use myelin_api::{Route, routes};
use myelin_runtime::Random;
use myelin_server::config::{Config, Registration};
use myelin_testkit::TestServer;
use serde_json::Value;

use crate::SEED;
use crate::bites::{self, Bite};
use crate::bodies::{self, Valid};
use crate::world::{Outcome, World};

/// What may be wrong with a path or a query: never the body, which is good.
const OF_THE_ADDRESS: &[&str] = &[
    "M_INVALID_PARAM",
    "M_MISSING_PARAM",
    "M_NOT_FOUND",
    "M_FORBIDDEN",
    "M_UNRECOGNIZED",
    "M_TOO_LARGE",
    "M_UNKNOWN",
    "M_KEY_TOO_LARGE",
    "M_UNKNOWN_POS",
];

/// How many faults are shown.
const MOST_SHOWN: usize = 40;

/// One test's way through the table.
pub(crate) struct Walk {
    seed: u64,
    random: Random,
    cases: usize,
    faults: Vec<String>,
}

impl Walk {
    pub(crate) fn new(number: u64) -> Self {
        let wanted = std::env::var("TEST_GARBAGE_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = wanted.unwrap_or(SEED);
        Self { seed, random: Random::from_seed(seed.wrapping_add(number)), cases: 0, faults: Vec::new() }
    }

    /// Does this at every route.
    pub(crate) async fn every_route(&mut self, mut visit: impl AsyncFnMut(&mut At<'_, '_>)) {
        let only = std::env::var("TEST_GARBAGE_ROUTE").unwrap_or_default();
        let mut config =
            Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
        config.limits.enabled = false;
        // Nobody listens there: mails are written, and not taken.
        config.email.smtp_url = Some("smtp://127.0.0.1:9".to_owned());
        config.email.from = Some("noreply@hs.test".to_owned());
        config.registration_shared_secret = Some("secret".to_owned());
        let server = TestServer::with(self.seed, config).await;
        let mut world = World::new(&server).await;
        for route in routes::table() {
            let Some(template) = route.paths().first().cloned() else { continue };
            if !template.contains(&only) {
                continue;
            }
            // What a route takes away is given back to the next.
            let takes = *route.method() == Method::DELETE || template.ends_with("/room_keys/version");
            let in_room = *route.method() != Method::GET && template.contains("{room_id");
            let mut at = At { walk: self, world: &mut world, route, template };
            visit(&mut at).await;
            if takes {
                world.furnish().await;
            }
            if in_room || takes {
                world.open_room().await;
            }
        }
    }

    /// Fails the test with everything that was found.
    pub(crate) fn conclude(self) {
        assert!(self.cases > 0, "nothing was tried");
        let list: Vec<&str> = self.faults.iter().map(String::as_str).take(MOST_SHOWN).collect();
        let list = list.join("\n");
        assert!(
            self.faults.is_empty(),
            "{} faults in {} cases, seed {}:\n{list}",
            self.faults.len(),
            self.cases,
            self.seed
        );
    }
}

/// The walk at one route.
pub(crate) struct At<'w, 's> {
    walk: &'w mut Walk,
    world: &'w mut World<'s>,
    route: Route,
    template: String,
}

impl At<'_, '_> {
    pub(crate) fn method(&self) -> &Method {
        self.route.method()
    }

    pub(crate) fn random(&self) -> &Random {
        &self.walk.random
    }

    /// The names of the path's parameters.
    pub(crate) fn parameters(&self) -> Vec<String> {
        let parts = self.template.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        parts.map(str::to_owned).collect()
    }

    /// The good request.
    pub(crate) async fn good(&mut self) -> Outcome {
        let (path, valid) = (self.path(None), self.valid());
        let body = valid.body.map(|body| body.to_string()).unwrap_or_default();
        self.send(&with(&path, &valid.query), "application/json", body.into_bytes()).await
    }

    pub(crate) fn expect_no_refusal(&mut self, outcome: &Outcome) {
        let expected = bodies::refused(self.route.method(), &self.template);
        let answer = &outcome.answer;
        let holds = if bodies::is_page(self.route.method(), &self.template) {
            // The page for a token that nobody has.
            answer.status == StatusCode::BAD_REQUEST
        } else if expected.is_empty() {
            // A browser is sent on from where it has nothing to do.
            answer.status.is_success() || answer.status == StatusCode::FOUND
        } else {
            answer.errcode() == expected
        };
        if !holds {
            self.fault("the good request", &format!("{} {}", answer.status, answer.body));
        }
        self.check("the good request", outcome, None);
    }

    /// The good request, with this in the place of a parameter of the path.
    pub(crate) async fn with_parameter(&mut self, parameter: &str, garbage: &str) {
        let (path, valid) = (self.path(Some((parameter, garbage))), self.valid());
        let body = valid.body.map(|body| body.to_string()).unwrap_or_default();
        let outcome = self.send(&with(&path, &valid.query), "application/json", body.into_bytes()).await;
        self.check(&format!("{parameter} = {}", short(garbage)), &outcome, None);
        self.check_errcode(&format!("{parameter} = {}", short(garbage)), &outcome, OF_THE_ADDRESS);
    }

    /// The good request, with this query in the place of its own or after it.
    pub(crate) async fn with_query(&mut self, query: &str) {
        let (path, valid) = (self.path(None), self.valid());
        let body = valid.body.map(|body| body.to_string()).unwrap_or_default();
        let query = if self.walk.random.below(2) == 0 {
            query.to_owned()
        } else {
            format!("{}&{query}", valid.query)
        };
        let outcome = self.send(&with(&path, &query), "application/json", body.into_bytes()).await;
        self.check(&format!("?{}", short(&query)), &outcome, None);
        self.check_errcode(&format!("?{}", short(&query)), &outcome, OF_THE_ADDRESS);
    }

    /// Bodies that are no JSON, or no object.
    pub(crate) async fn with_whole_bodies(&mut self) {
        let valid = self.valid();
        let reads = valid.body.is_some();
        let good = valid.body.map(|body| body.to_string()).unwrap_or_default();
        for (kind, body, errcodes) in bites::whole(&good) {
            let path = with(&self.path(None), &valid.query);
            let outcome = self.send(&path, "application/json", body).await;
            self.check(kind, &outcome, reads.then_some(errcodes));
        }
        for content_type in [
            "text/plain",
            "multipart/form-data; boundary=x",
            "nonsense",
            "",
            "application/json; charset=utf-16",
        ] {
            let path = with(&self.path(None), &valid.query);
            let outcome = self.send(&path, content_type, b"------nonsense".to_vec()).await;
            self.check(content_type, &outcome, reads.then_some(&["M_NOT_JSON"]));
        }
    }

    /// The good body, spoilt at one place.
    pub(crate) async fn with_spoilt_fields(&mut self) {
        let Some(body) = self.valid().body else { return };
        for pointer in bites::pointers(&body) {
            for bite in bites::ALL {
                // Anew, since the world may have changed.
                let valid = self.valid();
                let Some(body) = valid.body.as_ref() else { continue };
                let Some(spoilt) = bite.spoil(body, &pointer) else { continue };
                let what = format!("{pointer}: {}", bite.name);
                let path = with(&self.path(None), &valid.query);
                let outcome = self.send(&path, "application/json", spoilt).await;
                let errcodes = self.expected(&valid, &pointer, bite, body);
                self.check(&what, &outcome, errcodes);
            }
        }
    }

    /// The errcodes of which one must come, where the bite must be refused at all.
    fn expected(
        &self,
        valid: &Valid,
        pointer: &str,
        bite: &Bite,
        body: &Value,
    ) -> Option<&'static [&'static str]> {
        let field = body.pointer(pointer)?;
        let must = !valid.is_free(pointer) && bite.is_of_another_type(field);
        // Power levels stand in an event, and it is the event that is wrong.
        let of_state = pointer.starts_with("/power_level_content_override");
        let errcodes: &[&str] = if of_state {
            &["M_BAD_JSON", "M_INVALID_ROOM_STATE"]
        } else {
            &["M_BAD_JSON", "M_INVALID_PARAM", "M_MISSING_PARAM"]
        };
        must.then_some(errcodes)
    }

    fn valid(&self) -> Valid {
        bodies::valid(self.route.method(), &self.template, self.world).unwrap_or_else(|| {
            panic!("{} {} has no good request in bodies.rs", self.route.method(), self.template)
        })
    }

    fn path(&self, other: Option<(&str, &str)>) -> String {
        let mut path = self.template.clone();
        for parameter in self.parameters() {
            let value = match other {
                Some((name, garbage)) if name == parameter => garbage.to_owned(),
                _ => self.world.plausible(self.route.method(), &self.template, &parameter),
            };
            path = path.replace(&format!("{{{parameter}}}"), &value);
        }
        path
    }

    async fn send(&mut self, path: &str, content_type: &str, body: Vec<u8>) -> Outcome {
        self.walk.cases += 1;
        let outcome = self.world.send(self.route.method(), path, content_type, body).await;
        if outcome.answer.status.is_success() {
            if bodies::ends_session(self.route.method(), &self.template) {
                self.world.renew().await;
            } else if let (&Method::PUT, Some(delay)) =
                (self.route.method(), outcome.answer.body["delay_id"].as_str())
            {
                self.world.cancel(delay).await;
            } else if let Some(uri) = outcome.answer.body["content_uri"].as_str()
                && self.template.ends_with("/media/v1/create")
            {
                self.world.fill(uri).await;
            } else if self.template.ends_with("/upgrade") {
                self.world.open_room().await;
            } else if bodies::moves_people(self.route.method(), &self.template) {
                self.world.gather().await;
            }
        }
        outcome
    }

    /// What must hold of every answer; with errcodes, that it is a refusal with one of them.
    fn check(&mut self, what: &str, outcome: &Outcome, errcodes: Option<&[&str]>) {
        let answer = &outcome.answer;
        let (status, errcode) = (answer.status, answer.errcode());
        let waits = status == StatusCode::GATEWAY_TIMEOUT && errcode == "M_NOT_YET_UPLOADED";
        if status.is_server_error() && !waits {
            self.fault(what, &format!("{status} {}", answer.body));
        }
        let says_why = errcode.starts_with("M_")
            || errcode.starts_with("IO.ELEMENT.MSC4306.M_")
            || answer.body.get("flows").is_some()
            || bodies::is_page(self.route.method(), &self.template);
        if status.is_client_error() && !says_why {
            self.fault(what, &format!("{status} without an errcode: {}", answer.body));
        }
        if !outcome.changed.is_empty() {
            self.fault(what, &format!("{status} {errcode}, and yet {:?} changed", outcome.changed));
        }
        if let Some(errcodes) = errcodes
            && !(status.is_client_error() && errcodes.contains(&errcode))
        {
            self.fault(what, &format!("{status} {} where one of {errcodes:?} is right", answer.body));
        }
    }

    /// If it is a refusal, that it is one of these.
    fn check_errcode(&mut self, what: &str, outcome: &Outcome, errcodes: &[&str]) {
        let answer = &outcome.answer;
        let expected = bodies::refused(self.route.method(), &self.template);
        if answer.status.is_client_error()
            && !bodies::is_page(self.route.method(), &self.template)
            && !errcodes.contains(&answer.errcode())
            && answer.errcode() != expected
        {
            self.fault(
                what,
                &format!("{} {} where one of {errcodes:?} is right", answer.status, answer.body),
            );
        }
    }

    fn fault(&mut self, what: &str, problem: &str) {
        let fault = format!("{} {} with {what}: {}", self.route.method(), self.template, short(problem));
        self.walk.faults.push(fault);
    }
}

fn with(path: &str, query: &str) -> String {
    let query = query.trim_start_matches('&');
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The beginning of a text that may be very long.
fn short(text: &str) -> String {
    if text.len() <= 200 {
        text.to_owned()
    } else {
        format!("{}… ({} bytes)", text.chars().take(80).collect::<String>(), text.len())
    }
}

/// What is put in the place of a parameter.
pub(crate) fn garbage_for_paths() -> Vec<String> {
    let fixed = [
        "%00",
        "a%00b",
        "%ff%fe",
        "%",
        "%zz",
        "%20",
        "..",
        "%2e%2e%2f",
        "a%2fb",
        "%3f%23",
        "-1",
        "99999999999999999999999",
        "!",
        "@",
        "$",
        "%23",
        "!nowhere",
        "@nobody",
        "%23nowhere",
        "@no%00body:hs",
        "!no%00where:hs",
        "$no%00thing",
        "@bob:hs",
        "!unknown:hs",
        "$unknown",
        "%23unknown:hs",
        "@:hs",
        "@x:",
        "@x:%5b::1",
        "hs:99999999",
        "null",
        "%f0%9f%98%80",
        "%ed%a0%80",
        "%0d%0aX:y",
        "%22",
        "%7b%7d",
        "*",
    ];
    let long = [
        "a".repeat(256),
        "%00".repeat(300),
        "%f0%9f%98%80".repeat(100),
        format!("!{}:hs", "a".repeat(300)),
        format!("@{}:hs", "a".repeat(300)),
        format!("${}", "a".repeat(300)),
        format!("%23{}:hs", "a".repeat(300)),
        "a".repeat(30_000),
    ];
    fixed.into_iter().map(str::to_owned).chain(long).collect()
}

/// The parameters that any route reads.
const NAMES: &[&str] = &[
    "access_token",
    "allow_remote",
    "allow_redirect",
    "animated",
    "at",
    "before",
    "after",
    "dir",
    "event_id",
    "filename",
    "filter",
    "format",
    "from",
    "full_state",
    "height",
    "include",
    "kind",
    "limit",
    "max_depth",
    "membership",
    "method",
    "next_batch",
    "not_membership",
    "only",
    "order_by",
    "org.matrix.msc4140.delay",
    "pos",
    "recurse",
    "room_id",
    "search",
    "server",
    "set_presence",
    "since",
    "suggested_only",
    "timeout",
    "timeout_ms",
    "to",
    "token",
    "ts",
    "url",
    "use_state_after",
    "user_id",
    "username",
    "version",
    "via",
    "width",
];

/// Queries with one name of each, and a value that makes no sense; and some that are none.
pub(crate) fn queries(random: &Random) -> Vec<String> {
    let long = "x".repeat(5_000);
    let values = [
        "",
        "%00",
        "%ff",
        "%",
        "-1",
        "0",
        "1.5",
        "1e9",
        "99999999999999999999999",
        "9007199254740993",
        "18446744073709551615",
        "true",
        "null",
        "[]",
        "%7b",
        "%7b%7d",
        "%7b%22room%22:1%7d",
        "b",
        "%f0%9f%98%80",
        "a%0d%0ab",
        "s1_2_3",
        "@x",
        "!x:hs",
        "http://%5b",
        &long,
    ];
    let pick = || values[random.below(u32::try_from(values.len()).unwrap()) as usize];
    let mut queries =
        vec!["%ff=%ff".to_owned(), "=".to_owned(), "&&&".to_owned(), "%00".to_owned(), "a".repeat(20_000)];
    for name in NAMES {
        match random.below(4) {
            0 => queries.push(format!("{name}={}&{name}={}", pick(), pick())),
            1 => queries.push(format!("{name}={}", pick())),
            _ => {}
        }
    }
    queries
}
