//! The base64 alphabets of Matrix ([appendices](https://spec.matrix.org/latest/appendices/#unpadded-base64)).

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

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
