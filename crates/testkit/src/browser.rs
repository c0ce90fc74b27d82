//! A browser without scripts: cookies, redirects within the server, and forms.

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode, header};
use url::form_urlencoded::Serializer;

use crate::TestServer;

/// The largest page that is read: what a page may be.
const MOST: usize = 60 * 1024;
/// How many redirects within the server are followed.
const REDIRECTS: usize = 8;

/// A person's browser.
pub struct Browser<'s> {
    server: &'s TestServer,
    /// Its cookies.
    pub cookies: BTreeMap<String, String>,
    /// What it says of its languages.
    pub languages: String,
}

/// What a browser shows, or where it is sent outside of the server.
#[derive(Debug)]
pub struct Page {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The markup.
    pub html: String,
    /// Where it is, or, with a redirect to elsewhere, where it would go.
    pub url: String,
}

impl<'s> Browser<'s> {
    /// One in which nobody is signed in.
    #[must_use]
    pub fn new(server: &'s TestServer) -> Self {
        Self { server, cookies: BTreeMap::new(), languages: "en".to_owned() }
    }

    /// Opens a page of the server.
    pub async fn open(&mut self, path: &str) -> Page {
        self.go(Method::GET, path, None, &[]).await
    }

    /// Fills in the page's last form and sends it. What is hidden in it goes along.
    pub async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let mut form = Serializer::new(String::new());
        for (name, value) in page.hidden() {
            if !fields.iter().any(|(other, _)| *other == name) {
                form.append_pair(&name, &value);
            }
        }
        form.extend_pairs(fields);
        self.post(&page.action(), form.finish()).await
    }

    /// Sends a form as it is given.
    pub async fn post(&mut self, path: &str, form: String) -> Page {
        self.go(Method::POST, path, Some(form), &[]).await
    }

    /// Sends a form with a file, as a browser does whose form says `multipart/form-data` (RFC 7578).
    pub async fn upload(&mut self, path: &str, fields: &[(&str, &str)], name: &str, file: &[u8]) -> Page {
        const BOUNDARY: &str = "between-the-parts-of-a-form";
        let mut body = Vec::new();
        for (name, value) in fields {
            let part =
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"its name.bin\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        self.request(Method::POST, path, Some((&content_type, body)), &[]).await
    }

    /// A form as it is given, with more headers, and without going anywhere afterwards.
    ///
    /// # Panics
    /// When the request can't be built or the answer not be read, which fails the test.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        form: Option<String>,
        more: &[(&str, &str)],
    ) -> Page {
        let form = form.map(|form| ("application/x-www-form-urlencoded", form.into_bytes()));
        self.request(method, path, form, more).await
    }

    async fn request(
        &mut self,
        method: Method,
        path: &str,
        form: Option<(&str, Vec<u8>)>,
        more: &[(&str, &str)],
    ) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")
            .header(header::ACCEPT_LANGUAGE, &self.languages)
            .header(header::COOKIE, cookies.join("; "));
        if let Some((content_type, _)) = &form {
            request = request.header(header::CONTENT_TYPE, *content_type);
        }
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let body = form.map_or_else(Body::empty, |(_, form)| Body::from(form));
        let request = request.body(body).expect("the test's request is well-formed");
        let response = self.server.request(request).await;
        let (parts, body) = response.into_parts();
        for set in parts.headers.get_all(header::SET_COOKIE) {
            self.keep(set.to_str().expect("a cookie is text"));
        }
        let html = to_bytes(body, MOST).await.expect("a page is small");
        let html = String::from_utf8(html.to_vec()).expect("a page is text");
        Page { status: parts.status, headers: parts.headers, html, url: path.to_owned() }
    }

    async fn go(&mut self, method: Method, path: &str, form: Option<String>, more: &[(&str, &str)]) -> Page {
        let mut page = self.send(method, path, form, more).await;
        for _ in 0..REDIRECTS {
            let Some(place) = page.location() else { return page };
            if !place.starts_with('/') {
                page.url = place;
                return page;
            }
            page = self.send(Method::GET, &place, None, &[]).await;
        }
        panic!("the server sends the browser round in circles: {}", page.url)
    }

    fn keep(&mut self, set: &str) {
        let mut parts = set.split("; ");
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        if parts.any(|part| part == "Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

impl Page {
    /// Where it sends the browser, if it does.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        let place = self.headers.get(header::LOCATION)?.to_str().ok()?;
        Some(place.to_owned())
    }

    /// Where its last form goes.
    #[must_use]
    pub fn action(&self) -> String {
        let Some(action) = attribute(self.form(), "action") else { return self.url.clone() };
        if action.is_empty() || action.starts_with(['/', '?']) {
            return action;
        }
        // Relative to the page.
        let (path, _) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let (folder, _) = path.rsplit_once('/').unwrap_or_default();
        format!("{folder}/{action}")
    }

    /// The hidden fields of its last form.
    #[must_use]
    pub fn hidden(&self) -> Vec<(String, String)> {
        let inputs = self.form().split("<input").skip(1).filter(|input| input.contains("type=\"hidden\""));
        inputs.filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?))).collect()
    }

    fn form(&self) -> &str {
        let forms = self.html.split("<form").skip(1);
        let form = forms.last().unwrap_or_else(|| panic!("no form: {}", self.html));
        form.split("</form>").next().unwrap_or_default()
    }

    /// A parameter of the place that it sends the browser to, in the query or in the fragment.
    #[must_use]
    pub fn sent(&self, name: &str) -> Option<String> {
        parameter(&self.url, name)
    }

    /// Where its first link leads.
    #[must_use]
    pub fn back(&self) -> String {
        self.html.split("<a").nth(1).and_then(|link| attribute(link, "href")).unwrap_or_default()
    }

    /// The same of that link.
    #[must_use]
    pub fn told(&self, name: &str) -> Option<String> {
        parameter(&self.back(), name)
    }
}

fn parameter(url: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let parts = [url.query(), url.fragment()].into_iter().flatten();
    let mut pairs = parts.flat_map(|part| url::form_urlencoded::parse(part.as_bytes()));
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// An attribute of the tag that a text begins with.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split('>').next()?;
    let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
    Some(value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}
