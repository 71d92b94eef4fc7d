//! What goes wrong, with the exit status that says so.

use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::support::{Program, Server, ended, nowhere, run, says, shell_server, silent, soon};

#[tokio::test]
async fn the_exit_status_says_what_went_wrong() {
    let (server, locked) = (Server::start(), Server::with_key("right"));
    let (none, (_listener, hangs)) = (nowhere().await, silent().await);
    let address = server.address();
    for (arguments, code, words) in [
        (&["call", &address, "fail"][..], 1, ""),
        (&["call", &address, "ecko"], 2, "did you mean echo?"),
        (&["call", &address, "echo", "x=1", "--json", "--raw", "--color", "sometimes"], 2, "always"),
        (&["call", "nobody", "echo"], 2, "there is no server \"nobody\""),
        (&["tools"], 2, "no server is given"),
        (&[&address, "servers", "x"], 2, "after the command"),
        (&["call", &none, "echo"], 3, "is it running?"),
        (&["call", &hangs, "echo", "--connect-timeout", "200ms"], 3, "200ms"),
        (&["call", &address, "wait", "--timeout", "300ms"], 3, "--timeout"),
        (&["call", "stdio:/nonexistent/server", "echo"], 3, "cannot be started"),
        (&["call", &locked.address(), "echo"], 4, "MCP_CLIENT_KEY"),
        (&["call", &address, "echo", "{}"], 5, "missing: message (string)"),
        (&["call", &format!("http://{address}/nothing"), "echo"], 5, "nothing is here"),
    ] {
        let done = run(arguments).await;
        assert_eq!(done.code, Some(code), "{arguments:?}: {done:?}");
        assert!(done.err.contains(words), "{arguments:?}: {}", done.err);
    }
}

#[tokio::test]
async fn with_json_a_failure_is_a_document_too() {
    let none = nowhere().await;
    let done = run(&["call", &format!("a={none}"), "echo", "--json"]).await;
    let document = done.json();
    assert_eq!((&document["server"], &document["tool"]), (&json!("a"), &json!("echo")));
    assert_eq!(document["error"]["kind"], "unreachable");
    let server = Server::start();
    let document = run(&["call", &server.address(), "echo", "{}", "--json"]).await.json();
    assert_eq!((&document["error"]["kind"], &document["error"]["code"]), (&json!("refused"), &json!(-32602)));
    let document = run(&["tools", "nobody", "--json"]).await.json();
    assert_eq!(document["error"]["kind"], "usage");
}

#[tokio::test]
async fn what_a_program_that_dies_wrote_to_its_standard_error_is_shown() {
    let dies = shell_server("echo 'out of \x1b[31mcheese' >&2; exit 7");
    let program = Program::new();
    let file = program.file("server.sh", &dies);
    let done = program.run(&["call", &format!("stdio:sh {file}"), "run", "{}"]).await;
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(done.err.contains("cheese") && !done.err.contains('\x1b'), "{}", done.err);
}

#[tokio::test]
async fn a_program_as_server_is_called_and_ends_with_the_client() {
    let program = Program::new();
    let file = program.file("server.sh", &shell_server(&says("it is $$")));
    let done = program.run(&["call", &format!("stdio:sh {file}"), "run", "{}"]).await;
    let pid = done.out.strip_prefix("it is ").unwrap().trim();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "it is still running");
}

#[tokio::test]
async fn a_key_opens_a_server_that_wants_one_and_is_never_repeated() {
    let server = Server::with_key("the-right-key");
    let program = Program::new().variable("MCP_CLIENT_KEY", "the-right-key");
    let done = program.run(&["call", &server.address(), "echo", "hi"]).await;
    assert_eq!((done.code, &*done.out), (Some(0), "Echo: hi\n"));
    let done =
        run(&["call", &server.address(), "echo", "hi", "--header", "Authorization: Bearer the-right-key"])
            .await;
    assert_eq!((done.code, &*done.out), (Some(0), "Echo: hi\n"));
    for wrong in ["the-wrong-key", "not\u{e4}scii-key"] {
        let program = Program::new().variable("MCP_CLIENT_KEY", wrong);
        let done = program.run(&["call", &server.address(), "echo", "hi", "--json", "-vvv"]).await;
        assert!(matches!(done.code, Some(2 | 4)), "{done:?}");
        assert!(!done.out.contains(wrong) && !done.err.contains(wrong), "{done:?}");
    }
}

#[tokio::test]
async fn nobody_reading_the_output_is_no_error() {
    let server = Server::start();
    let mut child = Program::new().command(&["ping", &server.address(), "-n", "3"]).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    soon(out.read_u8()).await.unwrap();
    drop(out);
    let done = ended(child).await;
    assert_eq!((done.code, &*done.err), (Some(0), ""), "{done:?}");
}

#[tokio::test]
async fn empty_variables_are_not_set() {
    let server = Server::start();
    let program = Program::new().variable("MCP_CLIENT_KEY", "").variable("MCP_CLIENT_TIMEOUT", "");
    assert_eq!(program.run(&["call", &server.address(), "echo", "hi"]).await.out, "Echo: hi\n");
}

#[tokio::test]
async fn nothing_of_the_working_directory_is_read_without_being_asked_for() {
    let server = Server::start();
    let program = Program::new();
    program.file(".env", "MCP_CLIENT_TIMEOUT=nonsense\nHTTP_PROXY=http://127.0.0.1:1\n");
    let mark = program.home.path().join("it-ran");
    let command = format!(
        "{{\"mcpServers\": {{\"evil\": {{\"command\": \"touch\", \"args\": [\"{}\"]}}}}}}",
        mark.display()
    );
    program.file("mcp.json", &command);
    program.file(".mcp.json", &command);
    let mut child = program.command(&["call", &server.address(), "echo", "hi"]);
    let done = ended(child.stdin(Stdio::null()).spawn().unwrap()).await;
    assert_eq!((done.code, &*done.out), (Some(0), "Echo: hi\n"), "{done:?}");
    assert_eq!(program.run(&["servers"]).await.code, Some(2));
    assert!(!mark.exists());
}
