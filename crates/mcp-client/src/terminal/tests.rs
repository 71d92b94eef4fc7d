use rmcp::model::{ElicitationAction, SamplingMessage};
use serde_json::{Value, json};

use super::*;

/// Somebody at a terminal who types these lines.
fn person(lines: &[&str]) -> TerminalHost {
    let host = TerminalHost::new(false, None, Vec::new());
    host.screen.record();
    host.screen.set_interactive();
    host.keyboard.type_ahead(lines);
    host
}

fn form() -> ElicitRequestParams {
    let schema = json!({"type": "object", "required": ["name"], "properties": {
        "age": {"type": "integer", "minimum": 0}, "name": {"type": "string", "title": "Your name"}, "news": {"type": "boolean", "default": true}}});
    serde_json::from_value(json!({"mode": "form", "message": "Who are you?", "requestedSchema": schema}))
        .unwrap()
}

fn link(url: &str) -> ElicitRequestParams {
    serde_json::from_value(json!({"mode": "url", "message": "Log in", "url": url, "elicitationId": "1"}))
        .unwrap()
}

async fn answered(host: &TerminalHost, request: ElicitRequestParams) -> (ElicitationAction, Option<Value>) {
    let result = host.elicit("calc", request).await.unwrap();
    (result.action, result.content)
}

#[tokio::test]
async fn a_form_is_asked_field_by_field_and_sent_only_after_it_was_shown() {
    let host = person(&["old", "36", "Ada", "", "maybe", "y"]);
    let answer = answered(&host, form()).await;
    assert_eq!(answer, (ElicitationAction::Accept, Some(json!({"age": 36, "name": "Ada", "news": true}))));
    let seen = host.screen.recorded();
    assert!(seen.contains("calc asks: Who are you?"), "{seen}");
    assert!(seen.contains("it must be an integer"), "{seen}");
    assert!(seen.contains("This would be sent to calc:\n  age: 36\n  name: Ada\n  news: yes\n"), "{seen}");
}

#[tokio::test]
async fn a_form_can_be_declined_cancelled_gone_back_in_and_edited() {
    for (lines, action) in [
        (vec!["/decline"], ElicitationAction::Decline),
        (vec!["36", "/cancel"], ElicitationAction::Cancel),
        (vec!["^C"], ElicitationAction::Cancel),
        (vec!["36", "Ada", "", "d"], ElicitationAction::Decline),
        (vec!["36", "Ada", "", "c"], ElicitationAction::Cancel),
        (vec!["36", "Ada", "", "^C"], ElicitationAction::Cancel),
        (vec![], ElicitationAction::Cancel),
    ] {
        assert_eq!(answered(&person(&lines), form()).await, (action, None), "{lines:?}");
    }
    let (_, content) = answered(&person(&["36", "/back", "37", "Ada", "no", "y"]), form()).await;
    assert_eq!(content.unwrap(), json!({"age": 37, "name": "Ada", "news": false}));
    let (_, content) = answered(&person(&["36", "Ada", "", "e", "", "Bob", "", "y"]), form()).await;
    assert_eq!(content.unwrap(), json!({"name": "Bob", "news": true}));
}

#[tokio::test]
async fn a_link_is_shown_whole_with_its_host_and_needs_consent() {
    let host = person(&["", "y"]);
    let url = "https://example.org/login?state=1";
    assert_eq!(answered(&host, link(url)).await.0, ElicitationAction::Accept);
    let seen = host.screen.recorded();
    assert!(seen.contains("  link: https://example.org/login?state=1\n  host: example.org\n"), "{seen}");
    assert_eq!(answered(&person(&["d"]), link(url)).await.0, ElicitationAction::Decline);
    assert_eq!(answered(&person(&["^C"]), link(url)).await.0, ElicitationAction::Cancel);
    // Nobody is asked about what no browser should open.
    assert_eq!(answered(&person(&["y"]), link("file:///etc/passwd")).await.0, ElicitationAction::Decline);
}

