//! Mails: what they say, and the way out.

use futures_util::future::BoxFuture;
use maud::{DOCTYPE, html};
use myelin_language::{Language, fill};
use myelin_runtime::Secret;
use myelin_store::schema::auth::EmailPurpose;
use ruma::{ServerName, UserId};

use super::address::EmailAddress;
use super::messages::{Confirm, Messages};
use crate::factor::notice::Change;

/// A mail to be sent.
#[derive(Clone, Debug)]
pub struct Mail {
    /// To whom.
    pub to: EmailAddress,
    /// What its `Message-ID` is before the `@`: the same however often it is tried.
    pub id: String,
    /// When it was written, in milliseconds since the Unix epoch.
    pub at: i64,
    /// What it says.
    pub written: Written,
}

/// What a mail says, in a language.
#[derive(Clone, Debug)]
pub struct Written {
    /// Which.
    pub language: Language,
    /// What it is about: one line.
    pub subject: String,
    /// What it says. Whoever reads it has the mailbox, so nobody else may.
    pub text: Secret<String>,
    /// The same as an HTML page, which loads nothing.
    pub html: Secret<String>,
}

/// Why a mail is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The mail server will not take it.
    #[error("the mail server refused it: {0}")]
    Refused(String),
    /// The mail server can't take it now, or can't be reached.
    #[error("the mail server can't be reached or is busy: {0}")]
    Unreachable(String),
}

/// The way to the mail server.
pub trait Mailer: Send + Sync + 'static {
    /// Hands one mail over.
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), MailError>>;
}

/// What a mail is for.
pub(crate) enum Letter<'a> {
    /// It carries the link by which its reader shows that the mailbox is theirs, for an account that is to be made or have it.
    Confirm { purpose: EmailPurpose, link: &'a str },
    /// The same for a new password, of whose account.
    Reset { account: &'a UserId, link: &'a str },
    /// The address belongs to an account already.
    Taken { purpose: EmailPurpose, account: &'a UserId },
    /// Something about how its reader signs in has changed.
    Changed { account: &'a UserId, change: Change },
}

/// Whose server writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender<'a> {
    /// What people call the service; mails are headed by it, and tell by their subject where they are from.
    pub(crate) called: &'a str,
    /// The server's name, which their texts have, where it matters which server is meant.
    pub(crate) server_name: &'a ServerName,
}

/// A part of what a mail says.
enum Part<'a> {
    Text(String),
    /// The page that is to be opened, and what it is called.
    Link(&'a str, &'a str),
}

impl<'a> Letter<'a> {
    /// It in a language, without the addressee.
    pub(crate) fn written(&self, language: Language, sender: Sender<'_>) -> Written {
        let say = Messages::of(language);
        let (subject, parts) = self.parts(say, sender);
        Written {
            language,
            text: Secret::new(text(&parts)),
            html: Secret::new(html(&subject, language, sender, &parts)),
            subject,
        }
    }

    fn parts(&self, say: &'static Messages, sender: Sender<'_>) -> (String, Vec<Part<'a>>) {
        let Messages { common, confirm, taken, changed } = say;
        let server = sender.server_name.as_str();
        let about = |message: &str, account: &UserId| {
            fill(message, &[("server", server), ("account", account.as_str())])
        };
        let of_server = |message: &str| fill(message, &[("server", server)]);
        let (subject, mut said, end) = match self {
            Self::Confirm { purpose, link } => {
                let asked = if *purpose == EmailPurpose::Register { &confirm.register } else { &confirm.add };
                (&confirm.subject, link_to(of_server(asked), confirm, link), &common.not_you)
            }
            Self::Reset { account, link } => {
                let asked = about(&confirm.reset, account);
                (&confirm.subject_reset, link_to(asked, confirm, link), &common.not_you)
            }
            Self::Taken { purpose, account } => {
                let asked = if *purpose == EmailPurpose::Register { &taken.register } else { &taken.add };
                let said = vec![Part::Text(about(asked, account)), Part::Text(taken.log_in.clone())];
                (&taken.subject, said, &common.not_you)
            }
            Self::Changed { account, change } => {
                let told = Part::Text(change.told(changed).to_owned());
                let said = vec![told, Part::Text(about(&changed.account, account))];
                (&changed.subject, said, &changed.was_you)
            }
        };
        said.insert(0, Part::Text(common.hello.clone()));
        said.push(Part::Text(end.clone()));
        (fill(subject, &[("service", sender.called)]), said)
    }
}

