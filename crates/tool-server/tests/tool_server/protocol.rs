//! The MCP side: lists, refusals, resources, in both eras.

use serde_json::{Value, json};
use tempfile::TempDir;
use tool_server::{CommandLimits, Options, SetupError, ToolServer};

use crate::support::{Client, connect, options};

const ALL: [&str; 5] = ["echo", "get_time", "list_files", "math_calc", "run_command"];

/// A server with these tools enabled, in an empty folder, after the handshake.
async fn with_tools(tools: Option<&[&str]>) -> (Client, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let tools = tools.map(|tools| tools.iter().map(|&tool| tool.to_owned()).collect());
    let options = Options { tools, ..options(folder.path(), Some(CommandLimits::default())) };
    let (mut client, _) = connect(options);
    client.initialize().await;
    (client, folder)
}

#[tokio::test]
async fn every_tool_is_described_in_full() {
    let (mut client, _folder) = with_tools(None).await;
    let listed = client.ask("tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ALL);
    for tool in tools {
        let name = tool["name"].as_str().unwrap();
        let description = tool["description"].as_str().unwrap();
        assert!(description.len() > 40 && !description.contains('\n'), "{tool}");
        assert!(tool["title"].is_string() && tool["annotations"]["title"] == tool["title"], "{tool}");
        assert_eq!(tool["annotations"]["readOnlyHint"], name != "run_command", "{tool}");
        assert_eq!(tool["annotations"]["openWorldHint"], name == "run_command", "{tool}");
        let schema = &tool["inputSchema"];
        assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)));
        for (argument, about) in schema["properties"].as_object().unwrap() {
            assert!(about["description"].is_string(), "{name}: {argument}");
            assert!(schema["required"].as_array().unwrap().contains(&json!(argument)), "{name}: {argument}");
        }
    }
}

#[tokio::test]
async fn only_the_enabled_tools_are_listed_and_answer() {
    let (mut client, _folder) = with_tools(Some(&["math_calc", "echo"])).await;
    assert_eq!(client.tools().await, ["echo", "math_calc"]);
    assert_eq!(client.call("echo", json!({"message": "hi"})).await, ("Echo: hi".to_owned(), false));
    for (tool, arguments) in [
        ("list_files", json!({"path": "."})),
        ("get_time", json!({})),
        ("run_command", json!({"command": "true"})),
    ] {
        let refusal = format!("Tool '{tool}' is not enabled on this server");
        assert_eq!(client.call(tool, arguments).await, (refusal, true));
    }
}

