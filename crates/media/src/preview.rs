//! Previews of web pages (client-server API, `GET /_matrix/client/v1/media/preview_url`): fetched once however many ask,
//! and kept for a while.

mod cache;
mod fetch;
mod images;
mod page;

use std::collections::HashMap;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::Shared;
use myelin_model::{Requester, Shard};
use ruma::OwnedUserId;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, oneshot};
use url::Url;

use crate::{Media, StorageError};
use fetch::{essence, is_page};
use images::{Image, Stock};
use page::Page;

pub use fetch::{Fetch, FetchError, Fetched, Sought};

/// The longest URL that is looked at, in bytes.
const MOST_URL: usize = 2048;
/// How many pages are fetched at once.
const AT_ONCE: usize = 32;
/// How many of them for one user, and those who share a shard with them: pages that never end hold up nobody else's.
const AT_ONCE_FOR_USER: usize = 8;
/// How many previews may be under way, waiting ones included.
const UNDER_WAY: usize = 256;
/// How many of them for one user.
const UNDER_WAY_FOR_USER: usize = 64;

/// Why there is no preview.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PreviewError {
    /// The operator has turned previews off.
    #[error("previews are turned off")]
    Off,
    /// It is no URL of a web page.
    #[error("this is no URL of a web page")]
    BadUrl,
    /// What it names is not public.
    #[error("the address of the page is not allowed")]
    Refused,
    /// The page can't be had.
    #[error("the page can't be fetched")]
    Unreachable,
    /// Too many previews are being made.
    #[error("too many previews are being made at the moment")]
    Busy,
    /// The preview can't be stored or read. Those who wait for one preview share the error.
    #[error("the preview can't be stored or read")]
    Storage(#[source] Arc<StorageError>),
}

impl<E: Into<StorageError>> From<E> for PreviewError {
    fn from(error: E) -> Self {
        Self::Storage(Arc::new(error.into()))
    }
}

impl From<FetchError> for PreviewError {
    fn from(error: FetchError) -> Self {
        // Pages fail for reasons of their own, so nobody need be told but who looks for one.
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a page could not be fetched for a preview"
        );
        match error {
            FetchError::Refused => Self::Refused,
            FetchError::Status(_) | FetchError::Failed(_) => Self::Unreachable,
        }
    }
}

/// A preview: a JSON object of OpenGraph properties, as clients get it.
type Outcome = Result<Arc<str>, PreviewError>;
/// What those wait for who want the same preview; an error where the job panicked.
type Job = Shared<oneshot::Receiver<Outcome>>;

/// The service of previews.
pub struct Previews {
    desk: Arc<Desk>,
}

struct Desk {
    media: Arc<Media>,
    fetch: Option<Arc<dyn Fetch>>,
    fetching: Semaphore,
    /// By the user's shard.
    fetching_for: Vec<Semaphore>,
    under_way: Mutex<HashMap<String, (Job, OwnedUserId)>>,
    stock: Stock,
}

impl Previews {
    /// The service, which keeps the pictures of pages in `media`. Without a door to the web there are no previews.
    #[must_use]
    pub fn new(media: Arc<Media>, fetch: Option<Arc<dyn Fetch>>) -> Self {
        let stock = Stock::default();
        let desk = Desk {
            media,
            fetch,
            fetching: Semaphore::new(AT_ONCE),
            fetching_for: Shard::all().map(|_| Semaphore::new(AT_ONCE_FOR_USER)).collect(),
            under_way: Mutex::default(),
            stock,
        };
        Self { desk: Arc::new(desk) }
    }

    /// What there is to show of a URL: a JSON object, which is empty where the page says nothing of itself.
    ///
    /// # Errors
    /// See [`PreviewError`].
    pub async fn preview(&self, requester: &Requester, url: &str) -> Result<Arc<str>, PreviewError> {
        if self.desk.fetch.is_none() {
            return Err(PreviewError::Off);
        }
        let url = parse(url)?;
        if let Some(found) = self.desk.find(&url).await? {
            return found.ok_or(PreviewError::Unreachable);
        }
        let job = self.desk.join(&url, &requester.user_id)?;
        job.await.unwrap_or_else(|_| Err(StorageError::Abandoned.into()))
    }
}

/// Only what a browser would open from a message; never with a password in it.
fn parse(text: &str) -> Result<Url, PreviewError> {
    if text.len() > MOST_URL {
        return Err(PreviewError::BadUrl);
    }
    let mut url = Url::parse(text).map_err(|_| PreviewError::BadUrl)?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    if !is_web || !url.username().is_empty() || url.password().is_some() {
        return Err(PreviewError::BadUrl);
    }
    url.set_fragment(None);
    Ok(url)
}

