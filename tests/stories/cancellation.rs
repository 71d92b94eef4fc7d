//! Callers that go away: the provider hears of it within a second, and the bill has what was used until then.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, ensure};
use e2e::{
    caller::{Caller, Reply},
    ledger_file::{Outcome, Row, rows},
    messenger::{Era, Messenger},
    stubs::{
        bedrock::{self, BedrockStub},
        openai::{self, OpenAiStub},
    },
    world::{ServerB, ServerBSettings},
};
use reqwest::RequestBuilder;
use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, ClientRequest, Request},
    service::{PeerRequestOptions, RequestHandle},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};

type Story = anyhow::Result<()>;

/// What server-b promises.
const PROMISE: Duration = Duration::from_secs(1);
/// A condition that has not come true after this long will not.
const PATIENCE: Duration = Duration::from_secs(20);

fn pieces() -> Vec<String> {
    vec!["a ".to_owned(), "lang".to_owned()]
}

fn question() -> Value {
    json!({"message": "What is Python?"})
}

/// Fails unless the provider's connection is closed within a second.
async fn soon(closed: impl Future<Output = ()>) -> Story {
    timeout(PROMISE, closed).await.context("the provider still works for nobody")
}

fn send(request: RequestBuilder) -> JoinHandle<anyhow::Result<Reply>> {
    tokio::spawn(Reply::of(request))
}

/// Reads a stream until both pieces have come, and goes away.
async fn read_and_leave(request: RequestBuilder) -> Story {
    let mut response = request.send().await?;
    let mut seen = String::new();
    while !seen.contains("lang") {
        let chunk = response.chunk().await?.context("the stream ended")?;
        seen.push_str(std::str::from_utf8(&chunk)?);
    }
    Ok(())
}

