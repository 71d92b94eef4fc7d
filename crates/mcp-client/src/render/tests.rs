use rmcp::model::{ContentBlock, ErrorData, PromptMessage, ResourceContents};
use serde_json::json;

use super::*;

fn renderer(color: bool) -> (Renderer, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Renderer::new(color, 80, folder.path().join("media")), folder)
}

fn result(blocks: Vec<ContentBlock>) -> CallToolResult {
    CallToolResult::success(blocks)
}

#[test]
fn text_is_shown_as_text_and_json_in_it_indented_where_a_person_reads_it() {
    let text = result(vec![ContentBlock::text("{\"a\":1}"), ContentBlock::text("plain\x1b[2J")]);
    assert_eq!(renderer(false).0.tool_result(&text), "{\"a\":1}\nplain\\x1b[2J");
    let shown = renderer(true).0.tool_result(&text);
    assert_eq!(shown, "{\n  \x1b[36m\"a\"\x1b[0m: \x1b[33m1\x1b[0m\n}\nplain\\x1b[2J");
}

#[test]
fn structured_content_is_shown_once() {
    let both = CallToolResult::structured(json!({"answer": 42}));
    assert_eq!(renderer(false).0.tool_result(&both), "{\n  \"answer\": 42\n}");
    let mut other = CallToolResult::structured(json!({"answer": 42}));
    other.content = vec![ContentBlock::text("forty-two")];
    assert_eq!(renderer(false).0.tool_result(&other), "forty-two\n{\n  \"answer\": 42\n}");
}

#[test]
fn media_is_saved_and_links_and_embedded_resources_are_named() {
    let (renderer, folder) = renderer(false);
    let link = Resource::new("file:///x\x1b.txt", "a file").with_mime_type("text/plain");
    let all = result(vec![
        ContentBlock::image("aGVsbG8=", "image/png"),
        ContentBlock::audio("aGVsbG8=", "audio/wav"),
        ContentBlock::image("not base64!", "image/png"),
        ContentBlock::resource_link(link),
        ContentBlock::resource(ResourceContents::text("inside", "test://embedded")),
    ]);
    let shown = renderer.tool_result(&all);
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with("[image image/png, 5 bytes] ") && lines[0].ends_with(".png"), "{shown}");
    assert!(lines[1].starts_with("[audio audio/wav, 5 bytes] ") && lines[1].ends_with(".wav"), "{shown}");
    assert_eq!(lines[2], "error: image image/png cannot be saved: it is not base64");
    assert_eq!(lines[3..], ["→ a file file:///x\\x1b.txt (text/plain)", "[test://embedded]", "inside"]);
    assert_eq!(std::fs::read_dir(folder.path().join("media")).unwrap().count(), 2);
}

#[test]
fn a_failure_of_the_tool_and_an_empty_result_are_told() {
    let (renderer, _folder) = renderer(false);
    let failed = CallToolResult::error(vec![ContentBlock::text("no")]);
    assert_eq!(renderer.tool_result(&failed), "the tool failed: no");
    assert_eq!(renderer.tool_result(&result(Vec::new())), "(an empty result)");
}

#[test]
fn prompts_have_their_roles_and_long_text_is_not_lost() {
    let (renderer, _folder) = renderer(false);
    let long = "word ".repeat(10_000);
    let prompt =
        GetPromptResult::new(vec![PromptMessage::new_text(rmcp::model::Role::Assistant, long.clone())]);
    assert_eq!(renderer.prompt(&prompt), format!("assistant: {long}"));
}

#[test]
fn errors_say_what_to_do_and_hide_what_is_secret() {
    let (renderer, _folder) = renderer(false);
    let mut secrets = Secrets::default();
    secrets.add("Bearer top-secret");
    let renderer = renderer.hiding(&secrets);
    let error = CallError::Refused(ErrorData::invalid_params("no top-secret\x1b[31m", None));
    assert_eq!(
        renderer.call_error("a\n", &error),
        "error: a\\n: the server refuses: no [hidden]\\x1b[31m (code -32602)"
    );
    let error = CallError::TimedOut(std::time::Duration::from_secs(5));
    assert!(renderer.call_error("a", &error).contains("--timeout"));
}

#[test]
fn a_hint_reaches_the_terminal_without_control_characters() {
    let hint = "it has \x1b[2Jgotcha".to_owned();
    let failure = Failure::usage("there is no tool").with_hint(Some(hint));
    let shown = renderer(false).0.failure("a", &failure);
    assert_eq!(shown, "error: a: there is no tool\n       it has \\x1b[2Jgotcha");
}
