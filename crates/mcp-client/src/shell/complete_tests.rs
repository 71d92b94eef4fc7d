use rmcp::model::{PromptArgument, Resource};
use serde_json::{Value, json};

use super::*;
use crate::{servers::Servers, terminal::TerminalHost};

fn tool(name: &'static str, schema: Value) -> Tool {
    let Value::Object(schema) = schema else { panic!("a schema is an object") };
    Tool::new(name, "What it does", Arc::new(schema))
}

/// Two servers that are not there; what they offer is known.
fn aid() -> CommandAid {
    let host = Arc::new(TerminalHost::new(false, None, Vec::new()));
    let servers = Arc::new(Servers::new(host, upstream::Options::default()));
    for name in ["calc", "files"] {
        servers.add(Some(name), "localhost:1", None).unwrap();
    }
    let catalogue = Catalogue::new(servers);
    let paint = json!({"type": "object", "required": ["color"], "properties": {"at": {"type": "object",
        "properties": {"side": {"enum": ["left"]}}}, "color": {"enum": ["red", "dark red"]}, "loud": {"type": "boolean"}}});
    catalogue.learn(
        "calc",
        vec![tool("paint", paint), tool("echo", json!({})), tool("bad\u{1b}", json!({}))],
        Vec::new(),
        Vec::new(),
    );
    let prompt = Prompt::new(
        "review",
        Some("Review code"),
        Some(vec![PromptArgument::new("language"), PromptArgument::new("code")]),
    );
    catalogue.learn(
        "files",
        vec![tool("list_files", json!({}))],
        vec![Resource::new("file:///a", "a")],
        vec![prompt],
    );
    CommandAid::new(catalogue, true)
}

fn completed(line: &str) -> Vec<String> {
    let (start, found) = aid().complete(line, line.len());
    found.into_iter().map(|candidate| format!("{}{}", &line[..start], candidate.text)).collect()
}

#[tokio::test]
async fn commands_servers_and_tools_are_completed() {
    assert_eq!(completed("bro"), ["broadcast "]);
    assert_eq!(completed("  serv"), ["  servers"]);
    assert_eq!(completed("tools "), ["tools calc ", "tools files "]);
    assert_eq!(completed("call calc "), ["call calc echo ", "call calc paint "]);
    assert_eq!(completed("call files "), ["call files list_files "]);
    assert_eq!(completed("broadcast l"), ["broadcast list_files "]);
    assert_eq!(completed("add x localhost:1 w"), ["add x localhost:1 websocket"]);
    assert_eq!(completed("help sub"), ["help subscribe"]);
    assert_eq!(completed("call calc res"), Vec::<String>::new());
    assert_eq!(completed("call calc resources/r"), ["call calc resources/read "]);
}

#[tokio::test]
async fn the_name_of_a_server_can_be_left_out() {
    assert_eq!(completed("call pa"), ["call paint "]);
    assert_eq!(completed("call paint l"), ["call paint loud="]);
    assert_eq!(completed("call c"), ["call calc "]);
}

#[tokio::test]
async fn arguments_and_their_values_come_from_the_schema() {
    assert_eq!(
        completed("call calc paint "),
        ["call calc paint color=", "call calc paint at=", "call calc paint loud="]
    );
    assert_eq!(
        completed("call calc paint color=red "),
        ["call calc paint color=red at=", "call calc paint color=red loud="]
    );
    assert_eq!(completed("call calc paint color=r"), ["call calc paint color=red "]);
    assert_eq!(
        completed("call calc paint color="),
        ["call calc paint color=red ", "call calc paint color=\"dark red\" "]
    );
    assert_eq!(completed("call calc paint loud=t"), ["call calc paint loud=true "]);
    assert_eq!(completed("call calc paint at.side="), ["call calc paint at.side=left "]);
}

#[tokio::test]
async fn prompts_and_resources_are_completed() {
    assert_eq!(completed("read files f"), ["read files file:///a"]);
    assert_eq!(completed("prompt files "), ["prompt files review "]);
    assert_eq!(completed("prompt files review language=x "), ["prompt files review language=x code="]);
}

#[tokio::test]
async fn a_hint_shows_what_is_still_to_be_given_and_is_not_taken_over() {
    let hint = |line: &str| aid().hint(line, line.len());
    let shown = |text: &str| Some(Suggestion { shown: text.to_owned(), taken: None });
    assert_eq!(hint("remove"), shown(" NAME"));
    assert_eq!(hint("call calc paint "), shown("color=red|dark red [at=OBJECT] [loud=true|false]"));
    assert_eq!(hint("call calc paint loud=true "), shown("color=red|dark red [at=OBJECT]"));
    assert_eq!(hint("call calc paint {\"color\": 1} "), None);
}

#[tokio::test]
async fn colours_change_no_character_of_a_line() {
    for line in
        ["call calc echo x # why", "tolls", "  tools  ", "# all", "> tools", "call a {\"b\": \"# c\"}", "é ü"]
    {
        let colored = aid().colored(line).into_owned();
        let mut plain = String::new();
        let mut rest = colored.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain += before;
            rest = after.split_once('m').unwrap().1;
        }
        assert_eq!(plain + rest, line);
    }
}