/// Stops server-b, and gives the only row of its ledger, which must be a cancelled one.
fn cancelled(server: ServerB, settings: &ServerBSettings) -> anyhow::Result<Row> {
    server.stop()?;
    let mut recorded = rows(&settings.ledger())?;
    ensure!(recorded.len() == 1, "{recorded:?}");
    let row = recorded.remove(0);
    assert_eq!((row.outcome, row.provenance), (Outcome::Cancelled, "estimated"));
    Ok(row)
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_call_to_openai_and_the_prompt_is_on_the_bill() -> Story {
    let stub = OpenAiStub::start().await?;
    stub.script([openai::Behaviour::Hang]);
    let settings = ServerBSettings::new()?.with_openai(&stub.base_url());
    let server = settings.start()?;
    let caller = send(Caller::new(&server)?.process(&question()));
    stub.wait_for_requests(1).await;

    caller.abort();

    soon(stub.wait_until_closed(1)).await?;
    let row = cancelled(server, &settings)?;
    assert_eq!((row.answer.as_str(), row.tokens, row.cost), ("", (12, 0), 1_800_000));
    Ok(())
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_call_to_bedrock_and_the_prompt_is_on_the_bill() -> Story {
    let stub = BedrockStub::start().await?;
    stub.script([bedrock::Behaviour::Hang]);
    let settings = ServerBSettings::new()?.with_bedrock(&stub.endpoint_url());
    let server = settings.start()?;
    let caller = send(Caller::new(&server)?.process(&question()));
    stub.wait_for_requests(1).await;

    caller.abort();

    soon(stub.wait_until_closed(1)).await?;
    let row = cancelled(server, &settings)?;
    assert_eq!((row.answer.as_str(), row.tokens, row.cost), ("", (12, 0), 9_600_000));
    Ok(())
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_openais_stream_and_what_came_is_on_the_bill() -> Story {
    let stub = OpenAiStub::start().await?;
    stub.script([openai::Behaviour::StreamStall(pieces())]);
    let settings = ServerBSettings::new()?.with_openai(&stub.base_url());
    let server = settings.start()?;

    read_and_leave(Caller::new(&server)?.stream(&question())).await?;

    soon(stub.wait_until_closed(1)).await?;
    let row = cancelled(server, &settings)?;
    assert_eq!((row.answer.as_str(), row.tokens, row.cost), ("a lang", (12, 2), 3_000_000));
    Ok(())
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_bedrocks_stream_and_what_came_is_on_the_bill() -> Story {
    let stub = BedrockStub::start().await?;
    stub.script([bedrock::Behaviour::StreamStall(pieces())]);
    let settings = ServerBSettings::new()?.with_bedrock(&stub.endpoint_url());
    let server = settings.start()?;

    read_and_leave(Caller::new(&server)?.stream(&question())).await?;

    soon(stub.wait_until_closed(1)).await?;
    let row = cancelled(server, &settings)?;
    assert_eq!((row.answer.as_str(), row.tokens, row.cost), ("a lang", (12, 2), 17_600_000));
    Ok(())
}

#[tokio::test]
async fn a_caller_that_goes_away_before_the_stream_begins_ends_the_call_too() -> Story {
    let stub = OpenAiStub::start().await?;
    stub.script([openai::Behaviour::Hang]);
    let settings = ServerBSettings::new()?.with_openai(&stub.base_url());
    let server = settings.start()?;
    let caller = send(Caller::new(&server)?.stream(&question()));
    stub.wait_for_requests(1).await;

    caller.abort();

    soon(stub.wait_until_closed(1)).await?;
    assert_eq!(cancelled(server, &settings)?.cost, 1_800_000);
    Ok(())
}

/// An assistant, its server-a, a server-b and a provider that never ends its first answer.
struct Chain {
    messenger: Messenger,
    home: TempDir,
    server: ServerB,
    settings: ServerBSettings,
    stub: OpenAiStub,
}

impl Chain {
    async fn start(era: Era, first: openai::Behaviour) -> anyhow::Result<Self> {
        let stub = OpenAiStub::start().await?;
        stub.script([first]);
        let settings = ServerBSettings::new()?.with_openai(&stub.base_url());
        let server = settings.start()?;
        let home = tempfile::tempdir()?;
        let variables = [("SERVER_B_URL", server.url("").as_str()), ("DATABASE_URL", "sqlite://server-a.db")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let messenger = Messenger::start(home.path(), &HashMap::from(variables), era).await?;
        Ok(Self { messenger, home, server, settings, stub })
    }

    /// Calls a tool, and comes back when the provider has been asked.
    async fn call(&self, tool: &'static str) -> anyhow::Result<RequestHandle<RoleClient>> {
        let arguments = question().as_object().cloned().unwrap_or_default();
        let params = CallToolRequestParams::new(tool).with_arguments(arguments);
        let request = ClientRequest::CallToolRequest(Request::new(params));
        let options = PeerRequestOptions::no_options();
        let handle = self.messenger.client().send_cancellable_request(request, options).await?;
        self.stub.wait_for_requests(1).await;
        Ok(handle)
    }
}

#[tokio::test]
async fn a_tool_call_that_is_cancelled_ends_the_call_to_the_provider() -> Story {
    for era in [Era::Legacy, Era::Modern] {
        for (tool, hangs) in [
            ("send_message_to_ai", openai::Behaviour::Hang),
            ("send_message_stream", openai::Behaviour::StreamStall(pieces())),
        ] {
            let chain = Chain::start(era, hangs).await?;
            let handle = chain.call(tool).await?;

            handle.cancel(Some("changed my mind".to_owned())).await?;

            soon(chain.stub.wait_until_closed(1)).await.with_context(|| format!("{tool}, {era:?}"))?;
            let next = chain.messenger.ask(tool, question()).await?;
            assert_eq!(next["aiResponse"], "a language", "the session goes on");
            chain.messenger.close().await?;
            chain.server.stop()?;
            for ledger in [chain.settings.ledger(), chain.home.path().join("server-a.db")] {
                let recorded = rows(&ledger)?;
                let outcomes: Vec<_> = recorded.iter().map(|row| row.outcome).collect();
                assert_eq!(outcomes, [Outcome::Cancelled, Outcome::Answered], "{ledger:?}, {tool}, {era:?}");
                assert!("a lang".starts_with(&recorded[0].answer), "{:?}", recorded[0]);
            }
            assert!(rows(&chain.settings.ledger())?[0].cost >= 1_800_000);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_server_a_that_is_killed_in_the_middle_ends_the_call_to_the_provider() -> Story {
    for (tool, hangs) in [
        ("send_message_to_ai", openai::Behaviour::Hang),
        ("send_message_stream", openai::Behaviour::StreamStall(pieces())),
    ] {
        let chain = Chain::start(Era::Modern, hangs).await?;
        let _handle = chain.call(tool).await?;

        chain.messenger.kill().await?;

        soon(chain.stub.wait_until_closed(1)).await?;
        assert!(cancelled(chain.server, &chain.settings)?.cost >= 1_800_000);
    }
    Ok(())
}

/// Two callers under one key who wait for the same answer of the provider.
struct Pair {
    stub: OpenAiStub,
    settings: ServerBSettings,
    server: ServerB,
    caller: Caller,
    first: JoinHandle<anyhow::Result<Reply>>,
    second: JoinHandle<anyhow::Result<Reply>>,
}

impl Pair {
    async fn start() -> anyhow::Result<Self> {
        let stub = OpenAiStub::start().await?;
        stub.script([openai::Behaviour::Held(Box::new(openai::Behaviour::answer("for whom?")))]);
        let settings = ServerBSettings::new()?.with_openai(&stub.base_url());
        let server = settings.start()?;
        let caller = Caller::new(&server)?;
        let first = send(keyed(&caller));
        stub.wait_for_requests(1).await;
        let second = send(keyed(&caller));
        server.program.wait_for_log("joined the call that is under way")?;
        Ok(Self { stub, settings, server, caller, first, second })
    }

    fn outcomes(self) -> anyhow::Result<Vec<Outcome>> {
        self.server.stop()?;
        Ok(rows(&self.settings.ledger())?.iter().map(|row| row.outcome).collect())
    }
}

fn keyed(caller: &Caller) -> RequestBuilder {
    caller.process(&question()).header("idempotency-key", "one-key")
}

/// Waits until server-b is busy with this many messages. Every look at it is a whole request.
async fn until_in_flight(caller: &Caller, messages: f64) -> Story {
    let looking = async {
        while caller.metric("server_b_messages_in_flight").await? != messages {}
        anyhow::Ok(())
    };
    timeout(PATIENCE, looking).await.with_context(|| format!("there are never {messages} in flight"))?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_one_of_two_callers_leaves_the_call_goes_on_for_the_other() -> Story {
    for first_leaves in [true, false] {
        let mut pair = Pair::start().await?;
        if !first_leaves {
            std::mem::swap(&mut pair.first, &mut pair.second);
        }
        pair.first.abort();
        until_in_flight(&pair.caller, 1.0).await?;
        pair.stub.release(1);

        let answer = (&mut pair.second).await??.json()?;

        assert_eq!(answer["aiResponse"], "for whom?");
        assert_eq!(pair.stub.requests().len(), 1);
        assert_eq!(pair.outcomes()?, [Outcome::Answered]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_both_callers_leave_the_call_ends_and_their_key_is_free_again() -> Story {
    let pair = Pair::start().await?;
    pair.first.abort();
    pair.second.abort();

    soon(pair.stub.wait_until_closed(1)).await?;

    let next = Reply::of(keyed(&pair.caller)).await?.json()?;
    assert_eq!(next["aiResponse"], "a language");
    assert_eq!(pair.stub.requests().len(), 2);
    assert_eq!(pair.outcomes()?, [Outcome::Cancelled, Outcome::Answered]);
    Ok(())
}
