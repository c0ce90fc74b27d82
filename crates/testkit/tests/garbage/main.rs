//! Garbage on every route: whatever is sent, the answer is never a 5xx, a refusal says why in the right errcode, and
//! what was refused has changed nothing.
//!
//! Each test walks the whole table of routes with a request that the server does, and spoils one thing at a time. What
//! is random follows from [`SEED`]; to try others, set `TEST_GARBAGE_SEED`.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a request that can't be built fails the test")]

mod bites;
mod bodies;
mod walk;
mod world;

use http::Method;
use walk::{Walk, garbage_for_paths, queries};

/// What the random choices follow from.
const SEED: u64 = 20_261_126;

#[tokio::test(start_paused = true)]
async fn a_good_request_is_done_on_every_route() {
    let mut walk = Walk::new(1);
    walk.every_route(async |at| {
        let outcome = at.good().await;
        at.expect_no_refusal(&outcome);
    })
    .await;
    walk.conclude();
}

#[tokio::test(start_paused = true)]
async fn garbage_in_a_path_is_refused_and_changes_nothing() {
    let mut walk = Walk::new(2);
    walk.every_route(async |at| {
        for parameter in at.parameters() {
            for garbage in garbage_for_paths() {
                at.with_parameter(&parameter, &garbage).await;
            }
        }
    })
    .await;
    walk.conclude();
}

#[tokio::test(start_paused = true)]
async fn garbage_in_a_query_is_refused_and_changes_nothing() {
    let mut walk = Walk::new(3);
    walk.every_route(async |at| {
        for query in queries(at.random()) {
            at.with_query(&query).await;
        }
    })
    .await;
    walk.conclude();
}

#[tokio::test(start_paused = true)]
async fn what_is_no_json_object_is_refused_by_its_errcode() {
    let mut walk = Walk::new(4);
    walk.every_route(async |at| {
        if *at.method() != Method::GET {
            at.with_whole_bodies().await;
        }
    })
    .await;
    walk.conclude();
}

#[tokio::test(start_paused = true)]
async fn a_spoilt_field_is_refused_by_its_errcode() {
    let mut walk = Walk::new(5);
    walk.every_route(async |at| at.with_spoilt_fields().await).await;
    walk.conclude();
}