#[tokio::test]
async fn what_a_server_says_cannot_control_the_terminal() {
    let host = person(&["/decline"]);
    let request = json!({"mode": "form", "message": "a\u{1b}[2Jb\rc", "requestedSchema": {"type": "object", "properties": {"x\u{7}": {"type": "string"}}}});
    host.elicit("calc\u{1b}", serde_json::from_value(request).unwrap()).await.unwrap();
    let choices = person(&["b", "/decline"]);
    let request = json!({"mode": "form", "message": "Which?", "requestedSchema": {"type": "object", "properties": {"x": {"type": "string", "enum": ["a\u{1b}[2J"]}}}});
    choices.elicit("calc", serde_json::from_value(request).unwrap()).await.unwrap();
    for seen in [host.screen.recorded(), choices.screen.recorded()] {
        assert!(!seen.chars().any(|c| c.is_control() && c != '\n'), "{seen:?}");
    }
}

#[tokio::test]
async fn without_a_terminal_nobody_is_asked() {
    let host = TerminalHost::new(false, None, Vec::new());
    host.screen.record();
    assert_eq!(answered(&host, form()).await, (ElicitationAction::Cancel, None));
    assert!(host.screen.recorded().contains("nobody is at a terminal"));
}

#[tokio::test]
async fn roots_are_whole_uris_with_names() {
    let host = TerminalHost::new(false, None, vec![PathBuf::from("/srv/my files"), PathBuf::from("here")]);
    let roots = host.roots("calc").await.unwrap().roots;
    assert_eq!(
        (roots[0].uri.as_str(), roots[0].name.as_deref()),
        ("file:///srv/my%20files/", Some("my files"))
    );
    assert!(roots[1].uri.starts_with("file:///") && roots[1].uri.ends_with("/here/"));
    assert!(host.abilities().roots && !TerminalHost::new(false, None, Vec::new()).abilities().roots);
}

#[tokio::test]
async fn a_question_for_a_model_that_is_refused_is_sent_nowhere() {
    let url = "http://127.0.0.1:1".parse().unwrap();
    let host = TerminalHost::new(false, Some(url), Vec::new());
    host.screen.record();
    host.keyboard.type_ahead(&["n", "^C", "y"]);
    let question = || CreateMessageRequestParams::new(vec![SamplingMessage::user_text("Why?")], 50);
    for _ in 0..2 {
        let error = host.sample("calc", question()).await.unwrap_err();
        assert_eq!((error.code.0, error.message.as_ref()), (-1, "the user rejected the sampling request"));
    }
    assert!(
        host.screen
            .recorded()
            .contains("calc wants to ask a model, through http://127.0.0.1:1:\n  user: Why?")
    );
    // With consent it is sent, and nobody is there.
    let error = host.sample("calc", question()).await.unwrap_err();
    assert!(error.message.contains("connection refused"), "{}", error.message);
    assert!(!TerminalHost::new(false, None, Vec::new()).abilities().sampling);
}

#[tokio::test]
async fn a_server_that_may_always_ask_is_not_asked_about_again() {
    let host = TerminalHost::new(false, Some("http://127.0.0.1:1".parse().unwrap()), Vec::new());
    host.screen.record();
    host.keyboard.type_ahead(&["what", "a", "n"]);
    let question = || CreateMessageRequestParams::new(vec![SamplingMessage::user_text("Why?")], 50);
    for _ in 0..2 {
        let error = host.sample("calc", question()).await.unwrap_err();
        assert!(error.message.contains("connection refused"), "{}", error.message);
    }
    // It holds for this server alone.
    assert_eq!(host.sample("files", question()).await.unwrap_err().code.0, -1);
    // The next one of this name is another one.
    host.notice("calc", Notice::Status(Status::Closed));
    host.keyboard.type_ahead(&["n"]);
    assert_eq!(host.sample("calc", question()).await.unwrap_err().code.0, -1);
}
