//! Passwords that were stolen somewhere: a file of their hashes, or a service that is asked for the hashes that begin like one
//! (the range API of Have I Been Pwned, and of copies of it). The whole hash of a password leaves the server in neither case.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use myelin_auth::{BreachedPasswords, PasswordDigest};
use reqwest::Url;

use super::client::{Asker, Bounds, Reach};

/// Somebody waits for their password, and the longest answers have some 40 kB.
const BOUNDS: Bounds = Bounds {
    reach: Reach::Anywhere,
    connect: Duration::from_secs(2),
    whole: Duration::from_secs(4),
    answer: 1024 * 1024,
};
/// Characters of the hash that the service is told.
const PREFIX: usize = 5;
/// Characters in a hash.
const HASH: usize = 40;
/// The longest line of a file: a hash, a colon, a count.
const MAX_LINE: usize = 80;

/// Where the list is.
pub(crate) enum Breached {
    /// In a file of lines `HASH` or `HASH:COUNT`, in the order of the hashes, as the list is downloaded.
    File(PathBuf),
    /// Behind this address, to which the first characters of the hash are appended.
    Service {
        /// The address, ending with a slash.
        url: Url,
        asker: Asker,
    },
}

impl BreachedPasswords for Breached {
    fn contains<'a>(&'a self, digest: &'a PasswordDigest) -> BoxFuture<'a, Result<bool, String>> {
        let hash = hex(digest);
        Box::pin(async move {
            match self {
                Self::File(path) => {
                    let path = path.clone();
                    let search = tokio::task::spawn_blocking(move || in_file(&path, &hash));
                    search.await.map_err(text)?.map_err(text)
                }
                Self::Service { url, asker } => ask(url, asker, &hash).await,
            }
        })
    }
}

impl Breached {
    /// The service at this address.
    pub(crate) fn service(url: Url) -> Self {
        Self::Service { url, asker: Asker::new(BOUNDS) }
    }
}

/// In capitals, as the lists are written.
fn hex(PasswordDigest(digest): &PasswordDigest) -> String {
    digest.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Looks a hash up in a sorted file by halving it: some thirty reads, however long it is.
fn in_file(path: &std::path::Path, hash: &str) -> io::Result<bool> {
    let mut file = BufReader::with_capacity(512, File::open(path)?);
    // The line that holds the hash, if there is one, begins in [low, high).
    let (mut low, mut high) = (0, file.get_ref().metadata()?.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let (start, line) = line_from(&mut file, middle)?;
        let known = line.get(..HASH).unwrap_or(&line).to_ascii_uppercase();
        if line.is_empty() || start >= high || known.as_str() > hash {
            high = middle;
        } else if known == hash {
            return Ok(true);
        } else {
            low = start + line.len() as u64;
        }
    }
    Ok(false)
}

/// The first line that begins at the place or after it, with its end, and where it begins.
fn line_from(file: &mut BufReader<File>, place: u64) -> io::Result<(u64, String)> {
    let before = place.saturating_sub(1);
    file.seek(SeekFrom::Start(before))?;
    let skipped = if place == 0 { 0 } else { read_line(file)?.len() as u64 };
    let line = read_line(file)?;
    Ok((before + skipped, line))
}

fn read_line(file: &mut BufReader<File>) -> io::Result<String> {
    let mut line = Vec::new();
    io::Read::take(&mut *file, MAX_LINE as u64).read_until(b'\n', &mut line)?;
    if line.len() == MAX_LINE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long to be a hash"));
    }
    String::from_utf8(line).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a line is no text"))
}

async fn ask(url: &Url, asker: &Asker, hash: &str) -> Result<bool, String> {
    let (prefix, rest) = hash.split_at_checked(PREFIX).ok_or("no hash")?;
    let url = url.join(prefix).map_err(text)?;
    // Who sees how long the answer is learns nothing of which it was.
    let asked = asker.ask(url, |client, url| client.get(url).header("Add-Padding", "true"));
    let answer = asked.await.map_err(text)?;
    if !answer.status.is_success() {
        return Err(format!("the service answers {}", answer.status));
    }
    Ok(is_listed(&String::from_utf8_lossy(&answer.body), rest))
}

