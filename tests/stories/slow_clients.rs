//! Clients that say nothing, say half, or do not listen: none of them keeps its place for long.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use e2e::{
    caller::{Caller, Reply},
    ledger_file::{Outcome, rows},
    programs::PATIENCE,
    stubs::openai::{Behaviour, OpenAiStub},
    world::{ServerB, ServerBSettings},
};
use reqwest::{Client, header::HeaderMap};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{MissedTickBehavior, interval, timeout},
};

type Story = anyhow::Result<()>;

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: server-b\r\n\r\n";
/// Of the size at which a few hundred are more than all buffers between two programs hold.
const PIECE_BYTES: usize = 16 << 10;

fn question() -> Value {
    json!({"message": "What is Python?"})
}

fn piece() -> String {
    format!("{} ", "x".repeat(PIECE_BYTES - 1))
}

/// A connection that has sent `text`, and whose system takes in about `ahead` bytes more than are read.
async fn connect(server: &ServerB, text: &str, ahead: usize) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(u32::try_from(ahead)?)?;
    let mut connection = socket.connect(server.address()).await?;
    connection.write_all(text.as_bytes()).await?;
    Ok(connection)
}

/// A request whose answer ends with its connection, and so comes without the frames of chunks.
async fn ask_for_stream(server: &ServerB, ahead: usize) -> anyhow::Result<TcpStream> {
    let body = question().to_string();
    let head = "POST /stream HTTP/1.0\r\ncontent-type: application/json";
    connect(server, &format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()), ahead).await
}