#[tokio::test]
async fn a_tool_that_there_is_not_is_a_protocol_error() {
    let (mut client, _folder) = with_tools(None).await;
    let answer = client.ask("tools/call", json!({"name": "nonexistent_tool", "arguments": {}})).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert!(!answer.to_string().contains("nonexistent_tool"), "errors are logged: {answer}");
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_answered_with_what_is_wrong() {
    let (mut client, _folder) = with_tools(None).await;
    for (tool, arguments, words) in [
        ("echo", json!({}), "wrong arguments: missing field `message`"),
        (
            "echo",
            json!({"message": 7}),
            "wrong argument `message`: invalid type: integer `7`, expected a string",
        ),
        ("echo", json!({"message": null}), "wrong argument `message`: invalid type: null, expected a string"),
        ("echo", json!({"message": "a", "times": 2}), "`times`, expected `message`"),
        ("get_time", json!({"zone": "UTC"}), "unknown field `zone`, there are no fields"),
        ("math_calc", json!({"expression": ["1"]}), "wrong argument `expression`: invalid type: sequence"),
    ] {
        let (text, failed) = client.call(tool, arguments).await;
        assert!(failed && text.contains(words), "{tool}: {text}");
    }
}

#[tokio::test]
async fn the_tools_that_only_compute_answer() {
    let (mut client, _folder) = with_tools(None).await;
    let calculated = client.call("math_calc", json!({"expression": " 2 + 2 * 3 "})).await;
    assert_eq!(calculated, ("2 + 2 * 3 = 8".to_owned(), false));
    let (refusal, failed) = client.call("math_calc", json!({"expression": "invalid"})).await;
    assert!(failed && refusal.starts_with("unknown name `invalid` at character 1"), "{refusal}");
    assert_eq!(
        client.call("math_calc", json!({"expression": "1/0"})).await,
        ("division by zero".to_owned(), true)
    );
    let (time, failed) = client.call("get_time", json!({})).await;
    let time = time.strip_prefix("Current server time: ").unwrap();
    let time: jiff::Timestamp = time.parse().unwrap();
    assert!(!failed && (jiff::Timestamp::now() - time).get_hours() == 0, "{time}");
}

#[tokio::test]
async fn files_are_listed_below_the_root_alone() {
    let (mut client, folder) = with_tools(None).await;
    std::fs::create_dir(folder.path().join("docs")).unwrap();
    std::fs::write(folder.path().join("a.txt"), "").unwrap();
    let listed = client.call("list_files", json!({"path": "."})).await;
    assert_eq!(listed, ("Files in .:\na.txt\ndocs/".to_owned(), false));
    let listed = client.call("list_files", json!({"path": "docs"})).await;
    assert_eq!(listed, ("Files in docs:".to_owned(), false));
    for (path, reason) in [
        ("nothing", "does not exist"),
        ("a.txt", "is not a folder"),
        ("..", "is outside the folder that this server shows"),
        ("/nonexistent", "is outside the folder that this server shows"),
    ] {
        let listed = client.call("list_files", json!({"path": path})).await;
        assert_eq!(listed, (format!("`{path}` {reason}"), true));
    }
}

#[tokio::test]
async fn the_resources_tell_what_the_server_is_and_did() {
    let (mut client, _folder) = with_tools(Some(&["echo", "get_time"])).await;
    let listed = client.ask("resources/list", json!({})).await;
    let uris: Vec<_> =
        listed["result"]["resources"].as_array().unwrap().iter().map(|one| &one["uri"]).collect();
    assert_eq!(uris, ["server://info", "server://stats"]);
    let templates = client.ask("resources/templates/list", json!({})).await;
    assert_eq!(templates["result"]["resourceTemplates"], json!([]));

    let info = client.resource("server://info").await;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(info, json!({"name": "test", "version": version, "enabledTools": ["echo", "get_time"]}));

    let before = client.resource("server://stats").await;
    client.call("echo", json!({"message": "a"})).await;
    client.call("echo", json!({})).await; // an error, and a call
    client.call("math_calc", json!({"expression": "1"})).await; // an error, and no call
    client.ask("tools/call", json!({"name": "nonexistent_tool"})).await; // an error
    let after = client.resource("server://stats").await;
    let grown = |figure: &str| after[figure].as_u64().unwrap() - before[figure].as_u64().unwrap();
    assert_eq!((grown("requestsServed"), grown("errors")), (5, 3), "{before} {after}");
    let calls = json!({"echo": 2, "get_time": 0, "list_files": 0, "math_calc": 0, "run_command": 0});
    assert_eq!(after["toolCalls"], calls);
    assert!(after["uptimeSeconds"].is_u64());
    assert!(after["residentMemoryBytes"].as_u64().is_none_or(|bytes| bytes > 1 << 20), "{after}");
}

#[tokio::test]
async fn an_unknown_resource_is_an_error_that_names_it() {
    let (mut client, _folder) = with_tools(None).await;
    let answer = client.ask("resources/read", json!({"uri": "server://nothing"})).await;
    assert_eq!(answer["error"]["code"], -32002, "{answer}");
    assert_eq!(answer["error"]["data"], json!({"uri": "server://nothing"}));
}

#[tokio::test]
async fn clients_without_a_handshake_are_answered_too() {
    let folder = tempfile::tempdir().unwrap();
    let (mut client, _) = connect(options(folder.path(), None));
    let found = client.ask_modern("server/discover", json!({})).await;
    let capabilities = &found["result"]["capabilities"];
    assert!(capabilities["tools"].is_object() && capabilities["resources"].is_object(), "{found}");
    let called =
        client.ask_modern("tools/call", json!({"name": "echo", "arguments": {"message": "a"}})).await;
    assert_eq!(called["result"]["content"][0]["text"], "Echo: a");
    let missing = client.ask_modern("resources/read", json!({"uri": "server://nothing"})).await;
    assert_eq!(missing["error"]["code"], -32602, "{missing}");
    for (uri, ttl, scope) in [("server://info", 300_000, "public"), ("server://stats", 0, "private")] {
        let read = client.ask_modern("resources/read", json!({"uri": uri})).await;
        let result = &read["result"];
        assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(ttl), &json!(scope)), "{read}");
    }
}

#[tokio::test]
async fn a_cursor_that_no_page_came_with_is_refused() {
    let (mut client, _folder) = with_tools(None).await;
    for method in ["tools/list", "resources/list", "resources/templates/list"] {
        let answer = client.ask(method, json!({"cursor": "p7"})).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
}

#[tokio::test]
async fn the_handshake_tells_the_name_that_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let (mut client, _) = connect(Options { name: "math-server".to_owned(), ..options(folder.path(), None) });
    let answer: Value = client.initialize().await;
    assert_eq!(answer["result"]["serverInfo"]["name"], "math-server");
}

#[tokio::test]
async fn run_command_is_off_unless_it_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Some(vec!["run_command".to_owned(), "echo".to_owned()]);
    let (mut client, _) = connect(Options { tools: asked, ..options(folder.path(), None) });
    client.initialize().await;
    assert_eq!(client.tools().await, ["echo"]);
    let (text, failed) = client.call("run_command", json!({"command": "touch here"})).await;
    assert_eq!((text.as_str(), failed), ("Tool 'run_command' is not enabled on this server", true));
    assert!(!folder.path().join("here").exists());
}

#[test]
fn a_server_that_cannot_work_is_not_built() {
    let folder = tempfile::tempdir().unwrap();
    let missing = options(&folder.path().join("nothing"), None);
    assert!(matches!(ToolServer::new(missing).err(), Some(SetupError::Root(..))));
    let unknown = Options { tools: Some(vec!["fly".to_owned()]), ..options(folder.path(), None) };
    let refusal = ToolServer::new(unknown).err().unwrap().to_string();
    assert_eq!(refusal, format!("`fly` is not a tool: known are {}", ALL.join(", ")));
}
