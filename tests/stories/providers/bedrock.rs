//! `Bedrock` against the stub of Bedrock's runtime.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use cost_calculator::Usage;
use e2e::stubs::bedrock::{Answer, BedrockStub, Behaviour};
use futures_util::StreamExt as _;
use models::{FinishReason, Role};
use providers::{Bedrock, CheckStatus, Prompt, Provider as _, ProviderError, StreamItem};
use serde_json::json;

use crate::{assert_hidden, collect, error, strings, tokens, turn, usual_end};

const MODEL: &str = "anthropic.claude-3-5-sonnet-20241022-v2:0";
pub(crate) const ACCESS_KEY: &str = "access-key-of-a-test";
pub(crate) const SECRET_KEY: &str = "hunter2+hunter2/hunter2";
pub(crate) const TOKEN: &str = "session-token-of-a-test";

pub(crate) fn prompt() -> Prompt {
    crate::prompt(MODEL)
}

pub(crate) async fn stub() -> BedrockStub {
    BedrockStub::start().await.expect("a free port")
}

async fn provider(endpoint_url: String) -> Bedrock {
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, Some(TOKEN.to_owned()), None, "test");
    let config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint_url)
        .build();
    Bedrock::with_config(config, strings(&["b", "a"]))
}

pub(crate) async fn scripted(behaviours: impl IntoIterator<Item = Behaviour>) -> (BedrockStub, Bedrock) {
    let stub = stub().await;
    stub.script(behaviours);
    let provider = provider(stub.endpoint_url()).await;
    (stub, provider)
}

#[tokio::test]
async fn an_answer_comes_with_its_usage() {
    let (_stub, provider) = scripted([]).await;
    let completion = provider.complete(&prompt()).await.unwrap();
    assert_eq!(completion.text, "a language");
    assert_eq!(completion.end, usual_end(Some(tokens(12, 30))));
}

#[tokio::test]
async fn a_stream_comes_in_pieces_and_ends_with_its_usage() {
    let (_stub, provider) = scripted([]).await;
    let stream = provider.stream(&prompt()).await.unwrap();
    let items: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert_eq!(
        items,
        [
            StreamItem::Text("a ".into()),
            StreamItem::Text("language".into()),
            StreamItem::End(usual_end(Some(tokens(12, 30))))
        ]
    );
}

#[tokio::test]
async fn system_history_parameters_and_trace_are_sent_as_the_api_wants_them() {
    let (stub, provider) = scripted([]).await;
    let mut prompt = prompt();
    prompt.temperature = 0.5;
    prompt.history = vec![
        turn(Role::Assistant, "Welcome"),
        turn(Role::User, "Guten Tag, Ωmega 🦀"),
        turn(Role::User, "Still there?"),
        turn(Role::Assistant, "Yes"),
    ];
    prompt.trace_parent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    provider.complete(&prompt).await.unwrap();

    let request = &stub.requests()[0];
    assert_eq!(
        request.body,
        json!({
            "system": [{"text": "You are terse."}],
            "messages": [
                {"role": "user", "content": [{"text": "Guten Tag, Ωmega 🦀"}, {"text": "Still there?"}]},
                {"role": "assistant", "content": [{"text": "Yes"}]},
                {"role": "user", "content": [{"text": "What is Python?"}]},
            ],
            "inferenceConfig": {"maxTokens": 100, "temperature": 0.5},
        })
    );
    assert_eq!(request.header("traceparent"), prompt.trace_parent.as_deref());
    assert!(request.header("authorization").unwrap().starts_with("AWS4-HMAC-SHA256 Credential="));
}

#[tokio::test]
async fn names_of_models_and_unicode_text_survive() {
    let text = "日本語 und 🦀\n\n\"quoted\"";
    let (stub, provider) = scripted([Behaviour::answer(text), Behaviour::answer(text)]).await;
    let arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-3-haiku-v1:0";
    assert_eq!(provider.complete(&prompt()).await.unwrap().text, text);
    assert_eq!(collect(provider.stream(&crate::prompt(arn)).await.unwrap()).await.0, text);
    let paths: Vec<_> = stub.requests().iter().map(|request| request.path()).collect();
    assert_eq!(paths, [format!("/model/{MODEL}/converse"), format!("/model/{arn}/converse-stream")]);
    assert_eq!(stub.requests()[1].target.matches('/').count(), 3, "a slash of a name is no separator");
}

