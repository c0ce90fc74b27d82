//! The base64 alphabets of Matrix ([appendices](https://spec.matrix.org/latest/appendices/#unpadded-base64)).

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Written without padding; read with or without it, and with whatever stands in the bits that do not count, since
/// that is what other servers accept in hashes and signatures.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(false)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD_ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
const URL_SAFE_ENGINE: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, CONFIG);

pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD_ENGINE.encode(bytes)
}

pub(crate) fn encode_url_safe(bytes: &[u8]) -> String {
    URL_SAFE_ENGINE.encode(bytes)
}

/// Exactly `N` bytes from standard base64, or nothing.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode_with(&STANDARD_ENGINE, text)
}

/// A secret of exactly 32 bytes from standard base64, or nothing. No copy of it is left behind.
pub(crate) fn decode_secret(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    // Room for 44 characters, padding included, as the decoder estimates it.
    let mut bytes = Zeroizing::new([0; 33]);
    let length = STANDARD_ENGINE.decode_slice(text, bytes.as_mut_slice()).ok()?;
    bytes.get(..length)?.try_into().ok().map(Zeroizing::new)
}

/// Exactly `N` bytes from URL-safe base64, or nothing.
pub(crate) fn decode_url_safe<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode_with(&URL_SAFE_ENGINE, text)
}

fn decode_with<const N: usize>(engine: &GeneralPurpose, text: &str) -> Option<[u8; N]> {
    // Three bytes make four characters, and padding rounds up: a longer text cannot be `N` bytes.
    if text.len() > N.div_ceil(3) * 4 {
        return None;
    }
    engine.decode(text).ok()?.try_into().ok()
}
