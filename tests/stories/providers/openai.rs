//! `OpenAi` against the stub of the OpenAI API.

use std::time::Duration;

use cost_calculator::Usage;
use e2e::stubs::openai::{Answer, Behaviour, OpenAiStub};
use futures_util::StreamExt as _;
use models::{FinishReason, Role};
use providers::{Check, CheckStatus, OpenAi, OpenAiSettings, Provider as _, ProviderError, StreamItem};
use secrecy::SecretString;
use serde_json::json;

use crate::{assert_hidden, collect, error, prompt, strings, tokens, turn, usual_end};

// Not of a shape that would be recognised as a key without being known.
const KEY: &str = "hunter2+hunter2/hunter2";

async fn stub() -> OpenAiStub {
    OpenAiStub::start().await.expect("a free port")
}

fn provider(stub: &OpenAiStub) -> OpenAi {
    let api_key = Some(SecretString::from(KEY));
    OpenAi::new(OpenAiSettings { api_key, base_url: Some(stub.base_url()) })
}

pub(crate) async fn scripted(behaviours: impl IntoIterator<Item = Behaviour>) -> (OpenAiStub, OpenAi) {
    let stub = stub().await;
    stub.script(behaviours);
    let provider = provider(&stub);
    (stub, provider)
}

/// Parts that the provider reports as 0 stay 0.
fn usual_usage() -> Option<Usage> {
    Some(Usage { cached_prompt_tokens: Some(0), reasoning_tokens: Some(0), ..tokens(12, 30) })
}

#[tokio::test]
async fn an_answer_comes_with_its_usage_and_without_a_model_that_is_the_same() {
    let (_stub, provider) = scripted([]).await;
    let completion = provider.complete(&prompt("gpt-4o-mini")).await.unwrap();
    assert_eq!(completion.text, "a language");
    assert_eq!(completion.end, usual_end(usual_usage()));
}

#[tokio::test]
async fn a_stream_comes_in_pieces_and_ends_with_its_usage() {
    let (stub, provider) = scripted([]).await;
    let stream = provider.stream(&prompt("gpt-4o-mini")).await.unwrap();
    let items: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert_eq!(
        items,
        [
            StreamItem::Text("a ".into()),
            StreamItem::Text("language".into()),
            StreamItem::End(usual_end(usual_usage()))
        ]
    );
    assert_eq!(stub.requests()[0].body["stream_options"], json!({"include_usage": true}));
}

#[tokio::test]
async fn system_history_parameters_key_and_trace_are_sent_as_the_api_wants_them() {
    let (stub, provider) = scripted([]).await;
    let mut prompt = prompt("gpt-4o-mini");
    prompt.history = vec![turn(Role::User, "Guten Tag, Ωmega 🦀"), turn(Role::Assistant, "Hello")];
    prompt.trace_parent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    provider.complete(&prompt).await.unwrap();

    let request = &stub.requests()[0];
    assert_eq!(
        request.body,
        json!({
            "model": "gpt-4o-mini",
            "messages": [
                {"role": "system", "content": "You are terse."},
                {"role": "user", "content": "Guten Tag, Ωmega 🦀"},
                {"role": "assistant", "content": "Hello"},
                {"role": "user", "content": "What is Python?"},
            ],
            "max_tokens": 100,
            "temperature": 0.7,
        })
    );
    assert_eq!(request.target, "/v1/chat/completions");
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(request.header("traceparent"), prompt.trace_parent.as_deref());
}

#[tokio::test]
async fn names_of_models_and_unicode_text_survive() {
    let text = "日本語 und 🦀\n\n\"quoted\"";
    let (stub, provider) = scripted([Behaviour::answer(text), Behaviour::answer(text)]).await;
    let prompt = prompt("meta-llama/Llama-3.3-70B:free");
    assert_eq!(provider.complete(&prompt).await.unwrap().text, text);
    assert_eq!(collect(provider.stream(&prompt).await.unwrap()).await.0, text);
    assert_eq!(stub.requests()[0].body["model"], "meta-llama/Llama-3.3-70B:free");
}

