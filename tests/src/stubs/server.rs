//! An HTTP/1.1 server small enough to misbehave precisely: it can stop in the middle of a chunk, never answer, and notice
//! when its client is gone.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

/// A test that waits longer than this for something to happen will never see it happen.
const PATIENCE: Duration = Duration::from_secs(20);
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `POST` and so on.
    pub method: String,
    /// Path and query as sent, nothing decoded.
    pub target: String,
    /// Names in lower case, values as sent.
    pub headers: Vec<(String, String)>,
    /// The body; `Null` if it is not JSON.
    pub body: Value,
}

impl Request {
    /// The first header of this name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// [`Request::target`] with its percent escapes decoded.
    #[must_use]
    pub fn path(&self) -> String {
        let mut bytes = self.target.bytes();
        let mut path = Vec::new();
        while let Some(byte) = bytes.next() {
            let digits =
                (byte == b'%').then(|| [bytes.next(), bytes.next()].map(|digit| digit.unwrap_or(b'0')));
            let decoded = digits
                .and_then(|digits| u8::from_str_radix(std::str::from_utf8(&digits).unwrap_or("3f"), 16).ok());
            path.push(decoded.unwrap_or(byte));
        }
        String::from_utf8_lossy(&path).into_owned()
    }
}

/// One thing that the server does to answer.
pub(super) enum Step {
    /// Sends these bytes as they are.
    Send(Vec<u8>),
    /// Sends these bytes again and again, as fast as the client reads, until it goes away.
    SendForEver(Vec<u8>),
    /// Waits until the test releases one request.
    AwaitRelease,
    /// Does nothing until the client goes away.
    Hang,
    /// Closes the connection, whatever was promised.
    Cut,
}

/// A whole response with its length in front.
pub(super) fn response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Step {
    let mut bytes = head(status, headers);
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    Step::Send(bytes)
}

/// The head of a response that comes in chunks.
pub(super) fn chunked_head(content_type: &str) -> Step {
    let mut bytes = head(200, &[("content-type", content_type)]);
    bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    Step::Send(bytes)
}

/// One chunk.
pub(super) fn chunk(data: &[u8]) -> Step {
    Step::Send(chunk_bytes(data))
}

/// The same chunk without end.
pub(super) fn endless_chunks(data: &[u8]) -> Step {
    Step::SendForEver(chunk_bytes(data))
}

fn chunk_bytes(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// The first half of a chunk that promises all of `data`.
pub(super) fn half_a_chunk(data: &[u8]) -> Step {
    Step::Send([format!("{:x}\r\n", data.len()).as_bytes(), &data[..data.len() / 2]].concat())
}

/// The end of a response in chunks.
pub(super) fn last_chunk() -> Step {
    Step::Send(b"0\r\n\r\n".to_vec())
}

fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Stub\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.into_bytes()
}

/// Behaviours for the requests to come, in order, and the one for all after them.
pub(super) struct Script<B> {
    next: Mutex<(VecDeque<B>, B)>,
}

impl<B: Clone> Script<B> {
    pub(super) fn new(default: B) -> Self {
        Self { next: Mutex::new((VecDeque::new(), default)) }
    }

    pub(super) fn extend(&self, behaviours: impl IntoIterator<Item = B>) {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).0.extend(behaviours);
    }

    pub(super) fn set_default(&self, behaviour: B) {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).1 = behaviour;
    }

    pub(super) fn next(&self) -> B {
        let mut script = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        script.0.pop_front().unwrap_or_else(|| script.1.clone())
    }
}

#[derive(Clone, Copy, Default)]
struct Counts {
    requests: usize,
    opened: usize,
    closed: usize,
}

type Respond = dyn Fn(&Request) -> Vec<Step> + Send + Sync;

struct Shared {
    answer: Box<Respond>,
    requests: Mutex<Vec<Request>>,
    counts: watch::Sender<Counts>,
    releases: Semaphore,
}

/// What every running stub can tell; dropping it closes every connection.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort(); // and with it, its connections
    }
}

impl Server {
    pub(super) async fn start(
        answer: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            requests: Mutex::default(),
            counts: watch::Sender::new(Counts::default()),
            releases: Semaphore::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far, in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets this many held requests go on, now or when they come.
    pub fn release(&self, requests: usize) {
        self.shared.releases.add_permits(requests);
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        let counts = *self.shared.counts.borrow();
        counts.opened - counts.closed
    }

    /// Waits until this many requests have come.
    ///
    /// # Panics
    ///
    /// When they do not come in 20 s.
    pub async fn wait_for_requests(&self, count: usize) {
        self.wait_until(|counts| counts.requests >= count, "requests").await;
    }

    /// Waits until this many connections have been closed since the start.
    ///
    /// # Panics
    ///
    /// When that does not happen in 20 s.
    pub async fn wait_until_closed(&self, count: usize) {
        self.wait_until(|counts| counts.closed >= count, "closed connections").await;
    }

    async fn wait_until(&self, condition: impl Fn(&Counts) -> bool, what: &str) {
        let mut counts = self.shared.counts.subscribe();
        let seen = timeout(PATIENCE, counts.wait_for(condition)).await;
        assert!(matches!(seen, Ok(Ok(_))), "the stub waited in vain for {what}");
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    shared.counts.send_modify(|counts| counts.opened += 1);
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move {
                        // However a connection ends, it is over: a client that went away is what tests wait for.
                        let _ = serve(stream, &shared).await;
                        shared.counts.send_modify(|counts| counts.closed += 1);
                    });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    while let Some(request) = receive(&mut stream, &mut received).await? {
        let steps = (shared.answer)(&request);
        shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        shared.counts.send_modify(|counts| counts.requests += 1);
        for step in steps {
            match step {
                Step::Send(bytes) => stream.write_all(&bytes).await?,
                Step::SendForEver(bytes) => loop {
                    stream.write_all(&bytes).await?;
                },
                Step::AwaitRelease => tokio::select! {
                    Ok(permit) = shared.releases.acquire() => permit.forget(),
                    () = gone(&mut stream, &mut received) => return Ok(()),
                },
                Step::Hang => {
                    gone(&mut stream, &mut received).await;
                    return Ok(());
                }
                Step::Cut => return Ok(()),
            }
        }
    }
    Ok(())
}

/// The next request; `None` when the client has closed the connection.
async fn receive(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let body_start = loop {
        if let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        if received.len() > MAX_HEAD_BYTES || stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&received[..body_start]).into_owned();
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method, target, headers, body: Value::Null };
    // Clients that send JSON know its length; none of ours sends chunks.
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let end = body_start + length;
    while received.len() < end {
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
    request.body = serde_json::from_slice(&received[body_start..end]).unwrap_or_default();
    received.drain(..end);
    Ok(Some(request))
}

/// Waits until the client has closed the connection.
async fn gone(stream: &mut TcpStream, received: &mut Vec<u8>) {
    while matches!(stream.read_buf(received).await, Ok(bytes) if bytes > 0) {}
}
