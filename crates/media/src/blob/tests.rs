use std::path::Path;

use futures_util::TryStreamExt;
use myelin_runtime::Random;

use super::*;

async fn put(blobs: &dyn BlobStore, bytes: &[u8]) -> BlobId {
    let mut staged = blobs.stage();
    for piece in bytes.chunks(100_000) {
        staged.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let sealed = staged.seal().await.unwrap();
    assert_eq!(sealed.size, bytes.len() as u64);
    staged.sync().await.unwrap();
    staged.publish().await.unwrap();
    sealed.id
}

async fn get(blobs: &dyn BlobStore, id: BlobId) -> Option<Vec<u8>> {
    get_part(blobs, id, WHOLE).await
}

async fn get_part(blobs: &dyn BlobStore, id: BlobId, part: Range<u64>) -> Option<Vec<u8>> {
    let blob = blobs.read(id, part).await.unwrap()?;
    let pieces: Vec<Bytes> = blob.bytes.try_collect().await.unwrap();
    assert!(pieces.iter().all(|piece| piece.len() <= CHUNK));
    Some(pieces.concat())
}

async fn folder(path: &Path) -> FolderBlobs {
    FolderBlobs::open(path.join("media"), Random::from_seed(1)).await.unwrap()
}

async fn check_contract(blobs: &dyn BlobStore) {
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17] {
        let bytes: Vec<u8> = (0..length).map(|n| (n % 253) as u8).collect();
        let id = put(blobs, &bytes).await;
        assert_eq!(get(blobs, id).await, Some(bytes.clone()));
        assert_eq!(put(blobs, &bytes).await, id, "equal bytes have one name");
        for (start, end) in
            [(0, 1), (1, length), (length / 2, length + 9), (length, length + 1), (length + 5, usize::MAX)]
        {
            let part = bytes.get(start..end.min(length)).unwrap_or_default().to_vec();
            assert_eq!(get_part(blobs, id, start as u64..end as u64).await, Some(part), "{start}..{end}");
        }
        blobs.remove(id).await.unwrap();
        assert_eq!(get(blobs, id).await, None);
        blobs.remove(id).await.unwrap();
    }
    let mut staged = blobs.stage();
    staged.write(Bytes::from_static(b"abc")).await.unwrap();
    let id = staged.seal().await.unwrap().id;
    assert_eq!(
        id.to_string(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "FIPS 180-2"
    );
    assert_eq!(get(blobs, id).await, None, "what is not published can't be read");
    let unsealed = blobs.stage();
    assert!(unsealed.publish().await.is_err());
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    let temp = tempfile::tempdir().unwrap();
    check_contract(&folder(temp.path()).await).await;
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    check_contract(&MemoryBlobs::new()).await;
}

#[tokio::test]
async fn blobs_outlive_the_process_and_staged_bytes_do_not() {
    let temp = tempfile::tempdir().unwrap();
    let id = put(&folder(temp.path()).await, b"kept").await;
    let name = id.to_string();
    assert!(temp.path().join("media").join(&name[..2]).join(&name[2..4]).join(&name).is_file());
    let left = temp.path().join("media/staging/left-behind");
    std::fs::write(&left, b"half").unwrap();
    let again = folder(temp.path()).await;
    assert!(!left.exists());
    assert_eq!(get(&again, id).await, Some(b"kept".to_vec()));
}

#[tokio::test]
async fn staged_bytes_vanish_when_they_are_dropped() {
    let temp = tempfile::tempdir().unwrap();
    let blobs = folder(temp.path()).await;
    let mut staged = blobs.stage();
    staged.write(vec![0; CHUNK].into()).await.unwrap();
    let count = || std::fs::read_dir(temp.path().join("media/staging")).unwrap().count();
    assert_eq!(count(), 1);
    drop(staged);
    while count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_folder_that_can_not_be_made_is_an_error() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("media"), b"a file").unwrap();
    let opened = FolderBlobs::open(temp.path().join("media"), Random::from_seed(1)).await;
    assert!(matches!(opened, Err(BlobError::Unavailable(_))));
}

#[test]
fn a_full_disk_and_a_used_up_quota_are_told_apart_from_a_broken_disk() {
    for (code, full) in [(28, true), (122, true), (5, false)] {
        let error = BlobError::from(std::io::Error::from_raw_os_error(code));
        assert_eq!(matches!(error, BlobError::Full), full, "errno {code}");
    }
}
