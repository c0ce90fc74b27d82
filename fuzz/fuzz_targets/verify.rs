//! Any bytes, verified as an event: no input panics, what passes needs the key, and what this server signs passes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use myelin_pdu::{
    KeyId, KeyValidity, Pdu, RoomVersionId, ServerKey, SigningKey, UnverifiedPdu, VerifiedPdu, verify_pdu,
};
use ruma::ServerName;

fuzz_target!(|input: (u8, &[u8])| {
    let (version, raw) = input;
    let rules = RoomVersionId::ALL[usize::from(version) % RoomVersionId::ALL.len()].rules();
    let key = SigningKey::from_seed("ed25519:k".parse().expect("an id"), &[9; 32]).expect("a key");
    let keys = |_: &ServerName, _: &KeyId| {
        Some(ServerKey { key: key.verifying_key(), validity: KeyValidity::Until(i64::MAX) })
    };
    let none = |_: &ServerName, _: &KeyId| None::<ServerKey>;
    let Ok(received) = UnverifiedPdu::parse(raw.to_vec().into(), rules) else { return };
    let _verdict = received.verify(&keys, i64::MAX);
    assert_eq!(received.verify(&none, i64::MAX).is_ok(), received.required_signers().is_empty());

    let mut event = received.pdu().object();
    event.remove("signatures");
    let signers = received.required_signers();
    let Ok(mut made) = Pdu::hash_and_sign(event, rules, received.pdu().sender_server(), &key) else { return };
    for signer in signers {
        let Ok(signed) = made.signed_by(signer, &key) else { return };
        made = signed;
    }
    // Its time may lie beyond what any key can vouch for.
    if made.origin_server_ts() < i64::MAX {
        assert_eq!(verify_pdu(&made, &keys, i64::MAX), Ok(VerifiedPdu::Intact(made.clone())));
    }
});
