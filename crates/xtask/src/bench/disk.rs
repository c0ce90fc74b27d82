//! How long the disk itself takes: what a durable commit can't go below.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    time::Instant,
};

use anyhow::Result;

use super::measure::milliseconds;

/// What is written before each wait, in bytes: a page of a write-ahead log.
const PAGE: usize = 4096;
/// The length of the file that is written over, in pages.
const PAGES: u64 = 256;

/// Times of `fdatasync` after one page was written over, in milliseconds: a write-ahead log that is reused. The file
/// is new, on the disk that holds `folder`.
pub(crate) fn fsync_times(folder: &Path, times: usize) -> Result<Vec<f64>> {
    let path = folder.join("fsync");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    file.write_all_at(&vec![1; PAGE * PAGES as usize], 0)?;
    file.sync_all()?;
    let timed = (0..times as u64).map(|at| timed_write(&file, at % PAGES)).collect();
    fs::remove_file(&path)?;
    timed
}

/// The same after one page was added: a file that grows, whose new length must be written too.
pub(crate) fn growing_fsync_times(folder: &Path, times: usize) -> Result<Vec<f64>> {
    let path = folder.join("fsync-growing");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let timed = (0..times as u64).map(|at| timed_write(&file, at)).collect();
    fs::remove_file(&path)?;
    timed
}

fn timed_write(file: &File, page: u64) -> Result<f64> {
    file.write_all_at(&[7; PAGE], page * PAGE as u64)?;
    let start = Instant::now();
    file.sync_data()?;
    Ok(milliseconds(start.elapsed()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_wait_is_timed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(super::fsync_times(folder.path(), 3).unwrap().len(), 3);
        assert_eq!(super::growing_fsync_times(folder.path(), 3).unwrap().len(), 3);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
