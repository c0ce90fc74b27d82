//! A blocking HTTP/1.1 client over one kept connection. The client shares the cores with the server it measures, so
//! it does as little as possible: one write and, mostly, one read a request, no runtime, no header map.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// How long an answer may take. The longest wait of a load is a sync of 30 s.
const PATIENCE: Duration = Duration::from_secs(90);
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 20;
/// How much is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// One connection to a server, opened when it is needed and kept.
pub(crate) struct Connection {
    address: String,
    stream: Option<TcpStream>,
    /// Bytes that were received and not yet consumed.
    received: Vec<u8>,
    piece: Box<[u8]>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Its lines, the first of which has the status.
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header, where it is there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named =
            |line: &str| line.split_once(':').is_some_and(|(said, _)| said.eq_ignore_ascii_case(name));
        self.head.split("\r\n").find(|line| named(line))?.split_once(':').map(|(_, value)| value.trim())
    }
}

/// What is sent.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'static str,
    pub(crate) path: &'a str,
    pub(crate) token: Option<&'a str>,
    /// As a browser sends them; empty where there are none.
    pub(crate) cookies: &'a str,
    /// What the body is.
    pub(crate) kind: &'static str,
    /// Empty where there is none.
    pub(crate) body: &'a str,
}

impl<'a> Request<'a> {
    /// A request without a body.
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: "GET", path, token: None, cookies: "", kind: "application/json", body: "" }
    }

    /// A request whose body is JSON.
    pub(crate) fn json(method: &'static str, path: &'a str, body: &'a str) -> Self {
        Self { method, body, ..Self::get(path) }
    }

    /// A form that is sent.
    pub(crate) fn form(path: &'a str, body: &'a str) -> Self {
        Self { method: "POST", kind: "application/x-www-form-urlencoded", body, ..Self::get(path) }
    }
}

/// The host and port of an `http://` address, with which a [`Connection`] is made.
pub(crate) fn authority(url: &str) -> Result<String> {
    let Some(rest) = url.strip_prefix("http://") else {
        bail!("`{url}` does not begin with http://: loads are run over plain HTTP, beside the server")
    };
    let authority = rest.trim_end_matches('/');
    if authority.is_empty() || authority.contains('/') {
        bail!("`{url}` must be a host and port, such as http://127.0.0.1:8008");
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { authority.to_owned() } else { format!("{authority}:80") })
}

impl Connection {
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), stream: None, received: Vec::new(), piece: vec![0; PIECE].into() }
    }

    /// Sends a request and waits for the whole answer. A kept connection that the server closed meanwhile is opened
    /// again, once.
    pub(crate) fn exchange(&mut self, request: &Request<'_>) -> Result<Answer> {
        let text = self.serialize(request);
        let was_kept = self.stream.is_some();
        match self.attempt(text.as_bytes()) {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) | Err(_) if was_kept && self.received.is_empty() => self.stream = None,
            Ok(None) => bail!("{} closed the connection without an answer", self.address),
            Err(error) => {
                self.stream = None;
                return Err(error).with_context(|| format!("{} {}", request.method, request.path));
            }
        }
        self.attempt(text.as_bytes())?
            .with_context(|| format!("{} closed the connection without an answer", self.address))
    }

    /// Sends a request and leaves the answer to [`receive_answer`](Self::receive_answer).
    pub(crate) fn send(&mut self, request: &Request<'_>) -> Result<()> {
        let text = self.serialize(request);
        self.open()?.write_all(text.as_bytes())?;
        Ok(())
    }

    /// The answer to what was sent.
    pub(crate) fn receive_answer(&mut self) -> Result<Answer> {
        self.receive()?.with_context(|| format!("{} closed the connection without an answer", self.address))
    }

    fn serialize(&self, request: &Request<'_>) -> String {
        let Request { method, path, token, cookies, kind, body } = request;
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if let Some(token) = token {
            text.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        if !cookies.is_empty() {
            text.push_str(&format!("Cookie: {cookies}\r\n"));
        }
        if !body.is_empty() || *method != "GET" {
            text.push_str(&format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        text
    }

    /// `None` where the server closed the connection before the first byte of an answer.
    fn attempt(&mut self, request: &[u8]) -> Result<Option<Answer>> {
        self.open()?.write_all(request)?;
        self.receive()
    }

    /// The connection, opened where there is none.
    fn open(&mut self) -> Result<&mut TcpStream> {
        if self.stream.is_none() {
            self.received.clear();
            let stream = TcpStream::connect(&self.address)
                .with_context(|| format!("cannot reach {}", self.address))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.stream = Some(stream);
        }
        self.stream.as_mut().context("no connection")
    }

    fn receive(&mut self) -> Result<Option<Answer>> {
        let end = loop {
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                break end;
            }
            if self.fill()? == 0 {
                if self.received.is_empty() {
                    return Ok(None);
                }
                bail!("the answer ended in its head");
            }
        };
        let text =
            std::str::from_utf8(&self.received[..end]).context("the head of the answer is not text")?;
        let (head, text) = (Head::parse(text)?, text.to_owned());
        self.received.drain(..end + 4);
        let body = match head.body {
            Body::Sized(length) => self.take(length)?,
            Body::Chunked => self.take_chunks()?,
            Body::UntilClosed => {
                while self.fill()? > 0 {}
                std::mem::take(&mut self.received)
            }
        };
        if head.closes {
            self.stream = None;
        }
        Ok(Some(Answer { status: head.status, head: text, body }))
    }

    /// Reads what is there, or waits for it. 0 at the end of the stream.
    fn fill(&mut self) -> Result<usize> {
        if self.received.len() > MAX_ANSWER {
            bail!("the answer has more than {MAX_ANSWER} bytes");
        }
        let stream = self.stream.as_mut().context("no connection")?;
        let length = stream.read(&mut self.piece).context("no answer came")?;
        self.received.extend_from_slice(&self.piece[..length]);
        Ok(length)
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        if length > MAX_ANSWER {
            bail!("the answer has more than {MAX_ANSWER} bytes");
        }
        while self.received.len() < length {
            if self.fill()? == 0 {
                bail!("the answer ended in its body");
            }
        }
        let rest = self.received.split_off(length);
        Ok(std::mem::replace(&mut self.received, rest))
    }

    fn take_chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.take_line()?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).context("a chunk has no size")?;
            if size == 0 {
                while !self.take_line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size)?);
            self.take_line()?;
            if body.len() > MAX_ANSWER {
                bail!("the answer has more than {MAX_ANSWER} bytes");
            }
        }
    }

    fn take_line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = find(&self.received, b"\r\n") {
                let line = self.take(end + 2)?;
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.fill()? == 0 {
                bail!("the answer ended in a chunk");
            }
        }
    }
}

