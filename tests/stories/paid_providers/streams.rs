//! Streams that go wrong after their first piece: the reader sees what came and why it ended, the bill has both.

use e2e::{
    caller::Reply,
    ledger_file::Outcome,
    stubs::{bedrock, openai},
};
use serde_json::{Value, json};

use crate::{BOTH, Bill, Does, Paid, Story, question};

/// Two tokens by the rule of thumb.
const BEGUN: &str = "a lang";

fn begun() -> Vec<String> {
    vec!["a ".to_owned(), "lang".to_owned()]
}

/// An error in the middle, in the form of either provider.
fn error_event(object: Value, exception: &str, words: &str) -> Does {
    let (exception, words) = (exception.to_owned(), words.to_owned());
    Does {
        openai: openai::Behaviour::StreamError(begun(), object),
        bedrock: bedrock::Behaviour::StreamException(begun(), exception, words),
    }
}

/// How a stream breaks off, the words that must come with it, and its code.
fn breaks() -> [(Does, &'static str, &'static str); 7] {
    let cut = Does {
        openai: openai::Behaviour::StreamCut(begun()),
        bedrock: bedrock::Behaviour::StreamCut(begun()),
    };
    let ends_early = Does {
        openai: openai::Behaviour::StreamEndsEarly(begun()),
        bedrock: bedrock::Behaviour::StreamEndsEarly(begun()),
    };
    let server = "The server had an error";
    let busy = "Too many tokens";
    let overloaded = "Come back in a minute";
    let rejected = "The output is not allowed";
    let unnamed = "Something without a name";
    [
        (cut, "the provider's stream broke off", "broken_stream"),
        (ends_early, "stopped before its end", "broken_stream"),
        (
            error_event(
                json!({"message": server, "type": "server_error"}),
                "internalServerException",
                server,
            ),
            server,
            "provider_failed",
        ),
        (
            error_event(json!({"message": busy, "type": "rate_limit_exceeded"}), "throttlingException", busy),
            busy,
            "rate_limited",
        ),
        (
            error_event(
                json!({"message": overloaded, "code": 503}),
                "serviceUnavailableException",
                overloaded,
            ),
            overloaded,
            "provider_overloaded",
        ),
        (
            error_event(
                json!({"message": rejected, "type": "invalid_request_error"}),
                "validationException",
                rejected,
            ),
            rejected,
            "provider_rejected_request",
        ),
        (
            error_event(json!({"message": unnamed, "code": 500}), "internalServerException", unnamed),
            unnamed,
            "provider_failed",
        ),
    ]
}

/// Asks for a stream that breaks off after its first pieces.
async fn expect_break(paid: &Paid, does: &Does, words: &str, code: &'static str) -> anyhow::Result<Bill> {
    paid.stub.next(does);
    let reply = Reply::of(paid.caller.stream(&question())).await?;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")));
    let streamed = reply.streamed()?;
    assert_eq!(streamed.pieces, begun());
    assert!(!streamed.done, "{code}: a reader must not take this for the whole answer");
    assert_eq!(streamed.last["code"], code, "{}", streamed.last);
    let error = streamed.last["error"].as_str().unwrap_or_default();
    assert!(error.contains(words), "{error}");
    Ok(Bill::of(paid.kind, Outcome::Failed, code, BEGUN, (12, 2)).estimated())
}

#[tokio::test]
async fn a_stream_that_breaks_off_says_why_and_what_came_is_on_the_bill() -> Story {
    for kind in BOTH {
        let paid = Paid::start(kind).await?;
        let mut bills = Vec::new();
        for (does, words, code) in &breaks() {
            bills.push(expect_break(&paid, does, words, code).await?);
        }
        paid.check(&bills).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_stalls_is_given_up_after_the_limit() -> Story {
    let stalls = Does {
        openai: openai::Behaviour::StreamStall(begun()),
        bedrock: bedrock::Behaviour::StreamStall(begun()),
    };
    for kind in BOTH {
        let paid = Paid::start_with(kind, |settings| settings.with("PROVIDER_TIMEOUT_SECONDS", 3)).await?;
        let words = "did not answer within 3 s";
        let bill = expect_break(&paid, &stalls, words, "provider_timed_out").await?;
        paid.check(&[bill]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_the_filter_cuts_ends_well_and_says_so() -> Story {
    let filtered = Does {
        openai: openai::Behaviour::Answer(openai::Answer::new(BEGUN).finish_reason("content_filter")),
        bedrock: bedrock::Behaviour::Answer(bedrock::Answer::new(BEGUN).stop_reason("content_filtered")),
    };
    for kind in BOTH {
        let paid = Paid::start(kind).await?;
        paid.stub.next(&filtered);
        let streamed = Reply::of(paid.caller.stream(&question())).await?.streamed()?;
        assert_eq!((streamed.pieces, streamed.done), (begun(), true));
        assert_eq!(streamed.last["finishReason"], "content_filter");
        paid.stub.next(&filtered);
        let answer = Reply::of(paid.caller.process(&question())).await?.json()?;
        assert_eq!(
            (&answer["aiResponse"], &answer["finishReason"]),
            (&json!(BEGUN), &json!("content_filter"))
        );
        let bill = Bill::of(kind, Outcome::Answered, "content_filter", BEGUN, (12, 30));
        paid.check(&[bill.clone(), bill]).await?;
    }
    Ok(())
}
