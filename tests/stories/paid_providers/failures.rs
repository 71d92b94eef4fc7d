//! A provider that refuses, fails or is not there: one status, one code and one bill for each way.

use std::net::TcpListener;

use e2e::{
    caller::Reply,
    ledger_file::Outcome,
    stubs::{bedrock, openai},
};
use serde_json::json;

use crate::{BOTH, Bill, Does, Kind, Paid, Story, question};

/// What a failure looks like from outside.
struct Failure {
    status: u16,
    code: &'static str,
    retryable: bool,
    /// What to do about it.
    advice: &'static str,
    /// Whether a model may have worked, so that the prompt is on the bill.
    billed: bool,
}

const UNAUTHORIZED: Failure = Failure {
    status: 502,
    code: "provider_unauthorized",
    retryable: false,
    advice: "Replace the provider's credential",
    billed: false,
};
const RATE_LIMITED: Failure =
    Failure { status: 429, code: "rate_limited", retryable: true, advice: "Try again later", billed: false };
const REJECTED: Failure = Failure {
    status: 422,
    code: "provider_rejected_request",
    retryable: false,
    advice: "GET /models",
    billed: false,
};
const FAILED: Failure =
    Failure { status: 502, code: "provider_failed", retryable: true, advice: "Try again", billed: false };
const OVERLOADED: Failure = Failure {
    status: 503,
    code: "provider_overloaded",
    retryable: true,
    advice: "Try again later",
    billed: false,
};
const TIMED_OUT: Failure = Failure {
    status: 504,
    code: "provider_timed_out",
    retryable: true,
    advice: "PROVIDER_TIMEOUT_SECONDS",
    billed: true,
};
const UNREACHABLE: Failure = Failure {
    status: 502,
    code: "provider_unreachable",
    retryable: true,
    advice: "Check the provider's address",
    billed: false,
};

/// A refusal in the form of either provider, with the same words, and with a wait if there is one.
fn refusal(status: u16, (bedrock_status, kind): (u16, &str), words: &str, wait: Option<&str>) -> Does {
    let headers: Vec<_> = wait.map(|wait| ("retry-after".to_owned(), wait.to_owned())).into_iter().collect();
    let body = json!({"error": {"message": words, "type": "stub_error", "param": null, "code": null}});
    Does {
        openai: openai::Behaviour::Status { status, headers: headers.clone(), body: body.to_string() },
        bedrock: bedrock::Behaviour::Exception {
            status: bedrock_status,
            kind: kind.to_owned(),
            message: words.to_owned(),
            headers,
        },
    }
}

/// Asks in both ways for an answer that does not come.
async fn expect_failure(
    paid: &Paid,
    does: &Does,
    words: &str,
    wait: Option<&str>,
    failure: &Failure,
) -> anyhow::Result<[Bill; 2]> {
    for request in [paid.caller.process(&question()), paid.caller.stream(&question())] {
        paid.stub.next(does);
        let reply = Reply::of(request).await?;
        let problem = reply.json()?;
        assert_eq!(reply.status, failure.status, "{problem}");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert_eq!(reply.header("retry-after"), wait, "{problem}");
        assert_eq!(problem["code"], failure.code);
        assert_eq!(problem["retryable"], failure.retryable, "{problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(words) && detail.contains(failure.advice), "{detail}");
    }
    let bill = if failure.billed {
        Bill::of(paid.kind, Outcome::Failed, failure.code, "", (12, 0)).estimated()
    } else {
        Bill::of(paid.kind, Outcome::Failed, failure.code, "", (0, 0))
    };
    Ok([bill.clone(), bill])
}

#[tokio::test]
async fn each_refusal_has_its_status_its_code_the_providers_words_and_the_right_bill() -> Story {
    #[rustfmt::skip]
    let table = [
        (401, (403, "UnrecognizedClientException"), "The credential is not known here", None, UNAUTHORIZED),
        (403, (403, "AccessDeniedException"), "You have no access to this model", None, UNAUTHORIZED),
        (429, (429, "ThrottlingException"), "Langsam, bitte: zu viele Wörter 🐢", Some("7"), RATE_LIMITED),
        (429, (429, "ThrottlingException"), "Slow down, whenever you can", None, RATE_LIMITED),
        (400, (400, "ValidationException"), "The input is too long", None, REJECTED),
        (404, (404, "ResourceNotFoundException"), "There is no such model", None, REJECTED),
        (500, (500, "InternalServerException"), "The server had an error", None, FAILED),
        (503, (503, "ServiceUnavailableException"), "Come back in a minute", Some("3"), OVERLOADED),
    ];
    for kind in BOTH {
        let paid = Paid::start(kind).await?;
        let mut bills = Vec::new();
        for (status, exception, words, wait, failure) in &table {
            let does = refusal(*status, *exception, words, *wait);
            bills.extend(expect_failure(&paid, &does, words, *wait, failure).await?);
        }
        assert_eq!(paid.stub.requests().len(), bills.len(), "server-b does not try again by itself");
        paid.check(&bills).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_provider_that_hangs_is_given_up_after_the_limit() -> Story {
    let hangs = Does { openai: openai::Behaviour::Hang, bedrock: bedrock::Behaviour::Hang };
    for kind in BOTH {
        let paid = Paid::start_with(kind, |settings| settings.with("PROVIDER_TIMEOUT_SECONDS", 0.3)).await?;
        let bills = expect_failure(&paid, &hangs, "did not answer within 0.3 s", None, &TIMED_OUT).await?;
        paid.check(&bills).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_provider_that_is_not_there_costs_nothing() -> Story {
    for kind in BOTH {
        let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let path = if kind == Kind::OpenAi { "/v1" } else { "" };
        let there = kind.settings(&format!("http://{closed}{path}"))?;
        let paid = Paid::start_with(kind, |_| there).await?;
        let does = refusal(500, (500, "Never"), "never asked", None);
        let bills = expect_failure(&paid, &does, "Connection refused", None, &UNREACHABLE).await?;
        assert_eq!(paid.stub.requests().len(), 0);
        paid.check(&bills).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_the_filter_swallows_is_refused_and_billed_as_reported() -> Story {
    let filtered = Does {
        openai: openai::Behaviour::Answer(openai::Answer::new("").finish_reason("content_filter")),
        bedrock: bedrock::Behaviour::Answer(bedrock::Answer::new("").stop_reason("guardrail_intervened")),
    };
    let failure = Failure { code: "content_filtered", advice: "Change the message", ..REJECTED };
    for kind in BOTH {
        let paid = Paid::start(kind).await?;
        expect_failure(&paid, &filtered, "the whole answer was withheld", None, &failure).await?;
        let bill = Bill::of(kind, Outcome::Failed, "content_filtered", "", (12, 30));
        paid.check(&[bill.clone(), bill]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_prompt_that_azure_filters_is_told_from_other_bad_requests() -> Story {
    let words = "The prompt triggered the content management policy";
    let body = json!({"error": {"message": words, "code": "content_filter", "param": "prompt"}});
    let status = openai::Behaviour::Status { status: 400, headers: Vec::new(), body: body.to_string() };
    let does = Does { openai: status, bedrock: bedrock::Behaviour::Hang };
    let failure =
        Failure { code: "content_filtered", advice: "Change the message", billed: true, ..REJECTED };
    let paid = Paid::start(Kind::OpenAi).await?;
    let bills = expect_failure(&paid, &does, words, None, &failure).await?;
    paid.check(&bills).await
}