/// What of an answer's head matters here.
struct Head {
    status: u16,
    body: Body,
    closes: bool,
}

/// How the end of a body is found (RFC 9112, section 6.3).
enum Body {
    Sized(usize),
    Chunked,
    UntilClosed,
}

impl Head {
    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let status = status.context("the answer has no status")?;
        let bodiless = matches!(status, 204 | 304);
        let mut head = Self {
            status,
            body: if bodiless { Body::Sized(0) } else { Body::UntilClosed },
            closes: !text.starts_with("HTTP/1.1"),
        };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") && !matches!(head.body, Body::Chunked) {
                head.body = Body::Sized(value.parse().context("the length of the answer is no number")?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked")
            {
                head.body = Body::Chunked;
            } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
                head.closes = true;
            }
        }
        head.closes |= matches!(head.body, Body::UntilClosed);
        Ok(head)
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// A value as it is written in a path or a query.
pub(crate) fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!:@$".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::{io::BufRead, io::BufReader, net::TcpListener, thread};

    use super::*;

    /// Serves these answers, one connection each; an answer ends its connection only where `closes` says so.
    fn serve(connections: &'static [&'static [&'static str]]) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for answers in connections {
                let (stream, _) = listener.accept().unwrap();
                let mut requests = BufReader::new(stream.try_clone().unwrap());
                for answer in *answers {
                    let mut line = String::new();
                    while requests.read_line(&mut line).unwrap() > 2 {
                        line.clear();
                    }
                    (&stream).write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        Connection::new(&address)
    }

    fn get(connection: &mut Connection) -> Result<(u16, String)> {
        let answer = connection.exchange(&Request::get("/"))?;
        Ok((answer.status, String::from_utf8(answer.body).unwrap()))
    }

    #[test]
    fn bodies_end_where_the_length_the_chunks_or_the_connection_say() {
        let mut connection = serve(&[&[
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
            "HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
            "HTTP/1.1 204 Nothing\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nto the end",
        ]]);
        assert_eq!(get(&mut connection).unwrap(), (200, "abc".to_owned()));
        assert_eq!(get(&mut connection).unwrap(), (401, "abcde".to_owned()));
        assert_eq!(get(&mut connection).unwrap(), (204, String::new()));
        assert_eq!(get(&mut connection).unwrap(), (200, "to the end".to_owned()));
    }

    #[test]
    fn a_kept_connection_that_was_closed_is_opened_again() {
        let mut connection = serve(&[
            &["HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na"],
            &["HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb"],
        ]);
        assert_eq!(get(&mut connection).unwrap().1, "a");
        assert_eq!(get(&mut connection).unwrap().1, "b");
    }

    #[test]
    fn half_an_answer_is_an_error() {
        let mut connection = serve(&[&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\na"]]);
        assert!(get(&mut connection).unwrap_err().to_string().contains("GET /"));
    }

    #[test]
    fn an_address_needs_a_host_and_no_path() {
        assert_eq!(authority("http://127.0.0.1:8008/").unwrap(), "127.0.0.1:8008");
        assert_eq!(authority("http://example.org").unwrap(), "example.org:80");
        assert!(authority("https://example.org").is_err());
        assert!(authority("http://example.org/path").is_err());
    }

    #[test]
    fn values_are_written_as_the_path_wants_them() {
        assert_eq!(encode("!a:b.c/d e"), "!a:b.c%2Fd%20e");
    }
}
