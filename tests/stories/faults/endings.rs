//! What is left of the processes that mcp-client starts: nothing, however it ends.

use e2e::{
    fault::Strings,
    mcp_client::{McpClient, Run, failing},
};

use crate::{Story, arguments};

#[test]
fn a_child_that_ignores_the_end_of_its_input_and_sigterm_is_killed() -> Story {
    let client = McpClient::new()?;
    let strings = Strings::new()?;
    let server = failing("deaf", "stubborn", &strings)?;
    let run = client.run(&arguments(&[&["call", "-s", &server, "deaf", "echo", "message=hello"]]))?;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.contains("echo: hello"), "{run:?}");
    strings.wait_for("ignores the end")?;
    strings.wait_for_the_end()
}

#[test]
fn children_end_with_a_client_that_is_asked_to_end() -> Story {
    for signal in ["TERM", "INT", "HUP"] {
        for fault in ["healthy", "hangs"] {
            let client = McpClient::new()?;
            let strings = Strings::new()?;
            let server = failing("child", fault, &strings)?;
            let mut program =
                client.start(&arguments(&[&["call", "-s", &server, "child", "echo", "message=hello"]]))?;
            if fault == "hangs" {
                strings.wait_for("called")?;
                program.signal(signal)?;
            }
            let run = Run::of(&mut program)?;
            if fault == "hangs" && signal != "HUP" {
                assert_eq!(run.code, Some(130), "{signal}: {run:?}");
            }
            strings.wait_for_the_end()?;
        }
    }
    Ok(())
}

/// Nobody is left to tell them: a child notices that its input is closed.
#[test]
fn children_end_with_a_client_that_is_killed() -> Story {
    for fault in ["healthy", "hangs", "stubborn"] {
        let client = McpClient::new()?;
        let strings = Strings::new()?;
        let server = failing("child", fault, &strings)?;
        let mut session = client.start_with_input(&[&server])?;
        session.write_line("call child echo message=hello")?;
        if fault == "hangs" {
            strings.wait_for("called")?;
        } else {
            session.wait_for_out("echo: hello")?;
        }
        session.kill();
        strings.wait_for_the_end()?;
    }
    Ok(())
}
