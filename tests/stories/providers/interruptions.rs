//! Calls that are cut short, by either provider or by who made them.

use std::{ops::Deref, sync::Arc, time::Duration};

use e2e::stubs::{Server, bedrock, openai};
use futures_util::StreamExt as _;
use providers::{Deadline, Prompt, Provider, StreamItem};

use crate::{collect, error, prompt, strings};

/// What the providers do with a call, in the words of either stub.
struct Does(openai::Behaviour, bedrock::Behaviour);

fn answers() -> Does {
    Does(openai::Behaviour::answer("a language"), bedrock::Behaviour::answer("a language"))
}

fn hangs() -> Does {
    Does(openai::Behaviour::Hang, bedrock::Behaviour::Hang)
}

fn stalls() -> Does {
    Does(openai::Behaviour::StreamStall(pieces()), bedrock::Behaviour::StreamStall(pieces()))
}

fn is_cut() -> Does {
    Does(openai::Behaviour::StreamCut(pieces()), bedrock::Behaviour::StreamCut(pieces()))
}

fn ends_early() -> Does {
    Does(openai::Behaviour::StreamEndsEarly(pieces()), bedrock::Behaviour::StreamEndsEarly(pieces()))
}

fn pieces() -> Vec<String> {
    strings(&["a ", "lang"])
}

/// One of the providers and the stub that it asks.
struct Scene {
    stub: Box<dyn Deref<Target = Server>>,
    provider: Arc<dyn Provider>,
    prompt: Prompt,
}

impl Scene {
    /// The same provider with a limit on every wait.
    fn impatient(&self, limit: Duration) -> Deadline {
        Deadline::new(self.provider.clone(), limit)
    }
}

/// OpenAI and Bedrock, which do this with the calls to come.
async fn scenes<const N: usize>(script: [Does; N]) -> [Scene; 2] {
    let (openai, bedrock): (Vec<_>, Vec<_>) = script.into_iter().map(|Does(one, other)| (one, other)).unzip();
    let (openai_stub, openai) = crate::openai::scripted(openai).await;
    let (bedrock_stub, bedrock) = crate::bedrock::scripted(bedrock).await;
    [
        Scene { stub: Box::new(openai_stub), provider: Arc::new(openai), prompt: prompt("m") },
        Scene { stub: Box::new(bedrock_stub), provider: Arc::new(bedrock), prompt: crate::bedrock::prompt() },
    ]
}

#[tokio::test]
async fn a_provider_that_hangs_is_given_up_and_hung_up_on() {
    for scene in scenes([answers(), hangs()]).await {
        scene.provider.complete(&scene.prompt).await.unwrap(); // connects, so that the limit is for the answer alone
        let impatient = scene.impatient(Duration::from_millis(300));
        assert_eq!(error(impatient.complete(&scene.prompt).await).code(), "provider_timed_out");
        scene.stub.wait_until_closed(1).await;
        assert_eq!(scene.stub.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_stream_that_stalls_is_given_up_and_hung_up_on() {
    for scene in scenes([answers(), stalls()]).await {
        scene.provider.complete(&scene.prompt).await.unwrap(); // connects, so that the limit is for the stall alone
        let impatient = scene.impatient(Duration::from_millis(500));
        let (text, end) = collect(impatient.stream(&scene.prompt).await.unwrap()).await;
        assert_eq!(text, "a lang");
        assert_eq!(error(end).code(), "provider_timed_out");
        scene.stub.wait_until_closed(1).await;
    }
}

#[tokio::test]
async fn a_stream_without_its_end_is_broken_however_it_stops() {
    for Scene { stub: _stub, provider, prompt } in scenes([is_cut(), ends_early()]).await {
        for _ in 0..2 {
            let (text, end) = collect(provider.stream(&prompt).await.unwrap()).await;
            assert_eq!(text, "a lang");
            assert_eq!(error(end).code(), "broken_stream");
        }
    }
}

#[tokio::test]
async fn dropping_a_call_closes_its_connection() {
    for scene in scenes([hangs()]).await {
        tokio::select! {
            _ = scene.provider.complete(&scene.prompt) => panic!("nobody answers"),
            () = scene.stub.wait_for_requests(1) => {}
        }
        scene.stub.wait_until_closed(1).await;
    }
}

#[tokio::test]
async fn dropping_a_stream_closes_its_connection() {
    for scene in scenes([stalls()]).await {
        let mut stream = scene.provider.stream(&scene.prompt).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), StreamItem::Text("a ".into()));
        assert_eq!(scene.stub.open_connections(), 1);
        drop(stream);
        scene.stub.wait_until_closed(1).await;
    }
}