#[tokio::test]
async fn cached_and_reasoning_tokens_and_the_dated_model_are_reported() {
    let usage = json!({
        "prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
        "prompt_tokens_details": {"cached_tokens": 1920},
        "completion_tokens_details": {"reasoning_tokens": 192}
    });
    let answer = Answer::new("x").usage(usage).model("gpt-4o-mini-2024-07-18");
    let (_stub, provider) = scripted([Behaviour::Answer(answer.clone()), Behaviour::Answer(answer)]).await;
    let expected =
        Usage { cached_prompt_tokens: Some(1920), reasoning_tokens: Some(192), ..tokens(2006, 300) };
    let whole = provider.complete(&prompt("gpt-4o-mini")).await.unwrap().end;
    let streamed = collect(provider.stream(&prompt("gpt-4o-mini")).await.unwrap()).await.1.unwrap();
    for end in [whole, streamed] {
        assert_eq!(end.usage, Some(expected));
        assert_eq!(end.model.as_deref(), Some("gpt-4o-mini-2024-07-18"));
    }
}

#[tokio::test]
async fn usage_is_found_beside_the_reason_and_is_unknown_when_there_is_none() {
    let answers = [
        Answer::new("x").usage_with_finish(),
        Answer::new("x").without_usage(),
        Answer::new("x").without_usage(),
    ];
    let (_stub, provider) = scripted(answers.map(Behaviour::Answer)).await;
    let prompt = prompt("m");
    let beside = collect(provider.stream(&prompt).await.unwrap()).await.1.unwrap();
    let missing = collect(provider.stream(&prompt).await.unwrap()).await.1.unwrap();
    assert_eq!(beside.usage, usual_usage());
    assert_eq!(missing, usual_end(None));
    assert_eq!(provider.complete(&prompt).await.unwrap().end, usual_end(None));
}

#[tokio::test]
async fn sparse_answers_of_imitations_are_understood() {
    let lines = [
        r#"{"choices":[{"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"content":null},"finish_reason":"length"}],"usage":null}"#,
    ];
    let (_stub, provider) = scripted([
        Behaviour::Json(json!({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]})),
        Behaviour::Lines(strings(&lines)), // and no [DONE]
    ])
    .await;
    assert_eq!(provider.complete(&prompt("m")).await.unwrap().text, "a");
    let (text, end) = collect(provider.stream(&prompt("m")).await.unwrap()).await;
    assert_eq!((text.as_str(), end.unwrap().finish_reason), ("a", FinishReason::Length));
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_a_failure_that_does_not_quote_it() {
    let (_stub, provider) = scripted([
        Behaviour::Json(json!({"private": "words"})),
        Behaviour::Json(json!(["words"])),
        Behaviour::Lines(strings(&["not JSON but words"])),
        Behaviour::Json(json!({"error": {"message": "no such model", "code": 404}})),
    ])
    .await;
    for _ in 0..2 {
        let failure = error(provider.complete(&prompt("m")).await);
        assert_eq!(failure.to_string(), "the provider's answer was lost: it is not a chat completion");
    }
    let failure = collect(provider.stream(&prompt("m")).await.unwrap()).await.1.unwrap_err();
    assert_eq!(failure.to_string(), "the provider's answer was lost: it is not a chat completion");
    let failure = error(provider.complete(&prompt("m")).await);
    assert_eq!(failure.to_string(), "the provider rejected the request: no such model");
}

