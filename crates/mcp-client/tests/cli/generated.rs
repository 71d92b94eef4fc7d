//! Help, completions and man pages.

use std::fs;

use crate::support::{Program, run};

#[tokio::test]
async fn help_teaches_with_examples_the_forms_of_addresses_and_the_exit_status() {
    let done = run(&["--help"]).await;
    assert_eq!(done.code, Some(0));
    for words in
        ["mcp-client call localhost:8080", "'stdio:COMMAND …'", "0    success", "MCP_CLIENT_KEY", "broadcast"]
    {
        assert!(done.out.contains(words), "{words}: {}", done.out);
    }
    assert!(run(&["call", "--help"]).await.out.contains("Examples:"));
}

#[tokio::test]
async fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = run(&["completions", shell]).await;
        assert_eq!(done.code, Some(0));
        assert!(done.out.contains("broadcast") && done.out.contains("transport"), "{shell}");
    }
}

#[tokio::test]
async fn there_is_a_man_page_of_everything_and_of_each_command() {
    let done = run(&["man"]).await;
    assert!(done.out.contains(".TH mcp-client 1") && done.out.contains("\\-\\-transport"), "{}", done.out);
    let program = Program::new();
    assert_eq!(program.run(&["man", "pages"]).await.code, Some(0));
    let call = fs::read_to_string(program.home.path().join("pages/mcp-client-call.1")).unwrap();
    assert!(call.contains("standard input"), "{call}");
}
