//! The JSON and the events of the chat completions API.

use serde_json::{Value, json};

use super::Answer;
use crate::stubs::server::{Request, Step, chunk, chunked_head, last_chunk, response};

pub(super) fn whole(answer: &Answer, request: &Request) -> Value {
    let text = answer.pieces.concat();
    let (content, refusal) = if answer.refusal { (None, Some(text)) } else { (Some(text), None) };
    let mut whole = json!({
        "id": "chatcmpl-stub", "object": "chat.completion", "created": 1_700_000_000,
        "model": answer.model.as_ref().map_or_else(|| request.body["model"].clone(), |model| json!(model)),
        "choices": [{
            "index": 0, "logprobs": null, "finish_reason": answer.finish_reason,
            "message": {"role": "assistant", "content": content, "refusal": refusal, "annotations": []}
        }],
        "service_tier": "default", "system_fingerprint": "fp_stub"
    });
    if let Some(usage) = &answer.usage {
        whole["usage"] = usage.clone();
    }
    whole
}

pub(super) fn stream(answer: &Answer, request: &Request) -> Vec<Step> {
    let wants_usage = request.body["stream_options"]["include_usage"] == true;
    let field = if answer.refusal { "refusal" } else { "content" };
    let role = json!({"role": "assistant", "content": "", "refusal": null});
    let texts = answer.pieces.iter().map(|piece| json!({field: piece}));
    let mut chunks: Vec<_> =
        [role].into_iter().chain(texts).map(|delta| delta_chunk(request, delta)).collect();
    let mut finish = delta_chunk(request, json!({}));
    finish["choices"][0]["finish_reason"] = json!(answer.finish_reason);
    chunks.push(finish);
    if let Some(usage) = answer.usage.as_ref().filter(|_| wants_usage) {
        if !answer.usage_with_finish {
            let mut last = delta_chunk(request, json!({}));
            last["choices"] = json!([]);
            chunks.push(last);
        }
        if let Some(last) = chunks.last_mut() {
            last["usage"] = usage.clone();
        }
    }
    if let Some(model) = &answer.model {
        chunks.iter_mut().for_each(|chunk| chunk["model"] = json!(model));
    }
    let lines = chunks.iter().map(Value::to_string).chain(["[DONE]".to_owned()]);
    events(lines, vec![last_chunk()])
}

pub(super) fn text_chunks<'a>(
    pieces: &'a [String],
    request: &'a Request,
) -> impl Iterator<Item = String> + 'a {
    pieces.iter().map(|piece| text_chunk(request, piece).to_string())
}

pub(super) fn text_chunk(request: &Request, text: &str) -> Value {
    delta_chunk(request, json!({"content": text}))
}

fn delta_chunk(request: &Request, delta: Value) -> Value {
    json!({
        "id": "chatcmpl-stub", "object": "chat.completion.chunk", "created": 1_700_000_000,
        "model": request.body["model"], "service_tier": "default", "system_fingerprint": "fp_stub",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}],
        "usage": null, "obfuscation": "stub"
    })
}

/// A response of Server-Sent Events, and what comes after the last of them.
pub(super) fn events(data: impl Iterator<Item = String>, then: Vec<Step>) -> Vec<Step> {
    let mut steps = vec![chunked_head("text/event-stream; charset=utf-8")];
    steps.extend(data.map(|data| chunk(&event(&data))));
    steps.extend(then);
    steps
}

pub(super) fn event(data: &str) -> Vec<u8> {
    format!("data: {data}\n\n").into_bytes()
}

pub(super) fn ok(body: &Value) -> Step {
    response(200, &[("content-type", "application/json")], body.to_string().as_bytes())
}

pub(super) fn error(status: u16, message: &str) -> Step {
    let body = error_object(message).to_string();
    response(status, &[("content-type", "application/json")], body.as_bytes())
}

pub(super) fn error_object(message: &str) -> Value {
    json!({"error": {"message": message, "type": "stub_error", "param": null, "code": null}})
}

pub(super) fn refused(parameter: &str, value: &Value) -> Step {
    let (code, message) = if parameter == "temperature" {
        (
            "unsupported_value",
            format!("Unsupported value: 'temperature' does not support {value} with this model."),
        )
    } else {
        (
            "unsupported_parameter",
            format!("Unsupported parameter: '{parameter}' is not supported with this model."),
        )
    };
    let body = json!({
        "error": {"message": message, "type": "invalid_request_error", "param": parameter, "code": code}
    });
    response(400, &[("content-type", "application/json")], body.to_string().as_bytes())
}
