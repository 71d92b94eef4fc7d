//! `call`, `read`, `prompt`, `complete`.

use std::fs;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::{Program, Server, ended, run};

#[tokio::test]
async fn a_call_prints_the_answer_alone_on_standard_output_over_every_transport_and_in_both_eras() {
    let server = Server::start();
    for transport in ["http", "websocket", "sse"] {
        for era in ["auto", "modern", "legacy"] {
            let flags = ["--transport", transport, "--era", era];
            let done = run(&[&["call", &server.address(), "echo", "message=hi"][..], &flags].concat()).await;
            assert_eq!((done.code, &*done.out, &*done.err), (Some(0), "Echo: hi\n", ""), "{transport} {era}");
        }
    }
}

#[tokio::test]
async fn arguments_are_json_pairs_text_a_file_or_standard_input() {
    let (server, program) = (Server::start(), Program::new());
    let file = program.file("arguments.json", "{\"message\": \"from a file\"}");
    for (arguments, said) in [
        (&["{\"message\": \"json\"}"][..], "json"),
        (&["message=two words"], "two words"),
        (&["plain", "text"], "plain text"),
        (&[&format!("@{file}")], "from a file"),
    ] {
        let done = program.run(&[&["call", &server.address(), "echo"], arguments].concat()).await;
        assert_eq!((done.code, done.out), (Some(0), format!("Echo: {said}\n")), "{arguments:?}");
    }
    let mut command = program.command(&["call", &server.address(), "echo", "-"]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"{\"message\": \"from a pipe\"}").await.unwrap();
    drop(input);
    assert_eq!(ended(child).await.out, "Echo: from a pipe\n");
}

#[tokio::test]
async fn pairs_get_the_types_of_the_schema() {
    let server = Server::start();
    let done = run(&["call", &server.address(), "add", "a=2", "b=40"]).await;
    assert_eq!((done.code, &*done.out), (Some(0), "42\n"));
    let done = run(&["call", &server.address(), "add", "a=two"]).await;
    assert_eq!((done.code, &*done.out), (Some(2), ""));
    assert!(done.err.contains("`a`") && done.err.contains("integer"), "{}", done.err);
}

#[tokio::test]
async fn tools_are_not_listed_for_arguments_that_need_no_schema() {
    let server = Server::start();
    run(&["call", &server.address(), "echo", "{\"message\": \"hi\"}"]).await;
    assert_eq!((server.seen.calls(), server.seen.lists()), (1, 0));
    run(&["call", &server.address(), "echo", "message=hi"]).await;
    assert_eq!((server.seen.calls(), server.seen.lists()), (2, 1));
}

#[tokio::test]
async fn an_argument_that_is_wanted_as_a_header_is_sent_as_one() {
    let server = Server::start();
    let done = run(&["call", &server.address(), "route", "{\"region\": \"north\"}", "--era", "modern"]).await;
    assert_eq!((done.code, &*done.out), (Some(0), "routed to \"north\"\n"), "{done:?}");
    assert_eq!((server.seen.calls(), server.seen.lists()), (1, 1), "the schema was needed");
}

#[tokio::test]
async fn json_has_the_server_the_tool_and_the_result_as_the_server_gave_it() {
    let server = Server::start();
    let name = format!("a={}", server.address());
    let done = run(&["call", &name, "echo", "hi", "--json"]).await.json();
    assert_eq!((&done["server"], &done["tool"]), (&json!("a"), &json!("echo")));
    assert_eq!(done["result"]["content"], json!([{"type": "text", "text": "Echo: hi"}]));
    let done = run(&["call", &name, "structured", "--json"]).await.json();
    assert_eq!(done["result"]["structuredContent"], json!({"answer": 42}));
}

#[tokio::test]
async fn progress_is_lines_of_json_before_the_result() {
    let server = Server::start();
    let done = run(&["call", &server.address(), "steps", "--json", "--progress"]).await;
    let lines = done.lines();
    let steps: Vec<_> = lines.iter().filter_map(|line| line["progress"]["progress"].as_f64()).collect();
    assert!(steps.is_sorted() && !steps.is_empty(), "{lines:?}");
    assert_eq!(lines.last().unwrap()["result"]["content"][0]["text"], "done");
}

#[tokio::test]
async fn control_characters_of_servers_do_not_reach_standard_output_unless_they_are_asked_for() {
    let server = Server::start();
    for flags in [&[][..], &["--color", "always"], &["--json"]] {
        let done = run(&[&["call", &server.address(), "escape"], flags].concat()).await;
        assert!(!done.out.contains("\x1b[2J") && !done.out.contains('\x07'), "{done:?}");
        assert!(done.out.contains("text"), "{done:?}");
    }
    let done = run(&["call", &server.address(), "escape", "--raw"]).await;
    assert_eq!(done.out, "\x1b[2J\x1b]0;gotcha\x07text\u{9b}31m");
    let done = run(&["tools", &server.address()]).await;
    assert!(done.out.contains("Adds.\\x1b[31m"), "{}", done.out);
}

#[tokio::test]
async fn an_image_is_saved_in_a_folder_of_its_own_and_its_place_is_printed() {
    let (server, program) = (Server::start(), Program::new());
    let done = program.run(&["call", &server.address(), "image"]).await;
    let path = done.out.trim().rsplit(' ').next().unwrap();
    assert_eq!(fs::read(path).unwrap(), b"hello");
    assert!(path.starts_with(program.home.path().to_str().unwrap()) && path.ends_with(".png"), "{path}");
}

#[tokio::test]
async fn a_resource_is_printed_and_binary_content_saved_or_given_raw() {
    let (server, program) = (Server::start(), Program::new());
    assert_eq!(program.run(&["read", &server.address(), "test://text"]).await.out, "a resource\n");
    let output =
        program.command(&["read", &server.address(), "test://blob", "--raw"]).output().await.unwrap();
    assert_eq!(output.stdout, [0, 1, 2, 255]);
    let done = program.run(&["read", &server.address(), "test://blob"]).await;
    let path = done.out.trim().rsplit(' ').next().unwrap();
    assert_eq!(fs::read(path).unwrap(), [0, 1, 2, 255]);
    let done = program.run(&["read", &server.address(), "test://none"]).await;
    assert_eq!(done.code, Some(5));
    assert!(done.err.contains("there is no such resource"), "{}", done.err);
}

#[tokio::test]
async fn a_prompt_is_filled_in_and_its_arguments_are_completed() {
    let server = Server::start();
    let done = run(&["prompt", &server.address(), "greet", "name=Anna"]).await;
    assert_eq!((done.code, &*done.out), (Some(0), "user: Say hello to Anna\n"));
    let done = run(&["prompt", &server.address(), "greet"]).await;
    assert_eq!(done.code, Some(5));
    assert!(done.err.contains("usage: greet name=…"), "{}", done.err);
    let done = run(&["complete", &server.address(), "greet", "name", "ann"]).await;
    assert_eq!(done.out, "anna\nannika\n");
    let done = run(&["complete", &server.address(), "greet", "name", "b", "--json"]).await.json();
    assert_eq!(done["completion"]["values"], json!(["bert"]));
}