/// What still comes on a connection until the other side closes it.
async fn until_closed(mut connection: TcpStream) -> anyhow::Result<String> {
    let mut heard = Vec::new();
    let closed = timeout(PATIENCE, connection.read_to_end(&mut heard)).await;
    // A reset closes a connection as well.
    let _ = closed.context("the connection stays open")?;
    Ok(String::from_utf8(heard)?)
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_only_half_is_closed_and_its_place_is_free() -> Story {
    let settings = ServerBSettings::new()?.with("MAX_CONNECTIONS", 2).with("CONNECTION_IDLE_SECONDS", 1);
    let server = settings.start()?;
    // More than there are places: the later ones wait until the earlier ones are closed.
    let mut connections = Vec::new();
    for text in ["", "PRI * HT", "GET /health HT", HEALTH] {
        connections.push((text, connect(&server, text, PIECE_BYTES).await?));
    }

    for (text, connection) in connections {
        let heard = until_closed(connection).await.with_context(|| format!("after `{text}`"))?;
        assert_eq!(heard.starts_with("HTTP/1.1 200"), text == HEALTH, "{text}: {heard}");
    }

    assert_eq!(Caller::new(&server)?.about("/health").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_takes_longer_than_a_connection_may_be_silent_arrives() -> Story {
    let settings = ServerBSettings::new()?.with("CONNECTION_IDLE_SECONDS", 1).with("MOCK_DELAY_MS", 2500);
    let server = settings.start()?;
    let answer = Reply::of(Caller::new(&server)?.process(&question())).await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    Ok(())
}

/// A server-b with one place for messages, and a provider that talks for as long as somebody listens.
struct Talking {
    stub: OpenAiStub,
    settings: ServerBSettings,
    server: ServerB,
}

impl Talking {
    async fn start() -> anyhow::Result<Self> {
        let stub = OpenAiStub::start().await?;
        stub.script([Behaviour::Endless(piece())]);
        let settings = ServerBSettings::new()?
            .with_openai(&stub.base_url())
            .with("MAX_CONCURRENT_REQUESTS", 1)
            .with("STREAM_STALL_SECONDS", 0.5)
            .with("SHUTDOWN_GRACE_SECONDS", 3_600); // nobody's deafness may use it up
        let server = settings.start()?;
        Ok(Self { stub, settings, server })
    }

    /// Waits until the provider has been hung up on and the next message is answered.
    async fn until_over(&self) -> Story {
        self.stub.wait_until_closed(1).await;
        let caller = Caller::new(&self.server)?;
        let freed = async {
            // Every refusal is a whole answer.
            while Reply::of(caller.process(&question())).await?.status != 200 {}
            anyhow::Ok(())
        };
        timeout(PATIENCE, freed).await.context("the place is never free again")?
    }

    /// Stops server-b, and gives the answer of which only a part was taken.
    fn recorded(self) -> anyhow::Result<String> {
        self.server.stop()?;
        let mut recorded = rows(&self.settings.ledger())?;
        let outcomes: Vec<_> = recorded.iter().map(|row| row.outcome).collect();
        assert_eq!(outcomes, [Outcome::Cancelled, Outcome::Answered]);
        Ok(recorded.swap_remove(0).answer)
    }
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_cut_off_and_what_was_sent_is_on_the_bill() -> Story {
    let talking = Talking::start().await?;
    let deaf = ask_for_stream(&talking.server, PIECE_BYTES).await?;

    talking.until_over().await?;

    let heard = until_closed(deaf).await?;
    assert!(!heard.contains("[DONE]"), "half an answer must not look like a whole one");
    let heard = heard.matches(&piece()).count();
    let recorded = talking.recorded()?;
    let sent = recorded.len() / PIECE_BYTES;
    assert_eq!(recorded, piece().repeat(sent), "whole pieces, each once");
    assert!(sent > 0 && heard <= sent, "{heard} of {sent} were heard");
    Ok(())
}

#[tokio::test]
async fn a_reader_that_never_reads_again_does_not_hold_up_the_end_of_the_server() -> Story {
    let talking = Talking::start().await?;
    let deaf = ask_for_stream(&talking.server, PIECE_BYTES).await?;
    talking.until_over().await?;
    assert!(!talking.recorded()?.is_empty());
    drop(deaf); // deaf, but there until now
    Ok(())
}

// Its client says goodbye while the test waits for server-b to stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_reading_is_cut_off_over_http_2_too() -> Story {
    let talking = Talking::start().await?;
    let client = Client::builder().no_proxy().http2_prior_knowledge().build()?;
    let deaf = client.post(talking.server.url("/stream")).json(&question()).send().await?;

    talking.until_over().await?;

    // Closed in order or not: half an answer must not look like a whole one.
    let heard = Reply::read(deaf).await?;
    assert!(!heard.body.contains("[DONE]"), "{}", heard.body);
    assert!(!talking.recorded()?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_slow_reader_that_reads_on_gets_the_whole_answer() -> Story {
    const STALL: Duration = Duration::from_secs(3);
    const PIECES: u32 = 480; // 7.5 MiB, of which the system holds up to 4 and sends on a third of that in one go
    let stub = OpenAiStub::start().await?;
    let answer = piece().repeat(PIECES as usize);
    stub.script([Behaviour::answer(&answer)]);
    let settings = ServerBSettings::new()?.with_openai(&stub.base_url());
    let server = settings.with("STREAM_STALL_SECONDS", STALL.as_secs_f64()).start()?;
    let caller = Caller::new(&server)?;
    let mut slow = ask_for_stream(&server, 4 * PIECE_BYTES).await?;

    // No wait for something to happen: this pace is what makes the reader slow. In one stall it reads no more than a third
    // of the answer, so that server-b still waits then; afterwards it need not be slow any more.
    let mut pace = interval(3 * STALL / PIECES);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let started = Instant::now();
    let mut heard = Vec::new();
    while started.elapsed() <= STALL {
        pace.tick().await;
        let mut piece = (&mut slow).take(PIECE_BYTES as u64);
        timeout(PATIENCE, piece.read_to_end(&mut heard)).await.context("nothing comes any more")??;
    }
    let waited_for = caller.metric("server_b_messages_in_flight").await?;
    assert_eq!(waited_for, 1.0, "server-b had to wait for longer than a stall, in many pieces");
    timeout(PATIENCE, slow.read_to_end(&mut heard)).await.context("nothing comes any more")??;

    let reply = Reply { status: 200, headers: HeaderMap::new(), body: String::from_utf8(heard)? };
    let streamed = reply.streamed()?;
    let pieces = streamed.pieces.len();
    assert!(streamed.done && streamed.pieces.concat() == answer, "{pieces} pieces of {PIECES}");
    Ok(())
}