fn link_to<'a>(asked: String, confirm: &'static Confirm, link: &'a str) -> Vec<Part<'a>> {
    vec![
        Part::Text(asked),
        Part::Text(confirm.open.clone()),
        Part::Link(link, &confirm.button),
        Part::Text(confirm.after.clone()),
    ]
}

fn text(parts: &[Part<'_>]) -> String {
    let mut text = String::new();
    for part in parts {
        let part = match part {
            Part::Text(said) => said,
            Part::Link(link, _) => *link,
        };
        text.push_str(part);
        text.push_str("\n\n");
    }
    text.pop();
    text
}

/// The same as a page that loads nothing: programs that show mails know neither scripts nor sheets of styles.
fn html(subject: &str, language: Language, sender: Sender<'_>, parts: &[Part<'_>]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang=(language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (subject) }
            }
            body style="margin:0;padding:24px;font:16px/1.5 system-ui,sans-serif" {
                div style="max-width:560px;margin:0 auto" {
                    p { strong { (sender.called) } }
                    @for part in parts {
                        p {
                            @match part {
                                Part::Text(said) => (said),
                                Part::Link(link, name) => a href=(link) style=(BUTTON) { (name) },
                            }
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}

/// How a link looks that is to be pressed: as the buttons of the pages, in light and dark.
const BUTTON: &str = "display:inline-block;padding:12px 24px;border-radius:10px;background:#0b6b53;color:#ffffff;\
                      font-weight:600;text-decoration:none";

#[cfg(test)]
mod tests {
    use myelin_language::{LOCALES, Language};
    use myelin_store::schema::auth::EmailPurpose;
    use ruma::{server_name, user_id};

    use super::{Letter, Sender};
    use crate::factor::notice::Change;

    const LINK: &str = "https://example.org/page?token=a&b=<c>";

    #[test]
    fn text_and_page_say_the_same_in_every_language_and_the_page_loads_nothing() {
        let account = user_id!("@o'neil&co:example.org");
        let sender = Sender { called: "Cats & Co", server_name: server_name!("example.org") };
        let mut subjects = Vec::new();
        for language in LOCALES.map(|tag| Language::of_tag(tag).unwrap()) {
            for letter in [
                Letter::Confirm { purpose: EmailPurpose::Register, link: LINK },
                Letter::Confirm { purpose: EmailPurpose::Add, link: LINK },
                Letter::Reset { account, link: LINK },
                Letter::Taken { purpose: EmailPurpose::Register, account },
                Letter::Taken { purpose: EmailPurpose::Add, account },
                Letter::Changed { account, change: Change::TotpAdded },
            ] {
                let written = letter.written(language, sender);
                let (text, html) = (written.text.expose(), written.html.expose());
                let has_link = matches!(letter, Letter::Confirm { .. } | Letter::Reset { .. });
                assert_eq!(text.matches(LINK).count(), usize::from(has_link), "{text}");
                let escaped = "<a href=\"https://example.org/page?token=a&amp;b=&lt;c&gt;\"";
                assert_eq!(html.matches(escaped).count(), usize::from(has_link), "{html}");
                for paragraph in text.trim().split("\n\n").filter(|paragraph| *paragraph != LINK) {
                    let paragraph = paragraph.replace('&', "&amp;");
                    assert!(html.contains(&format!("<p>{paragraph}</p>")), "{paragraph} in {html}");
                }
                for loads in ["src=", "<link", "<img", "url(", "@import", "<script", "{"] {
                    assert!(!html.contains(loads), "{loads}: {html}");
                }
                assert!(html.contains(&format!("<html lang=\"{}\">", language.tag())) && !text.contains('{'));
                assert!(written.subject.contains("Cats & Co") && !written.subject.contains('\n'));
                assert!(html.contains("<strong>Cats &amp; Co</strong>") && text.contains("example.org"));
                subjects.push(written.subject);
            }
        }
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!(subjects.len(), 4 * LOCALES.len(), "each in its language: {subjects:?}");
    }
}