impl Desk {
    fn under_way(&self) -> MutexGuard<'_, HashMap<String, (Job, OwnedUserId)>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job that makes this preview: the one under way, or a new one, which goes on when nobody waits any more.
    fn join(self: &Arc<Self>, url: &Url, user_id: &OwnedUserId) -> Result<Job, PreviewError> {
        let mut under_way = self.under_way();
        if let Some((job, _)) = under_way.get(url.as_str()) {
            return Ok(job.clone());
        }
        let own = under_way.values().filter(|(_, whose)| whose == user_id).count();
        if under_way.len() >= UNDER_WAY || own >= UNDER_WAY_FOR_USER {
            return Err(PreviewError::Busy);
        }
        let (done, outcome) = oneshot::channel();
        let job = outcome.shared();
        under_way.insert(url.as_str().to_owned(), (job.clone(), user_id.clone()));
        drop(under_way);
        let (end, user_id) = (JobEnd { desk: Arc::clone(self), url: url.clone() }, user_id.clone());
        self.media.env.tasks.spawn("media.preview", async move {
            let outcome = end.desk.make(&end.url, &user_id).await;
            drop(end);
            // Nobody listens where everybody hung up.
            drop(done.send(outcome));
        });
        Ok(job)
    }

    async fn make(&self, url: &Url, user_id: &OwnedUserId) -> Outcome {
        let shard = usize::from(Shard::of(user_id.as_str()).number());
        let own = self.fetching_for.get(shard).ok_or(PreviewError::Busy)?;
        let _own_turn = own.acquire().await.map_err(|_| PreviewError::Busy)?;
        let _turn = self.fetching.acquire().await.map_err(|_| PreviewError::Busy)?;
        // Whoever came just after the last job ended finds its work here.
        if let Some(found) = self.find(url).await? {
            return found.ok_or(PreviewError::Unreachable);
        }
        match self.look(url, user_id).await {
            Ok((answer, image)) => {
                self.remember(url, Some(&answer), image.map(|image| image.media_id)).await?;
                Ok(answer.into())
            }
            Err(PreviewError::Unreachable) => {
                self.remember(url, None, None).await?;
                Err(PreviewError::Unreachable)
            }
            Err(error) => Err(error),
        }
    }

    async fn look(&self, url: &Url, user_id: &OwnedUserId) -> Result<(String, Option<Image>), PreviewError> {
        let fetch = self.fetch.as_ref().ok_or(PreviewError::Off)?;
        let fetched = fetch.fetch(url.as_str(), Sought::Page).await?;
        let kind = essence(&fetched.content_type);
        let (page, picture) = if is_page(&kind) {
            let page = self.read(&fetched).await?;
            let picture = self.picture(&fetched.url, &page).await;
            (page, picture)
        } else {
            (Page::default(), Some(fetched))
        };
        let image = match picture {
            Some(picture) if picture.is_whole => {
                let before = self.image_before(url).await?;
                self.keep_image(user_id, picture.body, before).await?
            }
            _ => None,
        };
        Ok((answer(page, image.as_ref()), image))
    }

    async fn read(&self, fetched: &Fetched) -> Result<Page, PreviewError> {
        let (body, content_type) = (fetched.body.clone(), fetched.content_type.clone());
        // A panic of the parser costs one preview; the panic hook has logged it.
        let work = move || catch_unwind(|| page::read(&body, &content_type)).unwrap_or_default();
        self.media.env.cpu.run(work).await.map_err(|_| PreviewError::Busy)
    }

    /// The picture that a page names. One that can't be had is left out.
    async fn picture(&self, base: &str, page: &Page) -> Option<Fetched> {
        let named = Url::parse(base).ok()?.join(page.image.as_deref()?).ok()?;
        let url = parse(named.as_str()).ok()?;
        self.fetch.as_ref()?.fetch(url.as_str(), Sought::Picture).await.ok()
    }
}

fn answer(page: Page, image: Option<&Image>) -> String {
    let mut answer: Map<String, Value> =
        page.properties.into_iter().map(|(name, value)| (name, value.into())).collect();
    if let Some(image) = image {
        answer.insert("og:image".to_owned(), image.uri.as_str().into());
        answer.insert("og:image:type".to_owned(), image.content_type.into());
        answer.insert("og:image:width".to_owned(), image.width.into());
        answer.insert("og:image:height".to_owned(), image.height.into());
        answer.insert("matrix:image:size".to_owned(), image.size.into());
    }
    Value::Object(answer).to_string()
}

/// Takes the job off the list when it ends, however it ends.
struct JobEnd {
    desk: Arc<Desk>,
    url: Url,
}

impl Drop for JobEnd {
    fn drop(&mut self) {
        self.desk.under_way().remove(self.url.as_str());
    }
}
