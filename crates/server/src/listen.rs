//! Listeners: plain HTTP and HTTPS, with a bound on connections and on how long a client may take over its headers.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use myelin_api::ClientAddress;
use myelin_runtime::Tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt};

use crate::config::Network;

/// How long a client may take to send the headers of a request, and to finish a TLS handshake.
const HEADERS: Duration = Duration::from_secs(15);
/// How many bytes of headers a request may have.
const HEADER_BYTES: usize = 32 * 1024;
/// How long requests may go on after the server was told to stop. Waiting syncs end by themselves at once.
const GRACE: Duration = Duration::from_secs(10);
/// How long a client may take nothing of what is written to it.
const TAKES_NOTHING: Duration = Duration::from_secs(60);

/// What HTTP/2 begins with where nothing was agreed on before, as far as it takes to tell it from any HTTP/1 request.
const HTTP2_PREFACE: &[u8] = b"PRI ";

/// What answers requests. It is cloned for each.
pub trait Answers:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> Answers for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// What all listeners share.
#[derive(Clone)]
pub struct Serving<S> {
    /// What answers.
    pub service: S,
    /// Tells when to stop.
    pub tasks: Tasks,
    /// Bounds open connections, over all listeners.
    pub connections: Arc<Semaphore>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub proxies: Arc<[Network]>,
}

/// Binds an address; the error says which.
///
/// # Errors
/// When the address is taken, not ours, or not permitted.
pub async fn bind(address: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "another program listens there already",
            io::ErrorKind::PermissionDenied => "this user may not listen on that port",
            io::ErrorKind::AddrNotAvailable => "this machine has no such address",
            _ => "the system refused",
        };
        io::Error::new(error.kind(), format!("can't listen on {address}: {hint} ({error})"))
    })
}

/// Accepts connections until the server stops, then lets the open ones finish for a while.
pub async fn serve<S: Answers>(listener: TcpListener, tls: Option<TlsAcceptor>, serving: Serving<S>) {
    let graceful = GracefulShutdown::new();
    let stopping = serving.tasks.stopping();
    tokio::pin!(stopping);
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&serving.connections).acquire_owned() => permit,
            () = &mut stopping => break,
        };
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopping => break,
        };
        match accepted {
            Ok((stream, peer)) => accept(stream, peer, permit, tls.clone(), &serving, graceful.watcher()),
            Err(error) => {
                // Out of file descriptors, most often: others must close before more can open.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

fn accept<S: Answers>(
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    tls: Option<TlsAcceptor>,
    serving: &Serving<S>,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    give_up_after(&stream, TAKES_NOTHING);
    let answering = Answering { peer: peer.ip(), serving: serving.clone(), watcher, _permit: permit };
    // Two tasks, for one that could be either would be as large as the larger.
    match tls {
        None => drop(tokio::spawn(plain(stream, answering))),
        Some(acceptor) => drop(tokio::spawn(secure(stream, acceptor, answering))),
    }
}

/// What a connection needs besides its stream.
struct Answering<S> {
    peer: IpAddr,
    serving: Serving<S>,
    watcher: Watcher,
    _permit: OwnedSemaphorePermit,
}

async fn plain<S: Answers>(stream: TcpStream, answering: Answering<S>) {
    let looked = tokio::select! {
        looked = tokio::time::timeout(HEADERS, look_ahead(&stream)) => looked,
        () = answering.serving.tasks.stopping() => return,
    };
    // A client that fails or stalls is nobody's news.
    if let Ok(Ok(speaks)) = looked {
        answering.answer(TokioIo::new(stream), speaks).await;
    }
}

async fn secure<S: Answers>(stream: TcpStream, acceptor: TlsAcceptor, answering: Answering<S>) {
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(HEADERS, acceptor.accept(stream)) => accepted,
        () = answering.serving.tasks.stopping() => return,
    };
    if let Ok(Ok(stream)) = accepted {
        let agreed = stream.get_ref().1.alpn_protocol();
        let speaks = if agreed == Some(b"h2") { Speaks::Http2 } else { Speaks::Http1 };
        answering.answer(TokioIo::new(stream), speaks).await;
    }
}

/// What the client of a connection speaks. Where that is known before anything is read, a connection takes half the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Http1,
    Http2,
    /// So little has come that it could be either.
    Either,
}

impl Speaks {
    fn from_start(start: &[u8]) -> Self {
        let same = start.iter().zip(HTTP2_PREFACE).take_while(|(came, preface)| came == preface).count();
        if same == HTTP2_PREFACE.len() {
            Self::Http2
        } else if same == start.len() {
            Self::Either
        } else {
            Self::Http1
        }
    }
}

/// Waits for the first bytes, which stay to be read.
async fn look_ahead(stream: &TcpStream) -> io::Result<Speaks> {
    let mut start = [0; HTTP2_PREFACE.len()];
    let came = stream.peek(&mut start).await?;
    if came == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Speaks::from_start(start.get(..came).unwrap_or_default()))
}