/// Whether an answer has the rest of a hash in it; what is there to fill it up is listed with a count of 0.
fn is_listed(answer: &str, rest: &str) -> bool {
    answer.lines().filter_map(|line| line.trim().split_once(':')).any(|(listed, count)| {
        listed.eq_ignore_ascii_case(rest) && count.trim().parse::<u64>().is_ok_and(|count| count > 0)
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::Arc;

    use axum::Router;
    use http::{HeaderMap, Uri};
    use myelin_auth::{BreachedPasswords as _, PasswordDigest};
    use myelin_runtime::Tasks;
    use reqwest::Url;
    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;

    use super::{Breached, hex, is_listed};
    use crate::listen::{Serving, serve};

    fn digest(number: u32) -> PasswordDigest {
        let mut digest = [0; 20];
        digest[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
        PasswordDigest(digest)
    }

    #[tokio::test]
    async fn a_hash_is_found_wherever_it_stands_in_a_file_and_no_other_is() {
        let path = std::env::temp_dir().join(format!("myelin-breached-{}", std::process::id()));
        for end in ["\n", "\r\n", ":7\n", ":123456789\r\n"] {
            for count in [0_u32, 1, 2, 3, 500] {
                let mut lines: Vec<_> = (0..count).map(|number| hex(&digest(number * 2))).collect();
                lines.sort();
                let text = lines.iter().fold(String::new(), |mut text, line| {
                    write!(text, "{line}{end}").unwrap();
                    text
                });
                std::fs::write(&path, text.trim_end_matches(['\r', '\n'])).unwrap();
                let list = Breached::File(path.clone());
                for number in 0..count * 2 + 2 {
                    let found = list.contains(&digest(number)).await.unwrap();
                    assert_eq!(found, number < count * 2 && number % 2 == 0, "{number} of {count}");
                }
            }
        }
        std::fs::write(&path, "x".repeat(1_000)).unwrap();
        assert!(Breached::File(path.clone()).contains(&digest(0)).await.is_err(), "no list of hashes");
        std::fs::remove_file(&path).unwrap();
        assert!(Breached::File(path).contains(&digest(0)).await.is_err(), "no file");
    }

    #[tokio::test]
    async fn a_service_is_told_the_beginning_of_a_hash_and_asked_for_padding() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/range/", listener.local_addr().unwrap())).unwrap();
        let known = hex(&digest(7));
        let answer = async move |headers: HeaderMap, uri: Uri| {
            let (prefix, rest) = known.split_at(5);
            assert_eq!(headers.get("add-padding").unwrap(), "true");
            let listed = uri.path() == format!("/range/{prefix}");
            if listed { format!("{rest}:3\r\n") } else { String::new() }
        };
        let routes = Router::new().fallback(answer);
        let (tasks, connections) = (Tasks::new(), Arc::new(Semaphore::new(16)));
        tokio::spawn(serve(
            listener,
            None,
            Serving { service: routes, tasks, connections, proxies: Arc::new([]) },
        ));
        let list = Breached::service(url);
        assert_eq!(list.contains(&digest(7)).await, Ok(true));
        assert_eq!(list.contains(&digest(8)).await, Ok(false));
        let nobody = Breached::service(Url::parse("http://127.0.0.1:1/").unwrap());
        assert!(nobody.contains(&digest(7)).await.is_err());
    }

    #[test]
    fn an_answer_is_read_with_what_fills_it_up() {
        let rest = &hex(&digest(3))[5..];
        let listed = format!("0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n{}:12\r\n", rest.to_lowercase());
        assert!(is_listed(&listed, rest));
        assert!(!is_listed(&listed.replace(":12", ":0"), rest), "padding");
        assert!(!is_listed("", rest) && !is_listed("<html>", rest));
    }
}
