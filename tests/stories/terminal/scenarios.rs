//! Every line of the section "Testing Scenarios" of the client's first specification, over each transport and mixed.

use e2e::mcp_client::McpClient;

use crate::{
    Story,
    shell::{Shell, ToolServer},
};

const TRANSPORTS: [&str; 3] = ["websocket", "sse", "http"];

/// Lines to type, and what each must show, or `!` and what it must not.
type Lines<'a> = &'a [(&'a str, &'a [&'a str])];

fn type_all(shell: &Shell, lines: Lines) -> Story {
    for (line, expected) in lines {
        let shown = shell.enter(line)?;
        for text in *expected {
            let (text, wanted) = text.strip_prefix('!').map_or((*text, true), |text| (text, false));
            anyhow::ensure!(shown.contains(text) == wanted, "after `{line}`, about `{text}`:\n{shown}");
        }
    }
    Ok(())
}

#[test]
fn a_single_server_works_over_each_transport() -> Story {
    for (transport, greeting) in TRANSPORTS.into_iter().zip(["Hello WebSocket!", "Hello SSE!", "Hello HTTP!"])
    {
        let client = McpClient::new()?;
        let server = ToolServer::start(client.home(), &[])?;
        let shell = Shell::start(&client, &[&server.named("server1"), "--transport", transport])?;
        let echo = format!(r#"call server1 echo {{"message": "{greeting}"}}"#);
        type_all(
            &shell,
            &[
                ("tools", &["echo", "get_time", "list_files", "math_calc"]),
                (&echo, &[&format!("Echo: {greeting}")]),
                ("call server1 get_time {}", &["Current server time: 2"]),
            ],
        )?;
        shell.quit()?;
    }
    Ok(())
}

#[test]
fn several_servers_work_over_one_transport() -> Story {
    for transport in TRANSPORTS {
        let client = McpClient::new()?;
        client.file("a-file.txt", "")?;
        let servers = [(); 3].map(|()| ToolServer::start(client.home(), &[]));
        let [first, second, third] = servers;
        let names = [first?, second?, third?];
        let arguments = [
            &names[0].named("ws1"),
            &names[1].named("ws2"),
            &names[2].named("ws3"),
            "--transport",
            transport,
        ];
        let shell = Shell::start(&client, &arguments)?;
        type_all(
            &shell,
            &[
                ("servers", &["ws1", "ws2", "ws3"]),
                ("tools", &["ws1", "ws2", "ws3", "echo", "math_calc"]),
                (
                    r#"broadcast echo {"message": "Hello all servers!"}"#,
                    &["ws1", "ws2", "ws3", "Echo: Hello all servers!"],
                ),
                ("call ws1 get_time {}", &["Current server time: 2"]),
                (r#"call ws2 list_files {"path": "."}"#, &["Files in .:", "a-file.txt"]),
                ("broadcast get_time {}", &["ws1", "ws2", "ws3", "Current server time: 2"]),
                (r#"call ws1 echo {"message": "Server 1"}"#, &["Echo: Server 1", "!Server 2"]),
                (r#"call ws2 echo {"message": "Server 2"}"#, &["Echo: Server 2", "!Server 1"]),
            ],
        )?;
        shell.quit()?;
    }
    Ok(())
}

#[test]
fn a_tool_that_is_not_enabled_is_neither_listed_nor_called() -> Story {
    for transport in TRANSPORTS {
        let client = McpClient::new()?;
        client.file("a-file.txt", "")?;
        let start = |arguments: &[&str]| ToolServer::start(client.home(), arguments);
        let calculator = start(&["--name", "calculator", "--tools", "math_calc", "echo"])?;
        let filesystem = start(&["--name", "filesystem", "--tools", "list_files", "echo"])?;
        let arguments = [&calculator.named("calc"), &filesystem.named("files"), "--transport", transport];
        let shell = Shell::start(&client, &arguments)?;
        type_all(
            &shell,
            &[
                ("tools", &["calc", "files", "math_calc", "list_files", "!get_time"]),
                (r#"call calc math_calc {"expression": "2 + 2 * 3"}"#, &["2 + 2 * 3 = 8"]),
                (r#"call files list_files {"path": "."}"#, &["Files in .:", "a-file.txt"]),
                (
                    r#"call calc list_files {"path": "."} # This should fail - tool not enabled"#,
                    &["list_files", "!a-file.txt"],
                ),
            ],
        )?;
        shell.quit()?;
    }
    Ok(())
}

#[test]
fn each_server_shows_the_tools_that_it_has() -> Story {
    let client = McpClient::new()?;
    let start = |arguments: &[&str]| ToolServer::start(client.home(), arguments);
    let math = start(&["--name", "math-only", "--tools", "math_calc"])?;
    let time = start(&["--name", "time-only", "--tools", "get_time"])?;
    let full = start(&["--name", "full-server"])?;
    let shell = Shell::start(&client, &[math.named("math"), time.named("time"), full.named("full")])?;
    type_all(
        &shell,
        &[
            (
                "tools math    # Should only show math_calc",
                &["math_calc", "!get_time", "!echo", "!list_files"],
            ),
            (
                "tools time    # Should only show get_time  ",
                &["get_time", "!math_calc", "!echo", "!list_files"],
            ),
            ("tools full    # Should show all tools", &["math_calc", "get_time", "echo", "list_files"]),
            (r#"call math math_calc {"expression": "10 * 5"}"#, &["10 * 5 = 50"]),
            ("call time get_time {}", &["Current server time: 2"]),
            ("call math get_time {} # Should fail - tool not enabled", &["get_time", "!Current server time"]),
        ],
    )?;
    shell.quit()
}

#[test]
fn servers_over_every_transport_work_in_one_session() -> Story {
    let client = McpClient::new()?;
    let start = |name: &str| ToolServer::start(client.home(), &["--name", name]);
    let (first, second, third, fourth) =
        (start("ws-server")?, start("sse-server-1")?, start("sse-server-2")?, start("http-server")?);
    let shell = Shell::start(&client, &[&first.named("ws1"), "--transport", "websocket"])?;
    let tool_server = e2e::programs::folder()?.join("tool-server");
    let add = [
        format!("add sse1 {} sse", second.place()),
        format!("add sse2 {} sse", third.place()),
        format!("add http1 {} http", fourth.place()),
        format!("add child 'stdio:{} stdio'", tool_server.display()),
    ];
    type_all(
        &shell,
        &[
            (&add[0], &["sse1"]),
            (&add[1], &["sse2"]),
            (&add[2], &["http1"]),
            (&add[3], &["child"]),
            ("servers", &["ws1", "sse1", "sse2", "http1", "child"]),
            ("tools", &["ws1", "sse1", "sse2", "http1", "child"]),
            (r#"call ws1 echo {"message": "WebSocket server"}"#, &["Echo: WebSocket server"]),
            (r#"call sse1 echo {"message": "SSE server 1"}"#, &["Echo: SSE server 1"]),
            (r#"call sse2 echo {"message": "SSE server 2"}"#, &["Echo: SSE server 2"]),
            (r#"call http1 echo {"message": "HTTP server"}"#, &["Echo: HTTP server"]),
            (r#"call child echo {"message": "a child"}"#, &["Echo: a child"]),
            ("broadcast get_time {}", &["ws1", "sse1", "sse2", "http1", "child", "Current server time: 2"]),
            ("remove sse2", &[]),
            ("servers", &["ws1", "sse1", "http1", "child", "!sse2"]),
        ],
    )?;
    shell.quit()
}

#[test]
fn many_calls_mistakes_and_resources_are_answered() -> Story {
    for transport in TRANSPORTS {
        let client = McpClient::new()?;
        let everything = ToolServer::start(client.home(), &["--root", "/"])?;
        let math = ToolServer::start(client.home(), &["--name", "math-server", "--tools", "math_calc"])?;
        let arguments = [&everything.named("server1"), &math.named("math-server"), "--transport", transport];
        let shell = Shell::start(&client, &arguments)?;
        type_all(
            &shell,
            &[
                (r#"call server1 math_calc {"expression": "2 + 2"}"#, &["2 + 2 = 4"]),
                (r#"call server1 math_calc {"expression": "10 * 5"}"#, &["10 * 5 = 50"]),
                (r#"call server1 math_calc {"expression": "100 / 4"}"#, &["100 / 4 = 25"]),
                (r#"call server1 list_files {"path": "/tmp"}"#, &["Files in /tmp:"]),
                (r#"call server1 list_files {"path": "."}"#, &["Files in .:", "tmp/"]),
                ("call server1 nonexistent_tool {}", &["nonexistent_tool"]),
                (r#"call server1 math_calc {"expression": "invalid"}"#, &["invalid", "!="]),
                (r#"call server1 list_files {"path": "/nonexistent"}"#, &["/nonexistent", "!Files in"]),
                (
                    r#"call math-server list_files {"path": "."} # Should fail if list_files not enabled"#,
                    &["list_files", "!Files in"],
                ),
                (
                    r#"call nonexistent_server echo {"message": "test"}"#,
                    &["nonexistent_server", "server1", "math-server", "!Echo"],
                ),
                ("call server1 resources/list {}", &["server://info", "server://stats"]),
                (
                    r#"call server1 resources/read {"uri": "server://info"}"#,
                    &["enabledTools", "list_files", "tool-server"],
                ),
            ],
        )?;
        shell.quit()?;
    }
    Ok(())
}
