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

/// Repeats its key in a line of its log, in an error and in the error's data.
const LEAK: &str = r#"
while read -r line; do
    id=${line#*\"id\":}; id=${id%%[,\}]*}
    answer() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$1"; }
    case $line in
        *'"initialize"'*) answer '"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"leak","version":"1"}}';;
        *'"logging/setLevel"'*)
            answer '"result":{}'
            printf '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":%s}}\n' "\"text $KEY\"" "{\"$KEY\":[\"$KEY\"]}";;
        *'"id"'*) answer "\"error\":{\"code\":-32000,\"message\":\"bad $KEY\",\"data\":{\"keys\":[\"$KEY\"]}}";;
    esac
done"#;

#[tokio::test]
async fn what_a_server_repeats_in_its_log_and_its_errors_is_hidden() {
    let program = Program::new();
    program.file("leak.sh", LEAK);
    let file = program.file(
        "mcp.json",
        &format!(
            r#"{{"mcpServers": {{"leak": {{"command": "sh", "args": ["leak.sh"], "env": {{"KEY": "/{CANARY}"}}}}}}}}"#
        ),
    );
    for (command, shown) in [
        (&["listen", "--count", "2"][..], "text [hidden]"),
        (&["listen", "--count", "2", "--json"], r#""data":{"[hidden]":["[hidden]"]}"#),
        (&["call", "leak", "run", "{}"], "bad [hidden]"),
        (&["call", "leak", "run", "{}", "--json"], r#""data":{"keys":["[hidden]"]}"#),
    ] {
        let done = program.run(&[&["--config", &file, "--era", "legacy"], command].concat()).await;
        assert!(!done.out.contains(CANARY) && !done.err.contains(CANARY), "{command:?}: {done:?}");
        assert!(done.out.contains(shown) || done.err.contains(shown), "{command:?}: {done:?}");
    }
}

#[tokio::test]
async fn a_secret_among_a_programs_arguments_is_neither_listed_nor_in_an_error() {
    let (program, address) = (Program::new(), format!("a=stdio:sh -c exit --token {CANARY}"));
    let file = program.file(
        "mcp.json",
        &format!(r#"{{"servers": {{"b": {{"command": "sh", "args": ["-c", "exit", "--key={CANARY}"]}}}}}}"#),
    );
    for flags in [&["--offline"][..], &["--offline", "--json"], &[], &["--json"]] {
        let command = ["--config", &file, "-s", &address, "servers"];
        let done = program.run(&[&command, flags].concat()).await;
        assert!(!done.out.contains(CANARY) && !done.err.contains(CANARY), "{done:?}");
        assert!(done.out.contains("--token [hidden]") && done.out.contains("--key="), "{done:?}");
    }
}
