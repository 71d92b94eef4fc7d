//! Secrets of configuration files, keys and passwords are in nothing that the client writes.

use std::{collections::HashMap, path::Path};

use e2e::{
    mcp_client::{McpClient, Run},
    programs::Program,
};
use serde_json::json;

use crate::{Story, screen::CONTROL_D, shell::Shell};

const HEADER: &str = "canary1.header.9f8e7d6c5b4a";
const QUERY: &str = "canary2.query.3928170a6b5c";
const PASSWORD: &str = "canary3.password.4d3e2f1a0b";
const VARIABLE: &str = "canary4.variable.c9d8e7f6a5";
const EXPANDED: &str = "canary5.expanded.b4a3928170";
const KEY: &str = "canary6.key.0f1e2d3c4b5a69";
const TYPED: &str = "canary7.typed.78695a4b3c2d";
const SECRETS: [&str; 7] = [HEADER, QUERY, PASSWORD, VARIABLE, EXPANDED, KEY, TYPED];

/// What was written somewhere, and where.
#[derive(Default)]
struct Evidence(Vec<(String, String)>);

impl Evidence {
    fn run(&mut self, about: &str, run: &Run) {
        self.0.push((format!("standard output of {about}"), run.out.clone()));
        self.0.push((format!("standard error of {about}"), run.err.clone()));
    }

    /// Every file below `folder` but the one that holds the secrets.
    fn files(&mut self, folder: &Path, but: &Path) -> Story {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.files(&path, but)?;
            } else if path != but {
                let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
                self.0.push((path.display().to_string(), text));
            }
        }
        Ok(())
    }

    fn holds_no_secret(&self) {
        for (place, text) in &self.0 {
            for secret in SECRETS {
                assert!(!text.contains(secret), "{secret} is in {place}:\n{text}");
            }
        }
    }
}

/// A server that wants the key, one that tells its secrets when it fails, and places where nobody is.
fn configuration(keyed: &str) -> String {
    let leak = "env >&2; exit 3";
    json!({"mcpServers": {
        "keyed": {"url": format!("http://{keyed}/mcp"), "headers": {"Authorization": format!("Bearer {HEADER}")}},
        "refused": {"url": format!("http://{keyed}/mcp"), "headers": {"Authorization": format!("Bearer {VARIABLE}")}},
        "away": {"url": format!("http://someone:{PASSWORD}@127.0.0.1:9/mcp?token={QUERY}")},
        "leaky": {"command": "sh", "args": ["-c", leak], "env": {"API_KEY": VARIABLE, "OTHER_KEY": "${SECRET_OF_TEST}"}},
    }})
    .to_string()
}

#[test]
fn no_secret_is_in_what_the_client_writes() -> Story {
    let client = McpClient::new()?.with("SECRET_OF_TEST", EXPANDED).with("MCP_CLIENT_KEY", KEY);
    let settings = HashMap::from([("MCP_API_KEY".to_owned(), HEADER.to_owned())]);
    let server = Program::start("tool-server", client.home(), &["--port", "0"], &settings)?;
    let line = server.wait_for_log("listening")?;
    let address = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let config = client.file("mcp.json", &configuration(address))?;
    let config_option = config.display().to_string();
    let bare = format!("bare=http://{address}/mcp");

    let mut evidence = Evidence::default();
    for json in [None, Some("--json")] {
        for command in [
            &["servers"][..],
            &["tools"],
            &["info"],
            &["ping"],
            &["call", "keyed", "echo", "message=hello"],
            &["call", "refused", "echo", "message=hello"],
            &["call", "leaky", "echo", "message=hello"],
            &["call", "away", "echo", "message=hello"],
            &["call", "bare", "echo", "message=hello"],
            &["broadcast", "echo", "message=hello"],
        ] {
            let mut arguments = command.to_vec();
            arguments.extend(["--config", &config_option, "-s", &bare, "-vvv", "--connect-timeout", "5s"]);
            arguments.extend(json);
            let run = client.run(&arguments)?;
            if command == ["call", "keyed", "echo", "message=hello"] {
                assert!(run.out.contains("Echo: hello"), "the key was not used: {run:?}");
            }
            evidence.run(&arguments.join(" "), &run);
        }
    }

    let shell = Shell::start(&client, &["--config", &config_option, "-vv"])?;
    for command in ["servers", "tools", "call keyed echo message=hello", "call leaky echo message=hello"] {
        shell.enter(command)?;
    }
    evidence.0.push(("the terminal".to_owned(), String::from_utf8_lossy(&shell.raw()).into_owned()));
    // What is typed is on the screen, but nowhere else.
    shell.enter(&format!("add gone http://someone:{TYPED}@127.0.0.1:9/mcp?token={TYPED}"))?;
    shell.enter("servers")?;
    shell.leave_with(CONTROL_D)?;
    evidence.files(client.home(), &config)?;
    assert!(
        evidence.0.iter().any(|(_, text)| text.contains("call keyed echo message=hello")),
        "no history was kept"
    );
    evidence.holds_no_secret();
    Ok(())
}
