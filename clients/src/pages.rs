//! A person's browser without scripts, over the server's own pages: cookies, redirects, forms.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use reqwest::header::{ACCEPT_LANGUAGE, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, Url};

/// How many redirects within the server are followed.
const REDIRECTS: usize = 8;

/// A browser in which nobody is signed in.
pub struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

/// What it shows.
pub struct Page {
    url: Url,
    /// The markup.
    pub html: String,
}

/// What comes of opening an address or sending a form.
pub enum Shown {
    /// A page of the server.
    Page(Page),
    /// The browser is sent to an application.
    Sent(Url),
}

impl Browser {
    /// A fresh one.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new() -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { client, cookies: BTreeMap::new() })
    }

    /// Opens an address.
    ///
    /// # Errors
    /// When the server does not answer, or with none of its pages.
    pub async fn open(&mut self, url: Url) -> anyhow::Result<Shown> {
        self.go(Method::GET, url, String::new()).await
    }

    /// Fills in the form of a page and sends it, with what is hidden in it.
    ///
    /// # Errors
    /// The same.
    pub async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> anyhow::Result<Shown> {
        let mut form = Url::parse("form:")?;
        form.query_pairs_mut().extend_pairs(page.hidden()).extend_pairs(fields);
        let form = form.query().unwrap_or_default().to_owned();
        self.go(Method::POST, page.url.join(&page.action()?)?, form).await
    }

    async fn go(&mut self, mut method: Method, mut url: Url, mut body: String) -> anyhow::Result<Shown> {
        for _ in 0..REDIRECTS {
            let cookies: Vec<_> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut request = self.client.request(method, url.clone());
            request = request.header(COOKIE, cookies.join("; ")).header(ACCEPT_LANGUAGE, "en");
            if !body.is_empty() {
                request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            }
            let answer = request.body(std::mem::take(&mut body)).send().await?;
            for set in answer.headers().get_all(SET_COOKIE) {
                let pair = set.to_str()?.split("; ").next().unwrap_or_default();
                let (name, value) = pair.split_once('=').context("a cookie without a value")?;
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            let Some(place) = answer.headers().get(LOCATION) else {
                let html = answer.text().await?;
                ensure!(html.starts_with("<!DOCTYPE html>"), "no page: {html}");
                return Ok(Shown::Page(Page { url, html }));
            };
            let next = url.join(place.to_str()?)?;
            if next.origin() != url.origin() {
                return Ok(Shown::Sent(next));
            }
            (method, url) = (Method::GET, next);
        }
        anyhow::bail!("the server sends the browser round in circles: {url}")
    }
}

impl Shown {
    /// The page, which has this in its heading.
    ///
    /// # Errors
    /// When it is another one, or none.
    pub fn page(self, heading: &str) -> anyhow::Result<Page> {
        match self {
            Self::Page(page) => {
                let title = page.html.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next());
                ensure!(title.is_some_and(|title| title.contains(heading)), "another page: {}", page.html);
                Ok(page)
            }
            Self::Sent(url) => anyhow::bail!("no page, but {url}"),
        }
    }

    /// Where the browser is sent.
    ///
    /// # Errors
    /// When it is not.
    pub fn sent(self) -> anyhow::Result<Url> {
        match self {
            Self::Sent(url) => Ok(url),
            Self::Page(page) => anyhow::bail!("a page in place of the application: {}", page.html),
        }
    }
}

impl Page {
    fn action(&self) -> anyhow::Result<String> {
        attribute(self.form(), "action").context("a form that goes nowhere")
    }

    /// The last form: another one before it, if there is one, signs out.
    fn form(&self) -> &str {
        self.html.split("<form").skip(1).last().unwrap_or_default()
    }

    fn hidden(&self) -> Vec<(String, String)> {
        let inputs = self.form().split("<input").skip(1).filter(|input| input.contains("type=\"hidden\""));
        inputs.filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?))).collect()
    }
}

/// An attribute of the tag that a text begins with.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split('>').next()?;
    let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
    Some(value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}
