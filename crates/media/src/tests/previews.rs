//! Previews, over a web that the test makes up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use myelin_model::Requester;
use myelin_store::schema::media::{PreviewImage, UrlPreview};
use serde_json::{Value, json};

use super::rig::{Rig, alice};
use super::thumbnails::photo;
use crate::{Fetch, FetchError, Fetched, PreviewError, Previews, Sought};

const PAGE: &str = "http://site.example/page.html";

/// What is where, and how often somebody looked.
#[derive(Default)]
struct MadeUpWeb {
    there: Mutex<HashMap<String, (String, Bytes)>>,
    fetched: AtomicUsize,
}

impl MadeUpWeb {
    fn put(&self, url: &str, content_type: &str, body: impl Into<Bytes>) {
        self.there.lock().unwrap().insert(url.to_owned(), (content_type.to_owned(), body.into()));
    }

    fn count(&self) -> usize {
        self.fetched.load(Ordering::SeqCst)
    }
}

impl Fetch for MadeUpWeb {
    fn fetch<'a>(&'a self, url: &'a str, sought: Sought) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        let found = self.there.lock().unwrap().get(url).cloned();
        Box::pin(async move {
            tokio::task::yield_now().await;
            if url.contains("inside") {
                return Err(FetchError::Refused);
            }
            let (content_type, mut body) = found.ok_or(FetchError::Status(404))?;
            let most = sought.most_bytes(&content_type);
            let is_whole = body.len() <= most;
            body.truncate(most);
            Ok(Fetched { url: url.to_owned(), content_type, body, is_whole })
        })
    }
}

fn open(rig: &Rig, web: &Arc<MadeUpWeb>) -> Previews {
    Previews::new(Arc::clone(&rig.media), Some(Arc::clone(web) as Arc<dyn Fetch>))
}

async fn rig() -> (Rig, Arc<MadeUpWeb>, Previews) {
    let (rig, web) = (Rig::new().await, Arc::new(MadeUpWeb::default()));
    let html = "<title>Page</title><meta property='og:image' content='a.png'>";
    web.put(PAGE, "text/html", html);
    web.put("http://site.example/a.png", "image/png", photo());
    let previews = open(&rig, &web);
    (rig, web, previews)
}

async fn preview(previews: &Previews, url: &str) -> Result<Value, PreviewError> {
    let text = previews.preview(&alice(), url).await?;
    Ok(serde_json::from_str(&text).unwrap())
}

fn image_of(preview: &Value) -> String {
    preview["og:image"].as_str().unwrap().strip_prefix("mxc://example.org/").unwrap().to_owned()
}

#[tokio::test]
async fn the_picture_of_a_page_is_kept_here_and_told_in_full() {
    let (rig, _, previews) = rig().await;
    let shown = preview(&previews, PAGE).await.unwrap();
    let image = image_of(&shown);
    let expected = json!({
        "og:title": "Page", "og:image": format!("mxc://example.org/{image}"), "og:image:type": "image/png",
        "og:image:width": 900, "og:image:height": 600, "matrix:image:size": photo().len(),
    });
    assert_eq!(shown, expected);
    assert_eq!(rig.download(&image).await.unwrap().1, photo());
    rig.settle().await;
    rig.assert_whole().await;
}

#[tokio::test]
async fn many_who_ask_at_once_and_later_cost_one_fetch_even_after_a_restart() {
    let (mut rig, web, previews) = rig().await;
    let all = join_all((0..50).map(|_| preview(&previews, PAGE))).await;
    assert!(all.iter().all(|one| one.as_ref().unwrap() == all[0].as_ref().unwrap()));
    assert_eq!(web.count(), 2, "the page and its picture");
    preview(&previews, "http://site.example/page.html#part").await.unwrap();
    rig.restart().await;
    let previews = open(&rig, &web);
    preview(&previews, PAGE).await.unwrap();
    assert_eq!(web.count(), 2);
    rig.clock.advance(Duration::from_secs(3600));
    let again = preview(&previews, PAGE).await.unwrap();
    assert_eq!((web.count(), &again), (4, all[0].as_ref().unwrap()), "the same picture keeps its URI");
    assert_eq!(rig.rows::<PreviewImage>().await.len(), 1);
    rig.settle().await;
    rig.assert_whole().await;
}

/// A web in which nothing ever answers, but one page.
struct Silence;

impl Fetch for Silence {
    fn fetch<'a>(&'a self, url: &'a str, _: Sought) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        Box::pin(async move {
            if !url.ends_with("answers") {
                return std::future::pending().await;
            }
            let body = Bytes::from_static(b"<title>here</title>");
            let content_type = "text/html".to_owned();
            Ok(Fetched { url: url.to_owned(), content_type, body, is_whole: true })
        })
    }
}

