//! Any registration: what is taken reads as itself, keeps its id, and leads to the client's own host or scheme alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use myelin_oauth_core::client::ClientMetadata;

fuzz_target!(|json: &[u8]| {
    let Ok(client) = ClientMetadata::parse(json) else { return };
    let canonical = client.canonical();
    let again = ClientMetadata::parse(canonical.as_bytes()).expect("the canonical form is taken");
    assert_eq!(again, client);
    assert_eq!(again.client_id(), client.client_id());
    for uri in &client.redirect_uris {
        let target = client.target(uri.as_str()).expect("a registered place is one");
        assert!(!target.csp_source().contains([' ', ';', ',', '\'']));
    }
});
