//! The keys that seal secrets in the store: one file in the data folder, one key a line in base64, the newest first.
//!
//! Whoever has the store and not this file has none of those secrets. A new key is put above the older ones, which open what
//! they sealed.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use myelin_runtime::{Random, SealKey, Secret};

use crate::signing_key::write_durably;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealKeyError {
    #[error("the keys {path} can't be read or written: {source}")]
    Io { path: String, source: io::Error },
    #[error("{0} is damaged: it must hold one key a line, each 32 bytes in base64; restore it from a backup")]
    Damaged(String),
}

/// The name of the file in the data folder.
const FILE: &str = "secrets.key";

/// Reads the keys; none where there is no file. Changes nothing.
pub(crate) fn load(folder: &Path) -> Result<Vec<SealKey>, SealKeyError> {
    let path = folder.join(FILE);
    let damaged = || SealKeyError::Damaged(path.display().to_string());
    match fs::read(&path) {
        Ok(bytes) => {
            let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
            let keys: Option<Vec<SealKey>> =
                text.lines().map(str::trim).filter(|line| !line.is_empty()).map(parse).collect();
            keys.filter(|keys| !keys.is_empty()).ok_or_else(damaged)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(SealKeyError::Io { path: path.display().to_string(), source }),
    }
}

/// Reads the keys, or makes one where there is none yet. A new key is on disk before it is used.
pub(crate) fn load_or_make(folder: &Path, random: &Random) -> Result<Vec<SealKey>, SealKeyError> {
    let keys = load(folder)?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    let path = folder.join(FILE);
    let key: SealKey = Secret::new(random.bytes());
    let line = format!("{}\n", STANDARD_NO_PAD.encode(key.expose()));
    write_durably(folder, &path, &line)
        .map_err(|source| SealKeyError::Io { path: path.display().to_string(), source })?;
    Ok(vec![key])
}

fn parse(line: &str) -> Option<SealKey> {
    let bytes = STANDARD_NO_PAD.decode(line.trim_end_matches('=')).ok()?;
    Some(Secret::new(bytes.as_slice().try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use myelin_runtime::Random;

    use super::{SealKeyError, load, load_or_make};

    #[test]
    fn a_key_is_made_once_kept_private_and_never_replaced_when_damaged() {
        let folder = std::env::temp_dir().join(format!("myelin-seal-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let random = Random::from_seed(1);
        assert!(load(&folder).unwrap().is_empty());
        let first = load_or_make(&folder, &random).unwrap();
        assert!(load_or_make(&folder, &random).unwrap() == first && first.len() == 1);
        let path = folder.join("secrets.key");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let line = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{}\n\n{line}", "A".repeat(43))).unwrap();
        let both = load_or_make(&folder, &random).unwrap();
        assert!(both.len() == 2 && both[1] == first[0]);
        for damaged in ["", "short\n", "\u{e9}\n"] {
            std::fs::write(&path, damaged).unwrap();
            assert!(matches!(load_or_make(&folder, &random), Err(SealKeyError::Damaged(_))), "{damaged}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