impl<S: Answers> Answering<S> {
    async fn answer<I>(self, io: I, speaks: Speaks)
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let Self { peer, serving: Serving { service, proxies, .. }, watcher, _permit } = self;
        let asked = Arc::new(AtomicBool::new(false));
        let asks = Arc::clone(&asked);
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            asks.store(true, Ordering::Relaxed);
            let address = client_address(peer, request.headers(), &proxies);
            request.extensions_mut().insert(ClientAddress(address));
            service.clone().oneshot(request.map(Body::new))
        });
        let connection = builder(speaks).serve_connection(io, service).into_owned();
        let mut connection = std::pin::pin!(watcher.watch(connection));
        // Clients hang up in the middle of things all the time. One that asks nothing is not waited for: HTTP/2's handshake has
        // no end of its own.
        let over = tokio::time::timeout(HEADERS, &mut connection).await.is_ok();
        if !over && asked.load(Ordering::Relaxed) {
            let _ = connection.await;
        }
    }
}

/// How connections are served.
fn builder(speaks: Speaks) -> Builder<TokioExecutor> {
    let mut builder = match speaks {
        Speaks::Http1 => Builder::new(TokioExecutor::new()).http1_only(),
        Speaks::Http2 => Builder::new(TokioExecutor::new()).http2_only(),
        Speaks::Either => Builder::new(TokioExecutor::new()),
    };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEADER_BYTES + 64 * 1024)
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES as u32)
        .max_concurrent_streams(256)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    builder
}

/// Closes the connection when what is written to it has not been taken for so long: a client that does not read its answers
/// keeps their memory no longer, and neither does one that is gone. A connection that waits, with nothing written, is left
/// alone.
fn give_up_after(stream: &TcpStream, unsent: Duration) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(unsent)) {
        tracing::debug!(%error, "a connection has no bound on how long its peer may take nothing");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, unsent);
}

/// Whose request it is: the peer's address, or what a trusted proxy says of the one before it.
fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let trusted = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut address = peer.to_canonical();
    let hops = headers.get_all("x-forwarded-for").into_iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).map(str::trim).collect();
    for hop in hops.into_iter().rev() {
        if !trusted(address) {
            break;
        }
        let Ok(previous) = hop.parse::<IpAddr>() else { break };
        address = previous.to_canonical();
    }
    address
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use axum::Router;
    use http::HeaderMap;
    use myelin_runtime::Env;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Semaphore;

    use super::{HEADERS, Serving, Speaks, client_address, give_up_after};
    use crate::config::Network;

    fn address(peer: &str, forwarded: &str, proxies: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        let proxies: Vec<Network> = proxies.iter().map(|text| text.parse().unwrap()).collect();
        let peer: IpAddr = peer.parse().unwrap();
        client_address(peer, &headers, &proxies).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_for_the_hop_before_it() {
        assert_eq!(address("9.9.9.9", "1.2.3.4", &[]), "9.9.9.9");
        assert_eq!(address("10.0.0.1", "1.2.3.4", &["10.0.0.0/8"]), "1.2.3.4");
        assert_eq!(
            address("10.0.0.1", "6.6.6.6, 1.2.3.4", &["10.0.0.0/8"]),
            "1.2.3.4",
            "the client's own claim"
        );
        assert_eq!(address("10.0.0.1", "1.2.3.4, 10.0.0.2", &["10.0.0.0/8"]), "1.2.3.4");
        assert_eq!(address("10.0.0.1", "nonsense", &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn the_first_bytes_tell_what_a_client_speaks() {
        assert_eq!(Speaks::from_start(b"PRI "), Speaks::Http2);
        assert_eq!(Speaks::from_start(b"GET "), Speaks::Http1);
        assert_eq!(Speaks::from_start(b"PUT "), Speaks::Http1);
        assert_eq!(Speaks::from_start(b"PRIC"), Speaks::Http1);
        assert_eq!(Speaks::from_start(b"PR"), Speaks::Either);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_is_asked_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Serving {
            service: Router::new(),
            tasks: Env::seeded(1).0.tasks,
            connections: Arc::new(Semaphore::new(8)),
            proxies: Arc::new([]),
        };
        tokio::spawn(super::serve(listener, None, serving));
        for start in ["", "P", "PRI ", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n"] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(start.as_bytes()).await.unwrap();
            let mut said = Vec::new();
            let ended = tokio::time::timeout(HEADERS * 3, client.read_to_end(&mut said)).await;
            assert!(ended.is_ok(), "after {start:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let reader = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut writer, _) = listener.accept().await.unwrap();
        give_up_after(&writer, Duration::from_millis(100));
        let written = async {
            let answer = vec![0; 1 << 20];
            while writer.write_all(&answer).await.is_ok() {}
        };
        let given_up = tokio::time::timeout(Duration::from_secs(60), written).await;
        assert!(given_up.is_ok(), "it would be written to for ever");
        drop(reader);
    }
}