#[tokio::test]
async fn cached_tokens_are_part_of_the_prompt_tokens() {
    let usage = json!({
        "inputTokens": 5, "outputTokens": 30, "totalTokens": 1135,
        "cacheReadInputTokens": 1000, "cacheWriteInputTokens": 100
    });
    let answer = Behaviour::Answer(Answer::new("x").usage(usage));
    let (_stub, provider) = scripted([answer.clone(), answer]).await;
    let expected =
        Usage { cached_prompt_tokens: Some(1000), cache_write_tokens: Some(100), ..tokens(1105, 30) };
    assert_eq!(provider.complete(&prompt()).await.unwrap().end.usage, Some(expected));
    let (_, end) = collect(provider.stream(&prompt()).await.unwrap()).await;
    assert_eq!(end.unwrap().usage, Some(expected));
}

#[tokio::test]
async fn reasoning_is_no_part_of_the_text() {
    let answer = Behaviour::Answer(Answer::new("a language").reasoning("Hmm, a snake?"));
    let (_stub, provider) = scripted([answer.clone(), answer]).await;
    assert_eq!(provider.complete(&prompt()).await.unwrap().text, "a language");
    assert_eq!(collect(provider.stream(&prompt()).await.unwrap()).await.0, "a language");
}

#[tokio::test]
async fn usage_is_unknown_when_there_is_none() {
    let answer = Behaviour::Answer(Answer::new("x").without_usage());
    let (_stub, provider) = scripted([answer.clone(), answer]).await;
    assert_eq!(provider.complete(&prompt()).await.unwrap().end, usual_end(None));
    let (_, end) = collect(provider.stream(&prompt()).await.unwrap()).await;
    assert_eq!(end.unwrap(), usual_end(None));
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_a_failure_that_does_not_quote_it() {
    for nonsense in [json!({"private": "words"}), json!("words")] {
        let (_stub, provider) =
            scripted([Behaviour::Json(nonsense.clone()), Behaviour::Json(nonsense)]).await;
        let whole = error(provider.complete(&prompt()).await);
        assert_eq!(whole.code(), "answer_lost");
        let streamed = match provider.stream(&prompt()).await {
            Ok(stream) => error(collect(stream).await.1),
            Err(error) => error,
        };
        assert_eq!(streamed.code(), "broken_stream");
        assert!(!format!("{whole:?} {streamed:?}").contains("words"), "{whole} {streamed}");
    }
}

#[tokio::test]
async fn reasons_to_stop_have_their_names() {
    for (name, reason) in [
        ("max_tokens", FinishReason::Length),
        ("stop_sequence", FinishReason::Stop),
        ("content_filtered", FinishReason::ContentFilter),
        ("guardrail_intervened", FinishReason::ContentFilter),
        ("something_new", FinishReason::Other),
    ] {
        let answer = Behaviour::Answer(Answer::new("x").stop_reason(name));
        let (_stub, provider) = scripted([answer.clone(), answer]).await;
        assert_eq!(provider.complete(&prompt()).await.unwrap().end.finish_reason, reason, "{name}");
        let (_, end) = collect(provider.stream(&prompt()).await.unwrap()).await;
        assert_eq!(end.unwrap().finish_reason, reason, "{name}");
    }
}

#[tokio::test]
async fn a_withheld_answer_is_an_error_with_its_usage() {
    let withheld = Behaviour::Answer(Answer::new("").stop_reason("guardrail_intervened"));
    let (_stub, provider) = scripted([withheld.clone(), withheld]).await;
    let whole = error(provider.complete(&prompt()).await);
    let streamed = error(collect(provider.stream(&prompt()).await.unwrap()).await.1);
    for error in [whole, streamed] {
        assert!(matches!(error, ProviderError::ContentFiltered { usage: Some(_), .. }), "{error:?}");
    }
}

#[tokio::test]
async fn each_exception_has_its_kind_and_is_not_repeated() {
    for (status, kind, code) in [
        (400, "ValidationException", "provider_rejected_request"),
        (401, "", "provider_unauthorized"),
        (403, "AccessDeniedException", "provider_unauthorized"),
        (403, "UnrecognizedClientException", "provider_unauthorized"),
        (404, "ResourceNotFoundException", "provider_rejected_request"),
        (408, "ModelTimeoutException", "provider_timed_out"),
        (424, "ModelErrorException", "provider_failed"),
        (429, "ThrottlingException", "rate_limited"),
        (429, "ModelNotReadyException", "provider_overloaded"),
        (500, "InternalServerException", "provider_failed"),
        (503, "ServiceUnavailableException", "provider_overloaded"),
    ] {
        let no = Behaviour::exception(status, kind, "no");
        let (stub, provider) = scripted([no.clone(), no]).await;
        assert_eq!(error(provider.complete(&prompt()).await).code(), code, "{status} {kind}");
        assert_eq!(stub.requests().len(), 1, "{status} {kind}");
        assert_eq!(error(provider.stream(&prompt()).await).code(), code, "{status} {kind}");
        assert_eq!(stub.requests().len(), 2, "{status} {kind}");
    }
}

#[tokio::test]
async fn a_rate_limit_says_how_long_to_wait_and_keeps_the_providers_words() {
    let (_stub, provider) = scripted([Behaviour::Exception {
        status: 429,
        kind: "ThrottlingException".into(),
        message: "Too many tokens, please wait".into(),
        headers: vec![("retry-after".into(), "3".into())],
    }])
    .await;
    match error(provider.complete(&prompt()).await) {
        ProviderError::RateLimited { message, retry_after } => {
            assert_eq!(message, "Too many tokens, please wait");
            assert_eq!(retry_after, Some(Duration::from_secs(3)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_exception_in_the_middle_of_a_stream_ends_it_with_the_providers_words() {
    for (kind, said) in [
        ("throttlingException", "the provider's rate limit is reached: too much"),
        ("serviceUnavailableException", "the provider is overloaded: too much"),
        ("validationException", "the provider rejected the request: too much"),
        ("internalServerException", "the provider failed: too much"),
        ("modelStreamErrorException", "the provider's stream broke off: too much"),
    ] {
        let exception = Behaviour::StreamException(strings(&["a "]), kind.into(), "too much".into());
        let (_stub, provider) = scripted([exception]).await;
        let (text, end) = collect(provider.stream(&prompt()).await.unwrap()).await;
        assert_eq!(text, "a ");
        assert_eq!(error(end).to_string(), said);
    }
}

#[tokio::test]
async fn credentials_are_in_no_error_whatever_the_provider_repeats() {
    let echo = Behaviour::EchoSecrets(SECRET_KEY.to_owned());
    let words = format!("{ACCESS_KEY} {SECRET_KEY} {TOKEN}");
    let exception = Behaviour::StreamException(vec![], "internalServerException".into(), words);
    let (_stub, provider) = scripted([echo.clone(), echo, exception]).await;
    let failures = [
        error(provider.complete(&prompt()).await),
        error(provider.stream(&prompt()).await),
        error(collect(provider.stream(&prompt()).await.unwrap()).await.1),
    ];
    for failure in failures {
        for secret in [ACCESS_KEY, SECRET_KEY, TOKEN] {
            assert_hidden(&failure, secret);
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let stub = stub().await;
    let provider = provider(stub.endpoint_url()).await;
    drop(stub);
    assert_eq!(error(provider.complete(&prompt()).await).code(), "provider_unreachable");
}

#[tokio::test]
async fn a_check_finds_the_credential_and_asks_nobody() {
    let (stub, provider) = scripted([]).await;
    let check = provider.check().await;
    assert!(check.configured && check.note.is_some());
    assert_eq!(check.status, CheckStatus::Unknown);
    assert!(stub.requests().is_empty());
    assert_eq!(provider.models().await.unwrap(), ["a", "b"]);
}
