//! The operator's mail server, to which mails are handed over.

use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use myelin_auth::{Mail, MailError, Mailer};
use myelin_language::Language;
use ruma::ServerName;

/// How long the mail server may take for one step.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection for each mail: there are few.
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    server_name: String,
}

/// Which of the two settings can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadSmtp {
    Url,
    From,
}

impl Smtp {
    /// The way to the mail server at an `smtp://` or `smtps://` URL.
    ///
    /// # Errors
    /// What can't be understood.
    pub(crate) fn new(url: &str, from: &str, server_name: &ServerName) -> Result<Self, BadSmtp> {
        let host = server_name.host().to_owned();
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| BadSmtp::Url)?;
        let transport = transport.timeout(Some(PATIENCE)).hello_name(ClientId::Domain(host)).build();
        let from = from.parse().map_err(|_| BadSmtp::From)?;
        Ok(Self { transport, from, server_name: server_name.to_string() })
    }

    fn message(&self, mail: &Mail) -> Result<Message, MailError> {
        // Neither of these can say where the mail was to go: that is nobody's business who reads the log.
        let unwritable = |what: &str| MailError::Refused(format!("its {what} can't be written"));
        let to = mail.to.as_str().parse().map_err(|_| unwritable("address"))?;
        let written = &mail.written;
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(mail.at).unwrap_or_default());
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(written.subject.as_str())
            .date(at)
            .message_id(Some(format!("<{}@{}>", mail.id, self.server_name)))
            .header(AutoSubmitted)
            .header(ContentLanguage(written.language))
            .multipart(MultiPart::alternative_plain_html(
                written.text.expose().clone(),
                written.html.expose().clone(),
            ))
            .map_err(|_| unwritable("text"))
    }
}

impl Mailer for Smtp {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), MailError>> {
        Box::pin(async move {
            let message = self.message(mail)?;
            self.transport.send(message).await.map(drop).map_err(|error| failure(&error))
        })
    }
}

/// What went wrong, without what the mail server says, which may repeat the address.
fn failure(error: &lettre::transport::smtp::Error) -> MailError {
    match error.status() {
        Some(code) if error.is_permanent() => MailError::Refused(format!("it answered {code}")),
        Some(code) => MailError::Unreachable(format!("it answered {code}")),
        None if error.is_client() => MailError::Refused("the mail is none that it could take".to_owned()),
        None => MailError::Unreachable(innermost(error)),
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// No machine is to answer (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// What it is written in (RFC 3282).
#[derive(Clone)]
struct ContentLanguage(Language);

impl Header for ContentLanguage {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Content-Language")
    }

    fn parse(tag: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Language::of_tag(tag).map(Self).ok_or_else(|| "a language that nothing is written in".into())
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.tag().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use myelin_auth::{EmailAddress, Mail, Written};
    use myelin_language::Language;
    use myelin_runtime::Secret;
    use ruma::server_name;

    use super::Smtp;

    #[test]
    fn nothing_that_a_mail_says_becomes_a_header() {
        let from = "Example <noreply@example.org>";
        let smtp = Smtp::new("smtp://127.0.0.1", from, server_name!("example.org")).unwrap();
        let mail = Mail {
            to: EmailAddress::parse("alice@example.org").unwrap(),
            id: "1".to_owned(),
            at: 0,
            written: Written {
                language: Language::of_tag("fr").unwrap(),
                subject: "Été\r\nBcc: eve@example.org\r\n\r\nx".to_owned(),
                text: Secret::new("Bcc: eve@example.org\r\n\r\n.\r\nBcc: eve@example.org".to_owned()),
                html: Secret::new("<p>x</p>".to_owned()),
            },
        };
        let bytes = smtp.message(&mail).unwrap().formatted();
        let text = String::from_utf8(bytes).unwrap();
        let (headers, _) = text.split_once("\r\n\r\n").unwrap();
        let mut names: Vec<_> = headers
            .split("\r\n")
            .filter(|line| !line.starts_with(' '))
            .map(|line| line.split_once(':').unwrap().0)
            .collect();
        names.sort_unstable();
        let expected = [
            "Auto-Submitted",
            "Content-Language",
            "Content-Type",
            "Date",
            "From",
            "MIME-Version",
            "Message-ID",
            "Subject",
            "To",
        ];
        assert_eq!(names, expected, "{headers}");
        assert!(
            headers.contains("Content-Language: fr") && headers.contains("Auto-Submitted: auto-generated")
        );
    }
}