#[tokio::test]
async fn each_refusal_has_its_kind_and_is_not_repeated() {
    for (status, code) in [
        (400, "provider_rejected_request"),
        (401, "provider_unauthorized"),
        (403, "provider_unauthorized"),
        (404, "provider_rejected_request"),
        (429, "rate_limited"),
        (500, "provider_failed"),
        (503, "provider_overloaded"),
        (504, "provider_timed_out"),
    ] {
        let (stub, provider) =
            scripted([Behaviour::error(status, "no"), Behaviour::error(status, "no")]).await;
        assert_eq!(error(provider.complete(&prompt("m")).await).code(), code, "{status}");
        assert_eq!(stub.requests().len(), 1, "{status}");
        assert_eq!(error(provider.stream(&prompt("m")).await).code(), code, "{status}");
        assert_eq!(stub.requests().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn a_rate_limit_says_how_long_to_wait_and_keeps_the_providers_words() {
    let (_stub, provider) = scripted([Behaviour::rate_limited(3)]).await;
    match error(provider.complete(&prompt("m")).await) {
        ProviderError::RateLimited { message, retry_after } => {
            assert_eq!(message, "Rate limit reached");
            assert_eq!(retry_after, Some(Duration::from_secs(3)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_ends_it_with_the_providers_words() {
    let overloaded = json!({"message": "The engine is overloaded", "type": "overloaded_error", "code": null});
    let (_stub, provider) = scripted([Behaviour::StreamError(strings(&["a "]), overloaded)]).await;
    let (text, end) = collect(provider.stream(&prompt("m")).await.unwrap()).await;
    assert_eq!(text, "a ");
    assert_eq!(error(end).to_string(), "the provider is overloaded: The engine is overloaded");
}

#[tokio::test]
async fn a_withheld_answer_is_an_error_with_its_usage_and_a_cut_one_is_not() {
    let withheld = Behaviour::Answer(Answer::new("").finish_reason("content_filter"));
    let cut = Behaviour::Answer(Answer::new("a").finish_reason("content_filter"));
    let (_stub, provider) = scripted([withheld.clone(), withheld, cut]).await;
    let whole = error(provider.complete(&prompt("m")).await);
    let streamed = error(collect(provider.stream(&prompt("m")).await.unwrap()).await.1);
    for error in [whole, streamed] {
        assert!(matches!(error, ProviderError::ContentFiltered { usage: Some(_), .. }), "{error:?}");
    }
    let end = provider.complete(&prompt("m")).await.unwrap().end;
    assert_eq!(end.finish_reason, FinishReason::ContentFilter);
}

#[tokio::test]
async fn the_words_of_a_refusal_are_the_answer() {
    let refusal = Behaviour::Answer(Answer::new("I will not.").refusal());
    let (_stub, provider) = scripted([refusal.clone(), refusal]).await;
    assert_eq!(provider.complete(&prompt("m")).await.unwrap().text, "I will not.");
    assert_eq!(collect(provider.stream(&prompt("m")).await.unwrap()).await.0, "I will not.");
}

#[tokio::test]
async fn one_connection_serves_one_call_after_the_other() {
    let (stub, provider) = scripted([]).await;
    for _ in 0..3 {
        provider.complete(&prompt("m")).await.unwrap();
    }
    assert_eq!((stub.requests().len(), stub.open_connections()), (3, 1));
}

#[tokio::test]
async fn reasoning_models_are_asked_in_their_own_way_from_the_start() {
    let (stub, provider) = scripted([]).await;
    provider.complete(&prompt("gpt-5-mini")).await.unwrap();
    let body = &stub.requests()[0].body;
    assert_eq!(body["max_completion_tokens"], 100);
    assert!(body.get("max_tokens").is_none() && body.get("temperature").is_none(), "{body}");
}

#[tokio::test]
async fn a_refused_parameter_is_left_out_once_and_for_all() {
    let (stub, provider) =
        scripted([Behaviour::Refuse("max_tokens"), Behaviour::Refuse("temperature")]).await;
    assert_eq!(provider.complete(&prompt("new")).await.unwrap().text, "a language");
    assert_eq!(collect(provider.stream(&prompt("new")).await.unwrap()).await.0, "a language");

    let asked = stub.requests().into_iter().map(|request| {
        ["max_tokens", "max_completion_tokens", "temperature"].map(|name| request.body.get(name).is_some())
    });
    assert_eq!(
        asked.collect::<Vec<_>>(),
        [[true, false, true], [false, true, true], [false, true, false], [false, true, false]]
    );
}

#[tokio::test]
async fn the_key_is_in_no_error_whatever_the_provider_repeats() {
    for status in [400, 401, 429, 500, 503] {
        let (_stub, provider) =
            scripted([Behaviour::EchoSecrets(status), Behaviour::EchoSecrets(status)]).await;
        assert_hidden(&error(provider.complete(&prompt("m")).await), KEY);
        assert_hidden(&error(provider.stream(&prompt("m")).await), KEY);
    }
    let words = json!({"message": format!("{KEY} is a bad key, and so is sk-proj-abcdefgh"), "type": "x"});
    let (_stub, provider) = scripted([Behaviour::StreamError(vec![], words)]).await;
    let failure = error(collect(provider.stream(&prompt("m")).await.unwrap()).await.1);
    assert_hidden(&failure, KEY);
    assert_hidden(&failure, "sk-proj");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable_and_its_password_is_not_shown() {
    let stub = stub().await;
    let base_url = stub.base_url().replace("http://", "http://user:letmein@");
    drop(stub);
    let provider = OpenAi::new(OpenAiSettings { api_key: None, base_url: Some(base_url) });
    let failure = error(provider.complete(&prompt("m")).await);
    assert_eq!(failure.code(), "provider_unreachable");
    assert!(!format!("{failure} {failure:?}").contains("letmein"), "{failure}");
    assert!(failure.to_string().contains("http://127.0.0.1"), "{failure}");
}

#[tokio::test]
async fn an_address_that_is_none_is_a_matter_of_configuration() {
    for address in ["localhost", "ftp://localhost/v1"] {
        let provider = OpenAi::new(OpenAiSettings { api_key: None, base_url: Some(address.into()) });
        assert_eq!(
            error(provider.complete(&prompt("m")).await).code(),
            "provider_not_configured",
            "{address}"
        );
    }
}

#[tokio::test]
async fn a_missing_key_is_an_error_of_the_call_and_of_the_check() {
    let provider = OpenAi::new(OpenAiSettings::default());
    for failure in [error(provider.complete(&prompt("m")).await), error(provider.models().await)] {
        assert_eq!(failure.to_string(), "the provider is not configured: set OPENAI_API_KEY");
    }
    let status = CheckStatus::Unhealthy("set OPENAI_API_KEY".into());
    assert_eq!(provider.check().await, Check { configured: false, status, note: None });
}

#[tokio::test]
async fn a_server_of_ones_own_is_asked_without_a_key() {
    let stub = stub().await;
    let provider = OpenAi::new(OpenAiSettings { api_key: None, base_url: Some(stub.base_url() + "/") });
    assert_eq!(provider.complete(&prompt("m")).await.unwrap().text, "a language");
    assert_eq!(stub.requests()[0].target, "/v1/chat/completions");
    assert_eq!(stub.requests()[0].header("authorization"), None);
}

#[tokio::test]
async fn the_list_of_models_is_sorted_and_has_no_embeddings() {
    let (_stub, provider) = scripted([]).await;
    assert_eq!(provider.models().await.unwrap(), ["gpt-4", "gpt-4o-mini"]);
}

#[tokio::test]
async fn a_check_asks_for_the_models_and_says_what_is_wrong() {
    let (stub, provider) = scripted([]).await;
    assert_eq!(provider.check().await.status, CheckStatus::Healthy);
    stub.refuse_models(401, "Incorrect API key provided");
    let unhealthy = "the provider refused the credential: Incorrect API key provided";
    assert_eq!(provider.check().await.status, CheckStatus::Unhealthy(unhealthy.into()));
    stub.refuse_models(403, "Missing scopes: api.model.read");
    assert_eq!(provider.check().await.status, CheckStatus::Unknown);
    stub.refuse_models(404, "Not Found");
    assert_eq!(provider.check().await.status, CheckStatus::Unknown);
    assert!(stub.chat_requests().is_empty());
}
