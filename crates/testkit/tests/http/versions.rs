//! What the server says that it can do, against what it does.

use std::collections::BTreeSet;

use http::StatusCode;
use myelin_api::routes;
use myelin_server::config::Config;
use myelin_testkit::TestServer;
use serde_json::json;

/// The flag by which clients look for the endpoints under a prefix, where it has one.
fn flag(prefix: &str) -> Option<&str> {
    match prefix {
        // Their proposals name none, and clients just call them. The first is the page that links in mails lead to.
        "email" | "im.nheko.summary" | "org.matrix.msc1763" => None,
        // Clients ask for the document, and see whether there is one.
        "org.matrix.msc2965" => None,
        // What was once served for cross-signing and backups, without a name.
        "keys" | "room_keys" => Some("org.matrix.e2e_cross_signing"),
        "io.element.msc4306" => Some("org.matrix.msc4306"),
        "io.element.msc4308" => Some("org.matrix.msc4308"),
        "uk.half-shot.msc2666" => Some("uk.half-shot.msc2666.query_mutual_rooms"),
        prefix => Some(prefix),
    }
}

#[tokio::test]
async fn every_unstable_prefix_that_is_served_is_told_as_clients_look_for_it() {
    let server = TestServer::new(1).await;
    let versions = server.anonymous().get("/_matrix/client/versions").await.ok();
    let table = routes::table();
    let paths =
        table.iter().flat_map(|route| route.paths().iter().map(ToString::to_string).collect::<Vec<_>>());
    let prefixes: BTreeSet<String> = paths
        .filter_map(|path| {
            path.strip_prefix("/_matrix/client/unstable/")?.split('/').next().map(str::to_owned)
        })
        .collect();
    assert!(prefixes.len() > 5, "{prefixes:?}");
    for flag in prefixes.iter().filter_map(|prefix| flag(prefix)) {
        assert_eq!(versions["unstable_features"][flag], true, "{flag}");
    }
}

#[tokio::test]
async fn a_server_that_claims_oauth_versions_says_whether_it_has_the_newer_login() {
    for enabled in [true, false] {
        let mut config = Config { server_name: "hs".to_owned(), ..Config::default() };
        config.oauth.enabled = enabled;
        let server = TestServer::with(2, config).await;
        let nobody = server.anonymous();
        let versions = nobody.get("/_matrix/client/versions").await.ok();
        assert!(versions["versions"].as_array().unwrap().contains(&json!("v1.19")));
        // "OAuth 2.0 API: API discovery".
        let metadata = nobody.get("/_matrix/client/v1/auth_metadata").await;
        if enabled {
            assert_eq!((metadata.status, &metadata.body["issuer"]), (StatusCode::OK, &json!("https://hs/")));
        } else {
            assert_eq!((metadata.status, metadata.errcode()), (StatusCode::NOT_FOUND, "M_UNRECOGNIZED"));
        }
        let flows = nobody.get("/_matrix/client/v3/login").await.ok();
        assert!(
            flows["flows"].as_array().unwrap().contains(&json!({ "type": "m.login.password" })),
            "{flows}"
        );
    }
}
