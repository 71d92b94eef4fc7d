//! The program itself, over standard input and output: what its users do with it.

use std::fs;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

use crate::support::{start, start_network};

#[tokio::test]
async fn a_server_with_all_tools_answers_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("README.md"), "").unwrap();
    let mut program = start(folder.path(), &["--name", "full-server"], &[]);
    let answer = program.client.initialize().await;
    assert_eq!(answer["result"]["serverInfo"]["name"], "full-server");
    for (tool, arguments, text) in [
        ("echo", json!({"message": "Hello WebSocket!"}), "Echo: Hello WebSocket!"),
        ("math_calc", json!({"expression": "2 + 2"}), "2 + 2 = 4"),
        ("math_calc", json!({"expression": "10 * 5"}), "10 * 5 = 50"),
        ("math_calc", json!({"expression": "100 / 4"}), "100 / 4 = 25"),
        ("math_calc", json!({"expression": "2 + 2 * 3"}), "2 + 2 * 3 = 8"),
        ("list_files", json!({"path": "."}), "Files in .:\nREADME.md"),
    ] {
        assert_eq!(program.client.call(tool, arguments).await, (text.to_owned(), false));
    }
    assert!(program.client.call("get_time", json!({})).await.0.starts_with("Current server time: 2"));
    for (tool, arguments) in [
        ("math_calc", json!({"expression": "invalid"})),
        ("list_files", json!({"path": "/nonexistent"})),
        ("run_command", json!({"command": "true"})),
    ] {
        assert!(program.client.call(tool, arguments).await.1, "{tool}");
    }
    let unknown =
        program.client.ask("tools/call", json!({"name": "nonexistent_tool", "arguments": {}})).await;
    assert_eq!(unknown["error"]["code"], -32602);
    let (success, log) = program.end().await;
    assert!(success, "{log}");
}

#[tokio::test]
async fn specialized_servers_have_their_own_tools() {
    let folder = tempfile::tempdir().unwrap();
    let mut calculator = start(folder.path(), &["--name", "calculator", "--tools", "math_calc", "echo"], &[]);
    let mut filesystem = start(folder.path(), &["--name", "filesystem", "--tools", "list_files,echo"], &[]);
    calculator.client.initialize().await;
    filesystem.client.initialize().await;
    assert_eq!(calculator.client.tools().await, ["echo", "math_calc"]);
    assert_eq!(filesystem.client.tools().await, ["echo", "list_files"]);
    let refused = calculator.client.call("list_files", json!({"path": "."})).await;
    assert_eq!(refused, ("Tool 'list_files' is not enabled on this server".to_owned(), true));
    let info = calculator.client.resource("server://info").await;
    assert_eq!((&info["name"], &info["enabledTools"]), (&json!("calculator"), &json!(["echo", "math_calc"])));
}

#[tokio::test]
async fn variables_do_what_flags_do() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("shown")).unwrap();
    fs::write(folder.path().join("shown/a"), "").unwrap();
    let variables = [
        ("TOOL_SERVER_NAME", "by-variable"),
        ("TOOL_SERVER_TOOLS", "run_command list_files"),
        ("TOOL_SERVER_ROOT", "shown"),
        ("TOOL_SERVER_ALLOW_RUN_COMMAND", "1"),
        ("TOOL_SERVER_HOST", ""),
        ("PATH", "/usr/bin:/bin"),
        ("MCP_API_KEY", "private"),
    ];
    let mut program = start(folder.path(), &[], &variables);
    assert_eq!(program.client.initialize().await["result"]["serverInfo"]["name"], "by-variable");
    assert_eq!(program.client.call("list_files", json!({"path": "."})).await.0, "Files in .:\na");
    if cfg!(unix) {
        let (text, _) = program.client.call("run_command", json!({"command": "ls; env"})).await;
        assert!(text.starts_with("Return code: 0\nStdout:\na\n") && text.contains("PATH="), "{text}");
        assert!(!text.contains("private") && !text.contains("TOOL_SERVER"), "{text}");
    }
}

#[tokio::test]
async fn settings_that_do_not_fit_end_it_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let known = "known tools are echo, get_time, list_files, math_calc, run_command";
    for (arguments, words) in [
        (&["--tools", "echo", "fly"][..], &["TOOL_SERVER_TOOLS (or --tools) is `fly`", known][..]),
        (&["--host", "here"], &["TOOL_SERVER_HOST (or --host) is `here`"]),
        (&["--root", "nothing"], &["tool-server could not start", "the root `nothing` cannot be used"]),
    ] {
        let (success, log) = start(folder.path(), arguments, &[]).end().await;
        assert!(!success && words.iter().all(|words| log.contains(words)), "{log}");
    }
}

#[tokio::test]
async fn an_input_that_ends_at_once_is_a_success_and_no_message_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let (success, log) = start(folder.path(), &[], &[]).end().await;
    assert!(success, "{log}");

    let mut program = start(folder.path(), &["--log", "tool_server=trace"], &[]);
    program.client.initialize().await;
    program.client.call("echo", json!({"message": "private words"})).await;
    program.client.call("list_files", json!({"path": "private words"})).await;
    program.client.ask("tools/call", json!({"name": "private words", "arguments": {}})).await;
    let (_, log) = program.end().await;
    assert!(log.contains("call answered") && !log.contains("private words"), "{log}");
}

#[tokio::test]
async fn the_help_lists_the_settings_and_shows_no_key() {
    let help = Command::new(env!("CARGO_BIN_EXE_tool-server"))
        .arg("--help")
        .env("MCP_API_KEY", "private")
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(text.contains("TOOL_SERVER_ALLOW_RUN_COMMAND") && !text.contains("private"), "{text}");
}

/// Sends one message over Streamable HTTP, as clients do since 2026-07-28, and gives the whole response.
async fn post(address: &str, message: &Value) -> String {
    let (method, body) = (message["method"].as_str().unwrap(), message.to_string());
    let name =
        message["params"]["name"].as_str().map(|name| format!("Mcp-Name: {name}\r\n")).unwrap_or_default();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n\
         {name}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn the_network_is_served_until_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, address) = start_network(folder.path(), &["--tools", "echo"], &[]).await;
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "echo",
        "arguments": {"message": "over the network"},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    }});
    let response = post(&address, &message).await;
    assert!(
        response.starts_with("HTTP/1.1 200") && response.contains("Echo: over the network"),
        "{response}"
    );

    #[cfg(unix)]
    {
        let id = child.id().unwrap().to_string();
        assert!(Command::new("/bin/kill").args(["-TERM", &id]).status().await.unwrap().success());
        assert!(child.wait().await.unwrap().success());
    }
}
