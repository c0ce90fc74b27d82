//! The pages of the login server: how large the first one is with all that it loads, and how long one takes.

use anyhow::{Context, Result};

use super::{Goal, Load, Prepared, Site, Unit, Writes};
use crate::bench::{
    http::{Connection, Request},
    measure::{Cost, Sample, one_by_one},
    oauth::{Browser, SIGN_IN, authorize, is_native, register_client},
};

pub(super) const SIZE: Load = Load {
    name: "page-size",
    title: "the sign-in page, with all that it loads",
    unit: Unit::Kilobytes,
    goal: Goal::AtMost(60.0),
    writes: Writes::Nothing,
    prepare: |site| {
        if !is_native(&site.server.address)? {
            return Ok(Prepared::Absent("has no login server of its own"));
        }
        Ok(Prepared::Rounds(Box::new(|| {
            let bytes = loaded(site, SIGN_IN)?;
            let value = bytes as f64 / 1e3;
            Ok(Sample { value, latencies: Vec::new(), requests: 0, cost: Cost::default() })
        })))
    },
};

pub(super) const TIME: Load = Load {
    name: "page-time",
    title: "the page that asks whether a client may log in",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(5.0),
    writes: Writes::Nothing,
    prepare: |site| {
        if !is_native(&site.server.address)? {
            return Ok(Prepared::Absent("has no login server of its own"));
        }
        let client_id = register_client(&site.server.address)?;
        let mut browser = Browser::sign_in(&site.server.address, &site.server.person()?)?;
        let path = authorize(&client_id, "ANEWDEVICE");
        Ok(Prepared::Rounds(Box::new(move || {
            one_by_one(site.server, site.sizes.pages, || browser.open(&path).map(drop))
        })))
    },
};

/// How many bytes a browser loads for a page that it has never seen: the page, and what its tags refer to.
fn loaded(site: &Site<'_>, path: &str) -> Result<usize> {
    let mut connection = Connection::new(&site.server.address);
    let page = String::from_utf8(connection.exchange(&Request::get(path))?.body).context("a page")?;
    let mut bytes = page.len();
    let tags =
        page.split('<').filter(|tag| ["link ", "script ", "img "].iter().any(|name| tag.starts_with(name)));
    for tag in tags {
        let place = ["href=\"", "src=\""].iter().find_map(|name| tag.split_once(name)?.1.split_once('"'));
        if let Some((place, _)) = place.filter(|(place, _)| place.starts_with('/')) {
            bytes += connection.exchange(&Request::get(place))?.body.len();
        }
    }
    Ok(bytes)
}
