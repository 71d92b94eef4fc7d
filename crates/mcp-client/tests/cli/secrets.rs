//! What is secret stays so, whatever goes wrong.

use crate::support::{Program, Server, nowhere, shell_server};

const CANARY: &str = "canary-7f3a91-secret";

#[tokio::test]
async fn secrets_of_a_file_are_in_no_output_no_log_and_no_error() {
    let (server, none) = (Server::with_key("another"), nowhere().await);
    let program = Program::new().variable("CANARY", CANARY);
    program.file("dies.sh", &shell_server("echo \"my token is $TOKEN\" >&2; echo \"$2\" >&2; exit 1"));
    let file = program.file(
        "mcp.json",
        &format!(
            r#"{{"mcpServers": {{
            "header": {{ "url": "http://{}/mcp", "headers": {{ "Authorization": "Bearer ${{CANARY}}" }} }},
            "query": {{ "url": "http://{none}/mcp?key=${{CANARY}}" }},
            "path": {{ "url": "http://{none}/{CANARY}x/${{CANARY}}/mcp" }},
            "user": {{ "url": "http://me:${{CANARY}}@{none}/mcp" }},
            "child": {{ "command": "sh", "args": ["dies.sh", "--key", "${{CANARY}}"], "env": {{ "TOKEN": "{CANARY}" }} }},
            "none": {{ "command": "/nonexistent/${{CANARY}}", "args": ["${{CANARY}}"] }}
        }}}}"#,
            server.address()
        ),
    );
    for command in [
        &["servers"][..],
        &["servers", "--json"],
        &["servers", "--offline"],
        &["tools"],
        &["tools", "--json"],
        &["info", "--json"],
        &["broadcast", "run"],
        &["broadcast", "run", "--json"],
        &["call", "child", "run", "{}"],
        &["call", "child", "run", "{}", "--json"],
        &["call", "header", "run", "--json"],
        &["read", "query", "x://y"],
        &["--mode", "test", "--idle-timeout", "500ms"],
        &["--mode", "test", "--idle-timeout", "500ms", "--json"],
        &["listen", "--for", "100ms"],
        &["bench", "child", "run"],
    ] {
        let done = program.run(&[&["--config", &file, "-vvv"], command].concat()).await;
        assert!(!done.out.contains(CANARY) && !done.err.contains(CANARY), "{command:?}: {done:?}");
        assert!(!done.out.contains("panicked") && !done.err.contains("panicked"), "{command:?}: {done:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_wrong_does_not_show_what_is_in_it() {
    let program = Program::new().variable("CANARY", CANARY);
    for text in [
        format!("{{\"mcpServers\": {{\"a\": {{\"command\": \"{CANARY}\" oops"),
        format!("{{\"mcpServers\": \"{CANARY}\"}}"),
        format!("{{\"mcpServers\": {{\"a\": {{\"url\": \"{CANARY}\"}}}}}}"),
        format!(
            "{{\"mcpServers\": {{\"a\": {{\"url\": \"http://h:1\", \"headers\": {{\"X\": \"{CANARY}\\u0007\"}}}}}}}}"
        ),
        "{\"mcpServers\": {\"a\": {\"url\": \"gopher://${CANARY}\"}}}".to_owned(),
        format!("{{\"mcpServers\": {{\"a\": {{\"command\": \"x\", \"type\": \"{CANARY}\"}}}}}}"),
    ] {
        let file = program.file("mcp.json", &text);
        let done = program.run(&["--config", &file, "tools", "--json"]).await;
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(!done.out.contains(CANARY) && !done.err.contains(CANARY), "{done:?}");
    }
}

#[tokio::test]
async fn an_address_or_a_header_that_cannot_be_read_is_not_repeated() {
    let program = Program::new();
    for arguments in [
        &["tools", "http://me:canary-7f3a91-secret@:x/"][..],
        &["tools", "localhost:1", "--header", "canary-7f3a91-secret"],
        &["tools", "localhost:1", "--key", "canary-7f3a91-secret\u{7}"],
    ] {
        let done = program.run(arguments).await;
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(!done.out.contains(CANARY) && !done.err.contains(CANARY), "{done:?}");
    }
}
