//! Pages for people: plain HTML without scripts, styles or pictures, which every browser and every reader shows.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

/// A page.
pub(crate) struct Page {
    /// The answer's status.
    pub(crate) status: StatusCode,
    /// Its title and heading.
    pub(crate) title: &'static str,
    /// What is below, as HTML: text from elsewhere must be [`escaped`].
    pub(crate) body: String,
    /// An origin that its form's answer may lead to, beside the server's own.
    pub(crate) form_leads_to: Option<String>,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let Self { status, title, body, form_leads_to } = self;
        let html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
        );
        let forms = form_leads_to.map(|origin| format!(" {origin}")).unwrap_or_default();
        let policy =
            format!("default-src 'none'; form-action 'self'{forms}; frame-ancestors 'none'; base-uri 'none'");
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, &policy),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (status, headers, html).into_response()
    }
}

/// Text that stands for itself in HTML, within quotes too.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn text_from_elsewhere_is_no_markup() {
        assert_eq!(escaped("o'neil&<b>\"@x"), "o&#39;neil&amp;&lt;b&gt;&quot;@x");
        assert_eq!(escaped("b\u{fc}cher"), "b\u{fc}cher");
    }
}
