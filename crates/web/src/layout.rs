//! What every page has: its frame, its style, and the headers that keep it to itself.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use myelin_language::Language;
use sha2::{Digest, Sha256};

use crate::brand::Brand;
use crate::pages::passkey_script;

/// The style of every page, within it: one request, and nothing else is loaded.
const STYLE: &str = include_str!("style.css");

/// By which the policy knows the style.
static STYLE_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(Sha256::digest(STYLE.as_bytes())));

/// The few words of a page that tells a client (client-server API, "Fallback"). They are within it as the style is: the page is there
/// without the pages that have scripts' addresses, too.
const TELLS: &str = include_str!("done.js");

/// By which the policy knows them.
static TELLS_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(Sha256::digest(TELLS.as_bytes())));

/// A page.
pub(crate) struct Page<'a> {
    /// Its language.
    pub(crate) language: Language,
    /// Whose page it is.
    pub(crate) brand: &'a Brand,
    /// The answer's status.
    pub(crate) status: StatusCode,
    /// Its title and heading.
    pub(crate) title: Markup,
    /// What is below the heading.
    pub(crate) body: Markup,
    /// Where the answer to its form may lead, beside the server itself.
    pub(crate) form_leads_to: Option<String>,
    /// Its script.
    pub(crate) script: Script,
    /// Whether it shows a picture that this server has.
    pub(crate) has_picture: bool,
}

/// Which script a page has.
pub(crate) enum Script {
    /// None, as most.
    None,
    /// The one that asks the browser for passkeys.
    Passkeys {
        /// By which the page's policy knows it.
        nonce: String,
    },
    /// The one that tells the client by which its reader came that they are done.
    Tells,
}

impl Script {
    /// What brings it into the page.
    fn tag(&self) -> Markup {
        match self {
            Self::None => html! {},
            Self::Passkeys { nonce } => passkey_script::tag(nonce),
            Self::Tells => html! { script { (PreEscaped(TELLS)) } },
        }
    }

    /// What the page's policy says of it.
    fn policy(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Passkeys { nonce } => format!(" script-src 'nonce-{nonce}';"),
            Self::Tells => format!(" script-src 'sha256-{}';", *TELLS_HASH),
        }
    }
}

impl<'a> Page<'a> {
    /// A page that has no script and shows no picture, and whose form leads nowhere else.
    pub(crate) fn plain(
        (language, brand): (Language, &'a Brand),
        status: StatusCode,
        title: Markup,
        body: Markup,
    ) -> Self {
        Self {
            language,
            brand,
            status,
            title,
            body,
            form_leads_to: None,
            script: Script::None,
            has_picture: false,
        }
    }
}

impl IntoResponse for Page<'_> {
    fn into_response(self) -> Response {
        let Self { language, brand, status, title, body, form_leads_to, script, has_picture } = self;
        let html = html! {
            (DOCTYPE)
            html lang=(language.tag()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    title { (text_of(&title)) " · " (brand.name()) }
                    style { (PreEscaped(STYLE)) }
                    (brand.style())
                    (script.tag())
                }
                body {
                    main {
                        (brand.head())
                        h1 { (title) }
                        (body)
                    }
                    (brand.foot(language))
                }
            }
        };
        let forms = form_leads_to.map(|place| format!(" {place}")).unwrap_or_default();
        let scripts = script.policy();
        let styles = brand.style_hash().map(|hash| format!(" 'sha256-{hash}'")).unwrap_or_default();
        let pictures = if has_picture || brand.has_logo() { " img-src 'self';" } else { "" };
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'{styles};{scripts}{pictures} form-action 'self'{forms}; frame-ancestors 'none'; \
             base-uri 'none'",
            *STYLE_HASH
        );
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, &policy),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::CACHE_CONTROL, "no-store"),
            // Not `no-referrer`: then a browser would not say where a form comes from.
            (header::REFERRER_POLICY, "same-origin"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (status, headers, html.into_string()).into_response()
    }
}

/// The text of a heading, for the window's title: its tags left out.
fn text_of(markup: &Markup) -> Markup {
    let (mut text, mut in_tag) = (String::new(), false);
    for letter in markup.0.chars() {
        match letter {
            '<' => in_tag = true,
            '>' => in_tag = false,
            letter if !in_tag => text.push(letter),
            _ => {}
        }
    }
    PreEscaped(text)
}

#[cfg(test)]
mod tests {
    use maud::html;

    use super::text_of;

    #[test]
    fn a_title_is_the_heading_without_its_tags() {
        let heading = html! { "Continue to " bdi { "<x> & y" } "?" };
        assert_eq!(text_of(&heading).into_string(), "Continue to &lt;x&gt; &amp; y?");
    }
}
