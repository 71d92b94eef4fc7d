use std::path::PathBuf;

use super::*;

fn parse(text: &str) -> Result<ConfigFile, ConfigError> {
    ConfigFile::parse(text, Path::new("/work/project/.vscode/mcp.json"))
}

fn environment(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("secret-token".to_owned()),
        "EMPTY" => Some(String::new()),
        "HOME" => Some("/home/me".to_owned()),
        "MCP_INPUT_API_KEY" => Some("typed-secret".to_owned()),
        _ => None,
    }
}

fn address(server: &str) -> Result<String, String> {
    let file =
        parse(&format!("{{\"mcpServers\": {{\"a\": {server}}}}}")).map_err(|error| error.to_string())?;
    let server = file.server("a", &environment).map_err(|error| error.to_string())?;
    Ok(server.address.to_string())
}

#[test]
fn the_files_of_every_program_are_read() {
    for (text, names) in [
        // Claude Desktop and Claude Code
        (
            r#"{"mcpServers": {"b": {"command": "x"}, "a": {"type": "http", "url": "http://h/mcp"}}, "other": 1}"#,
            "b a",
        ),
        // Cursor
        (
            r#"{"mcpServers": {"a": {"url": "https://h/sse", "headers": {"X": "y"}, "auth": {"CLIENT_ID": "z"}}}}"#,
            "a",
        ),
        // VS Code's mcp.json, and its settings
        (
            "{\"servers\": {\"a\": {\"type\": \"stdio\", \"command\": \"x\", \"env\": {\"A\": null}}, /* no */}, \"inputs\": [],} // end",
            "a",
        ),
        (r#"{"mcp": {"servers": {"a": {"type": "sse", "url": "http://h/"}}}}"#, "a"),
        // with a mark of its encoding, and something that is switched off
        (
            "\u{feff}{\"mcpServers\": {\"a\": {\"command\": \"x\"}, \"b\": {\"command\": \"x\", \"disabled\": true}}}",
            "a",
        ),
        // Windsurf and Gemini CLI
        (r#"{"mcpServers": {"a": {"serverUrl": "http://h/"}, "b": {"httpUrl": "http://h/"}}}"#, "a b"),
    ] {
        let file = parse(text).unwrap();
        assert_eq!(file.names().collect::<Vec<_>>().join(" "), names, "{text}");
        assert!(file.names().all(|name| file.server(name, &environment).is_ok()), "{text}");
    }
}

#[test]
fn the_type_chooses_the_transport() {
    for (server, expected) in [
        (r#"{"url": "http://h:1/x"}"#, "http://h:1/x"),
        (r#"{"type": "streamable-http", "url": "http://h:1/sse"}"#, "http://h:1/sse"),
        (r#"{"type": "ws", "url": "http://h:1/x"}"#, "ws://h:1/x"),
        (r#"{"command": "a b", "args": ["c d"]}"#, "stdio:'a b' 'c d'"),
    ] {
        assert_eq!(address(server).as_deref(), Ok(expected), "{server}");
    }
}

#[test]
fn variables_are_put_in_and_what_has_no_value_is_told_with_its_place() {
    for (text, expected) in [
        ("${TOKEN}", Ok("secret-token")),
        ("a-${env:TOKEN}-b", Ok("a-secret-token-b")),
        ("${NONE:-de}fault", Ok("default")),
        ("${EMPTY:-default}", Ok("default")),
        ("x${EMPTY}", Ok("x")),
        ("${input:api-key}", Ok("typed-secret")),
        ("${input:with-default}", Ok("given")),
        ("${workspaceFolder}/x", Ok("/work/project/x")),
        ("${workspaceFolderBasename}", Ok("project")),
        ("${userHome}${/}x", Ok("/home/me/x")),
        ("$${TOKEN} pa$word $TOKEN $5 100$", Ok("'${TOKEN} pa$word $TOKEN $5 100$'")),
        ("${NONE}", Err("the environment variable NONE is not set")),
        ("${env:NONE}", Err("the environment variable NONE is not set")),
        ("${input:other}", Err("set the environment variable MCP_INPUT_OTHER")),
        ("${input:nowhere}", Err("there is no input \"nowhere\"")),
        ("${command:x.y}", Err("is not known here")),
        ("${TOKEN", Err("a `${` has no `}`")),
    ] {
        let inputs = r#"[{"id": "api-key", "type": "promptString", "password": true}, {"id": "with-default", "default": "given"}, {"id": "other"}]"#;
        let file = format!(
            "{{\"inputs\": {inputs}, \"servers\": {{\"a\": {{\"command\": \"x\", \"args\": [\"{text}\"]}}}}}}"
        );
        let server = parse(&file).unwrap().server("a", &environment);
        match (server, expected) {
            (Ok(server), Ok(expected)) => {
                assert_eq!(server.address.to_string(), format!("stdio:x {expected}"), "{text}")
            }
            (Err(error), Err(words)) => {
                let error = error.to_string();
                assert!(error.contains(words) && error.contains("servers.a.args.0"), "{text}: {error}");
            }
            (server, _) => panic!("{text}: {server:?}"),
        }
    }
}

#[test]
fn mistakes_are_told_with_their_place_and_without_their_values() {
    for (text, words) in [
        ("", "mcp.json:1:"),
        ("{\n  \"mcpServers\": {\n    \"a\": { // why\n      \"command\": \"x\" \"args\"\n", "mcp.json:4:"),
        ("[]", "an object is expected here, not a list"),
        ("{\"servers\": [\"secret\"]}", "servers: an object is expected here, not a list"),
        (r#"{"servers": {"a": {}}}"#, "servers.a: a server needs a \"command\" or a \"url\""),
        (r#"{"servers": {"a": {"type": "stdio", "url": "secret"}}}"#, "needs a \"command\""),
        (
            r#"{"servers": {"a": {"type": "secret", "url": "x"}}}"#,
            "servers.a.type: allowed are stdio, http, sse and websocket",
        ),
        (
            r#"{"servers": {"a": {"command": "x", "env": {"A": {"secret": 1}}}}}"#,
            "servers.a.env.A: a text is expected",
        ),
        (
            r#"{"servers": {"a": {"command": "x"}}, "mcpServers": {"a": {"command": "y"}}}"#,
            "there is another server of this name",
        ),
        (r#"{"servers": {"": {"command": "x"}}}"#, "a server's name has 1 to 100 visible characters"),
        (r#"{"inputs": [{"type": "promptString"}], "servers": {}}"#, "inputs.0: an input needs an \"id\""),
    ] {
        let error = parse(text).and_then(|file| file.server("a", &environment)).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains("secret\""), "{text}: {error}");
    }
    for (server, words) in [
        (r#"{"url": "gopher://secret"}"#, "mcpServers.a.url: allowed are"),
        (
            r#"{"url": "http://h", "headers": {"b d": "secret"}}"#,
            "mcpServers.a.headers.b d: this is not a header's name",
        ),
        (r#"{"url": "http://h", "headers": {"b": "sec\u0001ret"}}"#, "visible ASCII characters"),
        (
            r#"{"command": "x", "envFile": "/nonexistent/secret.env"}"#,
            "mcpServers.a.envFile: /nonexistent/secret.env cannot be read",
        ),
    ] {
        let error = address(server).unwrap_err();
        assert!(error.contains(words), "{server}: {error}");
    }
}

#[test]
fn secrets_are_in_no_debug_and_can_be_hidden_in_texts() {
    let text = r#"{"servers": {"a": {"url": "http://h/${TOKEN}/x", "headers": {"Authorization": "Bearer abcdef-${TOKEN}"}},
        "b": {"command": "x", "args": ["--key=${TOKEN}", "literal"], "env": {"KEY": "other-secret", "DIR": "/srv/data"}}}}"#;
    let file = parse(text).unwrap();
    let (a, b) = (file.server("a", &environment).unwrap(), file.server("b", &environment).unwrap());
    for shown in [format!("{file:?}"), format!("{a:?} {:?} {:?}", a.headers, a.secrets), format!("{b:?}")] {
        assert!(!shown.contains("secret-token") && !shown.contains("other-secret"), "{shown}");
    }
    assert_eq!(a.secrets.hide("got abcdef-secret-token and secret-token"), "got [hidden] and [hidden]");
    assert_eq!(b.secrets.hide("other-secret in /srv/data"), "[hidden] in [hidden]");
}

#[test]
fn a_secret_is_hidden_wherever_in_the_file_it_stands_and_whatever_it_begins_with() {
    for (server, text) in [
        (r#"{"command": "x", "env": {"KEY": "/abc+def=="}}"#, "/abc+def=="),
        (r#"{"url": "http://h", "headers": {"Authorization": "Bearer /abc+def=="}}"#, "/abc+def=="),
        (r#"{"command": "x", "args": ["--token", "literal-word"]}"#, "literal-word"),
        (r#"{"command": "x", "args": ["${NONE:-default-word}"]}"#, "default-word"),
        (r#"{"command": "x", "args": ["${SLASHED}"]}"#, "/abc+def=="),
    ] {
        let file = parse(&format!("{{\"mcpServers\": {{\"a\": {server}}}}}")).unwrap();
        let environment = |name: &str| (name == "SLASHED").then(|| "/abc+def==".to_owned());
        let server = file.server("a", &environment).unwrap();
        assert_eq!(server.secrets.hide(&format!("a {text} b")), "a [hidden] b");
    }
}

#[test]
fn a_folder_that_a_variable_names_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = parse(r#"{"servers": {"a": {"command": "x", "args": ["${FOLDER}"]}}}"#).unwrap();
    let path = folder.path().to_str().unwrap();
    let server = file.server("a", &|_| Some(path.to_owned())).unwrap();
    assert_eq!(server.secrets.hide(path), path);
}

#[test]
fn a_server_with_a_mistake_is_refused_only_when_it_is_used() {
    let text = r#"{"servers": {"a": {"type": "pigeon", "url": "http://h"}, "b": {"command": "x"},
        "c": {"type": "pigeon", "url": "http://h", "disabled": true}}}"#;
    let file = parse(text).unwrap();
    assert_eq!(file.names().collect::<Vec<_>>(), ["a", "b"]);
    assert!(file.server("b", &environment).is_ok());
    let error = file.server("a", &environment).unwrap_err().to_string();
    assert!(error.contains("servers.a.type: allowed are"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_its_folder_and_its_variables_are_what_the_file_says_wherever_it_is_read() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("srv");
    std::fs::write(&program, "#!/bin/sh\necho $A $B ${C-unset} > seen\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = r#"{"servers": {"a": {"command": "./srv", "env": {"A": 8080, "B": -1.5, "C": null}}}}"#;
    let file = ConfigFile::parse(text, &folder.path().join(".vscode/mcp.json")).unwrap();
    let server = file.server("a", &environment).unwrap();
    assert_eq!(server.address.to_string(), format!("stdio:{}", program.display()));
    let handler = rmcp::model::ClientConfig::default();
    let connected = mcp_transport::connect(&server.address, handler, &Default::default()).await;
    assert!(connected.is_err(), "it ends without a word of MCP");
    assert_eq!(std::fs::read_to_string(folder.path().join("seen")).unwrap(), "8080 -1.5 unset\n");
}

#[test]
fn a_file_of_variables_and_a_folder_start_at_the_workspace() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(".cursor/mcp.json");
    std::fs::write(folder.path().join("extra.env"), "A=one\nB='two words'\n").unwrap();
    let text = r#"{"servers": {"a": {"command": "x", "envFile": "extra.env", "cwd": "sub"}, "b": {"command": "x", "envFile": "bad.env"}}}"#;
    std::fs::write(folder.path().join("bad.env"), "A=one\nsecret line\n").unwrap();
    let file = ConfigFile::parse(text, &path).unwrap();
    let server = file.server("a", &environment).unwrap();
    assert_eq!(server.secrets.hide("two words"), "[hidden]");
    let error = file.server("b", &environment).unwrap_err().to_string();
    assert!(
        error.contains("its entry number 2 is not NAME=value") && !error.contains("secret line"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_too_large_or_not_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcp.json");
    assert!(matches!(ConfigFile::read(&path), Err(ConfigError::Unreadable { .. })));
    std::fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
    assert!(ConfigFile::read(&path).unwrap_err().to_string().contains("more than 1 MiB"));
}
