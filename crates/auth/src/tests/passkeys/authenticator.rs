//! An authenticator (WebAuthn, level 3) that says whatever a test wants it to say.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What it says, where that is not what it should be.
#[derive(Clone, Copy)]
pub(super) struct Says<'s> {
    pub(super) origin: &'s str,
    pub(super) party: &'s str,
    pub(super) challenge: Option<&'s str>,
    pub(super) kind: Option<&'s str>,
    pub(super) present: bool,
    pub(super) verified: bool,
    pub(super) counter: Option<u32>,
    /// Whether it names the account.
    pub(super) handle: bool,
    /// Whether another key signs.
    pub(super) forged: bool,
}

impl Default for Says<'_> {
    fn default() -> Self {
        Self {
            origin: "https://example.org",
            party: "example.org",
            challenge: None,
            kind: None,
            present: true,
            verified: true,
            counter: None,
            handle: true,
            forged: false,
        }
    }
}

/// An authenticator with one passkey.
#[derive(Clone)]
pub(super) struct Authenticator {
    key: SigningKey,
    id: Vec<u8>,
    handle: Option<String>,
    counter: u32,
}

impl Authenticator {
    pub(super) fn new(seed: u8) -> Self {
        let key = SigningKey::from_slice(&[seed; 32]).unwrap();
        Self { key, id: vec![seed; 20], handle: None, counter: 0 }
    }

    /// The id of its credential, as a browser writes it.
    pub(super) fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.id)
    }

    /// Makes the passkey.
    pub(super) fn create(&mut self, options: &str, says: Says<'_>) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        let options = &options["publicKey"];
        self.handle = options["user"]["id"].as_str().map(str::to_owned);
        let client = client_data(options, "webauthn.create", says);
        let point = self.key.verifying_key().to_sec1_point(false);
        // COSE: 1 (kty): 2 (EC2), 3 (alg): -7 (ES256), -1 (crv): 1 (P-256), -2: x, -3: y.
        let mut public = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
        public.extend_from_slice(point.x().unwrap());
        public.extend_from_slice(&[0x22, 0x58, 0x20]);
        public.extend_from_slice(point.y().unwrap());
        let mut data = self.authenticator_data(says, 0x40);
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&(self.id.len() as u16).to_be_bytes());
        data.extend_from_slice(&self.id);
        data.extend_from_slice(&public);
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend_from_slice(&data);
        let response = json!({
            "clientDataJSON": URL_SAFE_NO_PAD.encode(client),
            "attestationObject": URL_SAFE_NO_PAD.encode(object),
        });
        self.told(&response)
    }

    /// Signs with it.
    pub(super) fn get(&mut self, options: &str, says: Says<'_>) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        self.counter += 1;
        let client = client_data(&options["publicKey"], "webauthn.get", says);
        let data = self.authenticator_data(says, 0);
        let signed = [&data[..], &Sha256::digest(client.as_bytes())].concat();
        let key = if says.forged { SigningKey::from_slice(&[99; 32]).unwrap() } else { self.key.clone() };
        let signature: Signature = key.sign(&signed);
        let mut response = json!({
            "clientDataJSON": URL_SAFE_NO_PAD.encode(client),
            "authenticatorData": URL_SAFE_NO_PAD.encode(data),
            "signature": URL_SAFE_NO_PAD.encode(signature.to_der().as_bytes()),
        });
        if says.handle {
            response["userHandle"] = self.handle.clone().unwrap_or_else(|| "AAAA".to_owned()).into();
        }
        self.told(&response)
    }

    fn told(&self, response: &Value) -> String {
        let id = self.id();
        let whole = json!({
            "id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": {},
        });
        whole.to_string()
    }

    fn authenticator_data(&self, says: Says<'_>, flags: u8) -> Vec<u8> {
        let flags = flags | u8::from(says.present) | u8::from(says.verified) << 2;
        let mut data = Sha256::digest(says.party.as_bytes()).to_vec();
        data.push(flags);
        data.extend_from_slice(&says.counter.unwrap_or(self.counter).to_be_bytes());
        data
    }
}

fn client_data(options: &Value, kind: &str, says: Says<'_>) -> String {
    let challenge = says.challenge.unwrap_or_else(|| options["challenge"].as_str().unwrap());
    let kind = says.kind.unwrap_or(kind);
    json!({ "type": kind, "challenge": challenge, "origin": says.origin, "crossOrigin": false }).to_string()
}
