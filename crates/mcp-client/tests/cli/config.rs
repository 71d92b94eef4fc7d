//! `--config`: files as other programs write them.

use crate::support::{Program, Server, says, shell_server};

#[tokio::test]
async fn servers_of_a_file_are_used_by_name_and_only_those() {
    let (server, program) = (Server::start(), Program::new());
    let mark = program.home.path().join("it-ran");
    let file = program.file(
        "mcp.json",
        &format!(
            r#"{{
            // as Claude Desktop writes it, with a comment
            "mcpServers": {{
                "net": {{ "url": "http://{}/mcp", "headers": {{ "X-Key": "${{KEY:-none}}" }} }},
                "other": {{ "command": "touch", "args": ["{}"] }},
                "off": {{ "command": "false", "disabled": true }},
            }},
            "globalShortcut": "Ctrl+Space",
        }}"#,
            server.address(),
            mark.display()
        ),
    );
    let done = program.run(&["--config", &file, "call", "net", "echo", "hi"]).await;
    assert_eq!((done.code, &*done.out, mark.exists()), (Some(0), "Echo: hi\n", false), "{done:?}");
    let done = program.run(&["--config", &file, "servers", "--offline"]).await;
    assert!(
        done.out.contains("net") && done.out.contains("other") && !done.out.contains("off"),
        "{}",
        done.out
    );
    let done = program.run(&["--config", &file, "call", "nett", "echo"]).await;
    assert_eq!(done.code, Some(2));
    assert!(done.err.contains("did you mean \"net\"?"), "{}", done.err);
    assert_eq!(program.run(&["--config", &file, "call", "off", "echo"]).await.code, Some(2));
}

#[tokio::test]
async fn a_program_gets_its_arguments_variables_and_folder_from_the_file() {
    let program = Program::new().variable("TOKEN_FROM_OUTSIDE", "outer-value").variable("NOT_PASSED", "leak");
    program
        .file("work/server.sh", &shell_server(&says("$1 $FROM_FILE $EXPANDED $NOT_PASSED $(basename $PWD)")));
    program.file("work/extra.env", "FROM_FILE=\"of the file\"\n");
    let file = program.file(
        "work/.vscode/mcp.json",
        r#"{
            "inputs": [{ "type": "promptString", "id": "first-word", "default": "word" }],
            "servers": { "sh": {
                "type": "stdio", "command": "sh", "args": ["${workspaceFolder}/server.sh", "${input:first-word}"],
                "env": { "EXPANDED": "${env:TOKEN_FROM_OUTSIDE}" }, "envFile": "${workspaceFolder}/extra.env", "cwd": "."
            } }
        }"#,
    );
    let done = program.run(&["--config", &file, "call", "sh", "run", "{}"]).await;
    assert_eq!(done.out.trim(), "word of the file outer-value  work", "{done:?}");
}

#[tokio::test]
async fn a_mistake_in_a_file_is_told_with_its_place() {
    let program = Program::new();
    for (text, words) in [
        ("{\n  \"mcpServers\": {\n    oops\n", "mcp.json:3:5"),
        ("{}", "there is no \"mcpServers\""),
        (r#"{"mcpServers": {"a": {"command": "x", "url": "http://h"}}}"#, "mcpServers.a: "),
        (
            r#"{"mcpServers": {"a": {"command": "x", "args": [1]}}}"#,
            "mcpServers.a.args.0: a text is expected",
        ),
        (r#"{"mcpServers": {"a": {"url": "gopher://h"}}}"#, "mcpServers.a.url: allowed are"),
        (
            r#"{"mcpServers": {"a": {"command": "${MISSING_ONE}"}}}"#,
            "mcpServers.a.command: the environment variable MISSING_ONE is not set",
        ),
        (r#"{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}"#, "\"a\" is there twice"),
    ] {
        let file = program.file("mcp.json", text);
        let done = program.run(&["--config", &file, "tools"]).await;
        assert_eq!(done.code, Some(2), "{text}: {done:?}");
        assert!(done.err.contains(words), "{text}: {}", done.err);
    }
}
