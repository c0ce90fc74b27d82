//! What a folder holds, to the byte.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Every path of a folder with its kind, permissions and, for files, length and SHA-256. Two are equal when nothing
/// was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    entries: BTreeMap<String, String>,
}

impl Fingerprint {
    /// Reads the folder and all below it.
    ///
    /// # Errors
    /// When something can't be read.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let mut fingerprint = Self::default();
        fingerprint.add(folder, folder)?;
        Ok(fingerprint)
    }

    fn add(&mut self, root: &Path, path: &Path) -> io::Result<()> {
        let metadata = fs::symlink_metadata(path)?;
        let mut says = format!("{:o}", metadata.permissions().mode());
        let kind = metadata.file_type();
        if metadata.is_file() {
            let bytes = fs::read(path)?;
            write!(says, " {} bytes {:x?}", bytes.len(), Sha256::digest(&bytes)).map_err(io::Error::other)?;
        } else if kind.is_socket() {
            says.push_str(" socket");
        }
        let name = path.strip_prefix(root).map_err(io::Error::other)?.display().to_string();
        self.entries.insert(name, says);
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                self.add(root, &entry?.path())?;
            }
        }
        Ok(())
    }

    /// What is different in the other, a line each; empty when nothing is.
    #[must_use]
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (name, was) in &self.entries {
            match later.entries.get(name) {
                None => changes.push(format!("{name} is gone")),
                Some(is) if is != was => changes.push(format!("{name} was {was}, is {is}")),
                Some(_) => {}
            }
        }
        let new = later.entries.keys().filter(|name| !self.entries.contains_key(*name));
        changes.extend(new.map(|name| format!("{name} is new")));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn a_fingerprint_tells_what_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/a"), "1").unwrap();
        let before = Fingerprint::of(folder.path()).unwrap();
        assert!(before.changes(&Fingerprint::of(folder.path()).unwrap()).is_empty());
        std::fs::write(folder.path().join("sub/a"), "2").unwrap();
        std::fs::write(folder.path().join("b"), "").unwrap();
        let changes = before.changes(&Fingerprint::of(folder.path()).unwrap());
        assert_eq!(changes.len(), 2, "{changes:?}");
        assert!(changes[0].starts_with("sub/a was") && changes[1] == "b is new", "{changes:?}");
    }
}
