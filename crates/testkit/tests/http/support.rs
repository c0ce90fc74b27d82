//! Whom to ask about this server (client-server API, `/.well-known/matrix/support`).

use http::StatusCode;
use myelin_server::config::{Config, Contact, Support};
use myelin_testkit::TestServer;
use serde_json::json;

const SUPPORT: &str = "/.well-known/matrix/support";

#[tokio::test]
async fn the_operator_s_contacts_are_told_and_nothing_where_there_are_none() {
    let silent = TestServer::new(61).await;
    let nobody = silent.anonymous().get(SUPPORT).await;
    assert_eq!((nobody.status, nobody.errcode()), (StatusCode::NOT_FOUND, "M_NOT_FOUND"));

    let contact = Contact {
        matrix_id: Some("@root:elsewhere".to_owned()),
        email_address: None,
        role: "m.role.security".to_owned(),
    };
    let page = Some("https://example.org/help".to_owned());
    let support = Support { page, contacts: vec![contact] };
    let config = Config { server_name: "hs".to_owned(), support, ..Config::default() };
    let server = TestServer::with(62, config).await;
    let told = server.anonymous().get(SUPPORT).await.ok();
    let expected = json!({
        "contacts": [{"matrix_id": "@root:elsewhere", "role": "m.role.security"}],
        "support_page": "https://example.org/help",
    });
    assert_eq!(told, expected);
}
