//! The door to the web, which the server opens: see [`Fetch`].

use std::error::Error;

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// The most of a page that is read, in bytes. What a preview needs stands at its beginning.
const MOST_OF_PAGE: usize = 1 << 20;
/// The largest picture that is taken, in bytes.
const MOST_OF_PICTURE: usize = 8 << 20;

/// Fetches what users name from the web. Whoever implements it sees to it that nobody reaches what is not public: only
/// HTTP and HTTPS, only allowed ports and addresses, on every redirect too; and that nothing takes too long.
pub trait Fetch: Send + Sync + 'static {
    /// Gets what is behind a URL.
    ///
    /// # Errors
    /// See [`FetchError`].
    fn fetch<'a>(&'a self, url: &'a str, sought: Sought) -> BoxFuture<'a, Result<Fetched, FetchError>>;
}

/// What is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// A page, or else a picture.
    Page,
    /// A picture.
    Picture,
}

impl Sought {
    /// How many bytes of something of this content type are read at most. Of what is of no use, none are.
    #[must_use]
    pub fn most_bytes(self, content_type: &str) -> usize {
        let kind = essence(content_type);
        if kind.starts_with("image/") {
            MOST_OF_PICTURE
        } else if self == Self::Page && is_page(&kind) {
            MOST_OF_PAGE
        } else {
            0
        }
    }
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it was in the end, after all redirects.
    pub url: String,
    /// The `Content-Type` header; empty where there is none.
    pub content_type: String,
    /// The bytes, up to [`Sought::most_bytes`].
    pub body: Bytes,
    /// Whether these are all.
    pub is_whole: bool,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It must not be: its scheme, its port or its address is not allowed.
    #[error("the address is not allowed")]
    Refused,
    /// It answered, but with an error.
    #[error("the answer has the status {0}")]
    Status(u16),
    /// It can't be reached, or does not answer well or in time.
    #[error("there is no answer")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// A content type without its parameters, in lower case.
pub(super) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

pub(super) fn is_page(essence: &str) -> bool {
    matches!(essence, "text/html" | "application/xhtml+xml")
}
