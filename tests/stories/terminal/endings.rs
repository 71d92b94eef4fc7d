//! How the client ends, and in what state it leaves the terminal.

use std::process::Command;

use e2e::mcp_client::McpClient;

use crate::{
    Story,
    questions::everything,
    screen::{CONTROL_C, Place, Terminal},
    shell::ToolServer,
};

/// A script that runs the client, and what it does before and after. The script itself outlives signals.
fn script(client: &McpClient, script: &str, arguments: &[&str]) -> anyhow::Result<Command> {
    let program = client.command(arguments)?;
    let mut command = Command::new("sh");
    command.args(["-c", &format!("trap : INT TERM; {script}"), "sh"]).arg(program.get_program());
    command.args(program.get_args()).current_dir(client.home()).env("HOME", client.home());
    Ok(command)
}

#[test]
fn a_command_that_is_ended_while_it_asks_leaves_the_terminal_as_it_was() -> Story {
    let client = McpClient::new()?;
    let everything = everything()?;
    let arguments = ["call", &everything, "test_elicitation", "message=Who?", "--era", "legacy"];
    let mut terminal = Terminal::run(script(&client, r#""$@"; echo "exit $?"; stty -a"#, &arguments)?)?;
    terminal.wait_for_line(Place::TOP, "email:")?;
    terminal.type_in("ada@")?;
    terminal.wait_for_line(Place::TOP, "email: ada@")?;

    terminal.signal("TERM")?;

    terminal.wait_for_the_end()?;
    let shown = terminal.screen();
    assert!(shown.contains("exit 130"), "{shown}");
    let modes: Vec<&str> = shown.split([' ', '\n']).collect();
    assert!(modes.contains(&"echo") && modes.contains(&"icanon") && modes.contains(&"icrnl"), "{shown}");
    Ok(())
}

#[test]
fn control_c_ends_a_shell_whose_output_is_a_file() -> Story {
    let client = McpClient::new()?;
    let server = ToolServer::start(client.home(), &[])?;
    let place = server.named("one");
    let run = r#""$@" > answers; echo "exit $?""#;
    let mut terminal = Terminal::run(script(&client, run, &[&place])?)?;
    // What is not known is answered on standard error, so it can be waited for.
    terminal.type_in("nonsense\n")?;
    terminal.wait_for("there is no command `nonsense`")?;

    terminal.type_in(CONTROL_C)?;

    terminal.wait_for_the_end()?;
    assert!(terminal.screen().contains("exit 130"), "{}", terminal.screen());
    Ok(())
}
