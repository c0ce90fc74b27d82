//! The key this server signs events with: one file in the data folder.
//!
//! The form is the one other homeservers use (`ed25519 VERSION SEED`), so that a key can be taken along.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use myelin_pdu::{KeyId, SigningKey};
use myelin_runtime::Random;

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("the signing key {path} can't be read or written: {source}")]
    Io { path: String, source: io::Error },
    #[error(
        "the signing key {0} is damaged: it must hold one line `ed25519 VERSION SEED`; restore it from a backup"
    )]
    Damaged(String),
}

/// The name of the key's file in the data folder.
const FILE: &str = "signing.key";

/// Reads the key, if there is one. Changes nothing.
pub(crate) fn load(folder: &Path) -> Result<Option<SigningKey>, KeyError> {
    let path = folder.join(FILE);
    let damaged = || KeyError::Damaged(path.display().to_string());
    match fs::read(&path) {
        Ok(bytes) => {
            let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
            parse(text.trim()).ok_or_else(damaged).map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeyError::Io { path: path.display().to_string(), source }),
    }
}

/// Reads the key, or makes one where there is none yet. A new key is on disk before it is used.
pub(crate) fn load_or_make(folder: &Path, random: &Random) -> Result<SigningKey, KeyError> {
    if let Some(key) = load(folder)? {
        return Ok(key);
    }
    let path = folder.join(FILE);
    let seed = STANDARD_NO_PAD.encode(random.bytes::<32>());
    let line = format!("ed25519 a_{} {seed}\n", random.alphanumeric(4));
    write_durably(folder, &path, &line)
        .map_err(|source| KeyError::Io { path: path.display().to_string(), source })?;
    parse(line.trim()).ok_or_else(|| KeyError::Damaged(path.display().to_string()))
}

fn parse(line: &str) -> Option<SigningKey> {
    let mut words = line.split_whitespace();
    let (algorithm, version, seed) = (words.next()?, words.next()?, words.next()?);
    let seed = STANDARD_NO_PAD.decode(seed.trim_end_matches('=')).ok()?;
    let id: KeyId = format!("{algorithm}:{version}").parse().ok()?;
    SigningKey::from_seed(id, seed.as_slice().try_into().ok()?).ok()
}

pub(crate) fn write_durably(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("key.new");
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use myelin_runtime::Random;

    use super::{KeyError, load_or_make};

    #[test]
    fn a_key_is_made_once_kept_private_and_never_replaced_when_damaged() {
        let folder = std::env::temp_dir().join(format!("myelin-key-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let random = Random::from_seed(1);
        let first = load_or_make(&folder, &random).unwrap();
        let again = load_or_make(&folder, &random).unwrap();
        assert_eq!(first.verifying_key().to_base64(), again.verifying_key().to_base64());
        let path = folder.join("signing.key");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "ed25519 a_x short").unwrap();
        assert!(matches!(load_or_make(&folder, &random), Err(KeyError::Damaged(_))));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
