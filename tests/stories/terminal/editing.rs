//! Typing, completing, going back, and changing one's mind.

use std::process::Stdio;

use e2e::{
    fault::Strings,
    mcp_client::{McpClient, Run, failing},
    programs,
};

use crate::{
    Story,
    screen::{CONTROL_A, CONTROL_C, CONTROL_D, CONTROL_K, CONTROL_R, TAB, UP},
    shell::{PROMPT, Shell, ToolServer},
};

/// The prompt with `text` after it.
fn typed(text: &str) -> String {
    format!("{PROMPT} {text}")
}

#[test]
fn tab_completes_commands_servers_tools_and_arguments() -> Story {
    let client = McpClient::new()?;
    let server = ToolServer::start(client.home(), &[])?;
    let shell = Shell::start(&client, &[server.named("workshop")])?;
    // A list that takes its time is not waited for when TAB is pressed.
    for list in ["tools", "resources"] {
        shell.type_in(list)?;
        shell.finish()?;
    }
    let place = shell.place();
    let mut line = String::new();
    for (keys, completed) in
        [("broadc", "broadcast"), ("ec", "echo"), ("mes", "message="), ("everywhere", "everywhere")]
    {
        shell.type_in(keys)?;
        shell.type_in(TAB)?;
        line = if line.is_empty() || line.ends_with('=') {
            format!("{line}{completed}")
        } else {
            format!("{line} {completed}")
        };
        shell.wait_for_line(place, &typed(&line))?;
    }
    assert!(shell.finish()?.contains("Echo: everywhere"));

    let place = shell.place();
    shell.type_in("call wor")?;
    shell.type_in(TAB)?;
    shell.wait_for_line(place, &typed("call workshop"))?;
    shell.type_in("math")?;
    shell.type_in(TAB)?;
    shell.wait_for_line(place, &typed("call workshop math_calc"))?;
    shell.type_in("ex")?;
    shell.type_in(TAB)?;
    shell.wait_for_line(place, &typed("call workshop math_calc expression="))?;
    shell.type_in("6*7")?;
    assert!(shell.finish()?.contains("6*7 = 42"), "{}", shell.screen());

    let place = shell.place();
    shell.type_in("read workshop server://i")?;
    shell.type_in(TAB)?;
    shell.wait_for_line(place, &typed("read workshop server://info"))?;
    assert!(shell.finish()?.contains("enabledTools"));
    shell.quit()
}

#[test]
fn a_line_is_edited_and_taken_back() -> Story {
    let client = McpClient::new()?;
    let server = ToolServer::start(client.home(), &[])?;
    let shell = Shell::start(&client, &[server.named("one")])?;
    let place = shell.place();
    shell.type_in("one echo message=hello")?;
    shell.wait_for_line(place, &typed("one echo message=hello"))?;
    shell.type_in(CONTROL_A)?;
    shell.type_in("call ")?;
    shell.wait_for_line(place, &typed("call"))?; // what stands before the cursor
    assert!(shell.finish()?.contains("Echo: hello"), "{}", shell.screen());

    let place = shell.place();
    shell.type_in("call one echo message=never")?;
    shell.wait_for_line(place, &typed("call one echo message=never"))?;
    shell.type_in(CONTROL_C)?;
    shell.wait_for_prompt(place.below())?;
    shell.type_in("nonsense")?;
    shell.type_in(CONTROL_A)?;
    shell.type_in(CONTROL_K)?;
    assert!(shell.enter("call one echo message=again")?.contains("Echo: again"));
    assert!(!shell.screen().contains("Echo: never"));
    shell.quit()
}

#[test]
fn what_was_entered_is_found_again_in_the_next_session() -> Story {
    let client = McpClient::new()?;
    let server = ToolServer::start(client.home(), &[])?;
    let first = Shell::start(&client, &[server.named("one")])?;
    first.enter("call one echo message=albatross")?;
    first.enter("call one math_calc expression=1+1")?;
    first.leave_with(CONTROL_D)?;

    let second = Shell::start(&client, &[server.named("one")])?;
    let place = second.place();
    second.type_in(UP)?;
    second.wait_for_line(place, &typed("call one math_calc expression=1+1"))?;
    second.type_in(UP)?;
    second.wait_for_line(place, &typed("call one echo message=albatross"))?;
    assert!(second.finish()?.contains("Echo: albatross"));
    second.type_in(CONTROL_R)?;
    second.type_in("calc")?;
    second.wait_for("expression=1+1")?;
    assert!(second.finish()?.contains("1+1 = 2"));
    second.quit()
}

#[test]
fn control_c_cancels_a_call_and_not_the_shell() -> Story {
    let client = McpClient::new()?;
    let strings = Strings::new()?;
    let shell = Shell::start(&client, &[failing("slow", "hangs", &strings)?])?;
    let place = shell.place();
    shell.type_in("call slow echo message=hello\r")?;
    strings.wait_for("called")?;
    shell.type_in(CONTROL_C)?;
    shell.wait_for_prompt(place.below())?;
    shell.wait_below(place, "cancelled")?;
    strings.wait_for("cancelled")?; // the server knows, too
    assert!(shell.enter("call slow safe message=alive")?.contains("safe: alive"));
    assert_eq!(strings.lives(), 1, "the connection was given up");
    shell.quit()?;
    strings.wait_for_the_end()
}

#[test]
fn progress_is_shown_while_a_call_runs() -> Story {
    let client = McpClient::new()?;
    let everything = programs::folder()?.join("conformance-server");
    let shell = Shell::start(&client, &[format!("everything=stdio:{} stdio", everything.display())])?;
    let answer = shell.enter("call everything test_tool_with_progress")?;
    let raw = String::from_utf8(shell.raw())?;
    for share in ["50%", "100%"] {
        assert!(raw.contains(share), "no {share} in {raw:?}");
    }
    assert!(!answer.contains("50%"), "the bar is left behind:\n{answer}");
    shell.quit()
}

#[test]
fn a_script_in_standard_input_is_carried_out_without_a_terminal() -> Story {
    let client = McpClient::new()?;
    let server = ToolServer::start(client.home(), &[])?;
    let script =
        "tools\n# a comment\ncall one echo message='two words'\ncall one echo {\"message\": \"last\"}\n";
    let file = client.file("script", script)?;
    let mut command = client.command(&[server.named("one")])?;
    command.stdin(Stdio::from(std::fs::File::open(file)?));
    let run = Run::of(&mut programs::Program::run("mcp-client", command)?)?;
    assert_eq!(run.code, Some(0), "{run:?}");
    for text in ["math_calc", "Echo: two words", "Echo: last"] {
        assert!(run.out.contains(text), "`{text}` is missing in {run:?}");
    }
    assert!(!run.out.contains(PROMPT) && !run.out.contains('\u{1b}'), "{run:?}");

    let mut session = client.start_with_input(&[server.named("one")])?;
    session.write_line("call one list_files path=/no/such/folder")?;
    session.write_line("call one echo message=after")?;
    session.close_input();
    let run = Run::of(&mut session)?;
    assert_eq!(run.code, Some(1), "the worst command counts: {run:?}");
    assert!(run.out.contains("Echo: after"), "{run:?}");
    Ok(())
}