#[tokio::test]
async fn who_asks_for_pages_that_never_answer_holds_up_nobody_else() {
    let rig = Rig::new().await;
    let previews = Previews::new(Arc::clone(&rig.media), Some(Arc::new(Silence)));
    let urls: Vec<String> = (0..100).map(|n| format!("http://silent.example/{n}")).collect();
    let mut asked: Vec<_> = urls.iter().map(|url| Box::pin(preview(&previews, url))).collect();
    let mut waiting = 0;
    for one in &mut asked {
        waiting += usize::from(futures_util::poll!(one).is_pending());
    }
    assert_eq!(waiting, 64, "the others are refused");
    let bob = Requester { user_id: "@bob:example.org".try_into().unwrap(), ..alice() };
    assert!(previews.preview(&bob, "http://site.example/answers").await.is_ok());
}

#[tokio::test]
async fn a_page_that_can_not_be_had_is_left_alone_for_a_while() {
    let (rig, web, previews) = rig().await;
    let late = "http://site.example/late";
    for _ in 0..3 {
        assert!(matches!(preview(&previews, late).await, Err(PreviewError::Unreachable)));
    }
    assert_eq!(web.count(), 1);
    web.put(late, "text/html", "<title>late</title>");
    rig.clock.advance(Duration::from_secs(300));
    assert_eq!(preview(&previews, late).await.unwrap(), json!({"og:title": "late"}));
}

#[tokio::test]
async fn what_is_no_page_has_an_empty_preview_and_a_picture_is_its_own() {
    let (rig, web, previews) = rig().await;
    web.put("http://site.example/x.zip", "application/zip", &b"PK"[..]);
    assert_eq!(preview(&previews, "http://site.example/x.zip").await.unwrap(), json!({}));
    let shown = preview(&previews, "http://site.example/a.png").await.unwrap();
    assert_eq!((shown["og:image:width"].as_u64(), shown.get("og:title")), (Some(900), None));
    // What only claims to be a picture is not kept, nor one that a browser could run.
    for (name, content_type, body) in [
        ("liar.png", "image/png", "<script>"),
        ("draw.svg", "image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
    ] {
        let url = format!("http://site.example/{name}");
        web.put(&url, content_type, body);
        assert_eq!(preview(&previews, &url).await.unwrap(), json!({}));
    }
    let mut large = photo();
    large.resize((8 << 20) + 1, 0);
    web.put("http://site.example/large.png", "image/png", large);
    assert_eq!(preview(&previews, "http://site.example/large.png").await.unwrap(), json!({}));
    assert_eq!(rig.rows::<PreviewImage>().await.len(), 1);
    rig.settle().await;
    rig.assert_whole().await;
}

#[tokio::test]
async fn a_picture_that_is_not_allowed_or_not_there_is_left_out() {
    let (_rig, web, previews) = rig().await;
    for (n, image) in
        ["http://inside/a.png", "gone.png", "file:///etc/passwd", "data:image/png,x", ""].iter().enumerate()
    {
        let url = format!("http://site.example/{n}");
        web.put(&url, "text/html", format!("<title>T</title><meta property='og:image' content='{image}'>"));
        assert_eq!(preview(&previews, &url).await.unwrap(), json!({"og:title": "T"}), "{image}");
    }
}

#[tokio::test]
async fn only_urls_of_web_pages_are_asked_for() {
    let (rig, web, previews) = rig().await;
    let long = format!("http://site.example/{}", "x".repeat(2048));
    for url in
        ["", "nonsense", "ftp://x/", "file:///etc/passwd", "javascript:1", "http://u:p@site.example/", &long]
    {
        assert!(matches!(preview(&previews, url).await, Err(PreviewError::BadUrl)), "{url}");
    }
    assert!(matches!(preview(&previews, "http://inside/").await, Err(PreviewError::Refused)));
    assert_eq!(web.count(), 1);
    let off = Previews::new(Arc::clone(&rig.media), None);
    assert!(matches!(preview(&off, PAGE).await, Err(PreviewError::Off)));
}

#[tokio::test]
async fn pictures_go_when_they_are_old_and_come_again_when_they_are_needed() {
    let (rig, web, previews) = rig().await;
    let first = image_of(&preview(&previews, PAGE).await.unwrap());
    rig.clock.advance(Duration::from_secs(31 * 86_400));
    web.put("http://site.example/b.png", "image/png", {
        let mut other = photo();
        other.push(0);
        other
    });
    let second = image_of(&preview(&previews, "http://site.example/b.png").await.unwrap());
    assert_eq!(rig.download(&first).await, None);
    assert!(rig.download(&second).await.is_some());
    let again = image_of(&preview(&previews, PAGE).await.unwrap());
    assert!(again != first && rig.download(&again).await.is_some());
    assert_eq!(rig.rows::<PreviewImage>().await.len(), 2);
    assert_eq!(rig.rows::<UrlPreview>().await.len(), 2);
    rig.settle().await;
    rig.assert_whole().await;
}
