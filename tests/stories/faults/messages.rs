//! What a failure reads like, for people and for scripts.

use e2e::{
    fault::{LAST_WORDS, Strings},
    mcp_client::{McpClient, Run, failing, failing_over_http},
};
use serde_json::Value;

use crate::{IMPATIENT, Story, arguments};

const UNREACHABLE: i32 = 3;
const PROTOCOL: i32 = 5;

/// A fault, how patient its user is, how the program must end, and what it must say.
struct Case {
    fault: &'static str,
    limits: &'static [&'static str],
    code: i32,
    says: &'static [&'static str],
}

const NEVER_READY: [&str; 2] = ["--connect-timeout", "1s"];
const NEVER_ANSWERS: [&str; 2] = ["--idle-timeout", "1s"];

fn case(
    fault: &'static str,
    limits: &'static [&'static str],
    code: i32,
    says: &'static [&'static str],
) -> Case {
    Case { fault, limits, code, says }
}

impl Case {
    fn call(&self, client: &McpClient, server: &str, more: &[&str]) -> anyhow::Result<Run> {
        let call = ["call", "-s", server, "broken", "echo", "message=hello"];
        client.run(&arguments(&[&call, self.limits, more]))
    }
}

/// The failure as people and as scripts see it.
fn check(case: &Case, client: &McpClient, server: &str, strings: &Strings) -> Story {
    let run = case.call(client, server, &[])?;
    let about = format!("{}: {run:?}", case.fault);
    assert_eq!(run.code, Some(case.code), "{about}");
    assert_eq!(run.out, "", "{about}");
    for text in case.says.iter().chain(&["broken"]) {
        assert!(run.err.contains(text), "`{text}` is missing in {about}");
    }
    assert!(run.err.lines().count() <= 12, "that is a lot to read: {about}");
    assert!(!run.err.contains('\u{1b}'), "a server's control characters are shown: {about}");
    strings.wait_for_the_end()?;

    let run = case.call(client, server, &["--json"])?;
    assert_eq!(run.code, Some(case.code), "{about}");
    let answer = run.json()?;
    assert_eq!(answer["server"], "broken", "{about}");
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains(case.says[0]), "{answer} does not say `{}`", case.says[0]);
    strings.wait_for_the_end()
}

#[test]
fn a_child_that_fails_is_described_within_its_time_limit_and_leaves_nothing_behind() -> Story {
    let client = McpClient::new()?;
    for case in [
        case("dies", &[], UNREACHABLE, &["whether it was carried out is not known", LAST_WORDS]),
        case("silent", &NEVER_READY, UNREACHABLE, &["within 1s"]),
        case("garbage", &NEVER_READY, UNREACHABLE, &["within 1s"]),
        case("hangs", &NEVER_ANSWERS, UNREACHABLE, &["no answer within 1s"]),
        case("huge", &[], PROTOCOL, &["bytes"]),
    ] {
        let strings = Strings::new()?;
        check(&case, &client, &failing("broken", case.fault, &strings)?, &strings)?;
    }
    Ok(())
}

#[test]
fn a_server_over_http_that_fails_is_described_within_its_time_limit() -> Story {
    let client = McpClient::new()?;
    for case in [
        case("dies", &[], UNREACHABLE, &["whether it was carried out is not known"]),
        case("silent", &NEVER_READY, UNREACHABLE, &["within 1s"]),
        case("garbage", &[], PROTOCOL, &["not an MCP server"]),
        case("hangs", &NEVER_ANSWERS, UNREACHABLE, &["no answer within 1s"]),
        case("huge", &[], PROTOCOL, &["bytes"]),
    ] {
        for more in [&[][..], &["--json"]] {
            let strings = Strings::new()?;
            let (_server, address) = failing_over_http("broken", case.fault, &strings)?;
            let run = case.call(&client, &address, more)?;
            let about = format!("{}: {run:?}", case.fault);
            assert_eq!(run.code, Some(case.code), "{about}");
            let said = match more {
                [] => run.err.clone(),
                _ => run.json()?["error"]["message"].as_str().unwrap_or_default().to_owned(),
            };
            for text in case.says {
                assert!(said.contains(text), "`{text}` is missing in {about}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_server_that_closes_after_each_call_is_started_again_for_the_next() -> Story {
    let client = McpClient::new()?;
    let strings = Strings::new()?;
    let server = failing("broken", "closes", &strings)?;
    let closes = case("closes", &[], 0, &[]);
    let run = closes.call(&client, &server, &["--json"])?;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.json()?["result"]["content"][0]["text"], "echo: hello", "{run:?}");

    let mut session = client.start_with_input(&arguments(&[&[&server], &IMPATIENT]))?;
    for round in 0..5 {
        session.write_line(&format!("call broken echo message=round-{round}"))?;
        session.wait_for_out(&format!("echo: round-{round}"))?;
        // A call on its way to a server that is about to close is lost, and that is told.
        session.wait_for_logs("broken: disconnected", round + 1)?;
    }
    session.write_line("quit")?;
    let run = Run::of(&mut session)?;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(strings.lives() > 5, "{} lives", strings.lives());
    strings.wait_for_the_end()
}

#[test]
fn the_tools_of_a_server_that_comes_back_with_other_ones_are_listed_anew() -> Story {
    let client = McpClient::new()?;
    let strings = Strings::new()?;
    let server = failing("broken", "changes", &strings)?;
    let mut session = client.start_with_input(&arguments(&[&[&server], &IMPATIENT]))?;
    session.write_line("tools broken")?;
    session.wait_for_out("of_life_0")?;
    session.write_line("call broken echo message=die")?;
    session.wait_for_log("whether it was carried out is not known")?;
    strings.wait_for_lives(2)?; // it is started again by itself
    session.write_line("tools broken")?;
    session.wait_for_out("of_life_1")?;
    session.write_line("call broken safe message=again")?;
    session.wait_for_out("safe: again")?;
    session.write_line("quit")?;
    Run::of(&mut session)?;
    strings.wait_for_the_end()
}

/// The shapes that the README promises to scripts.
#[test]
fn what_is_wrong_with_several_servers_is_told_for_each() -> Story {
    let client = McpClient::new()?;
    let strings = Strings::new()?;
    let (silent, healthy) =
        (failing("silent", "silent", &strings)?, failing("healthy", "healthy", &strings)?);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let nobody = format!("nobody={nobody}");
    let servers = ["-s", &silent, "-s", &healthy, "-s", &nobody];
    let run = client.run(&arguments(&[&["tools", "--json"], &servers, &IMPATIENT]))?;
    assert_eq!(run.code, Some(UNREACHABLE), "{run:?}");
    let answer: Value = run.lines()?.into();
    let text = answer.to_string();
    for name in ["silent", "healthy", "nobody", "echo", "within 4s"] {
        assert!(text.contains(name), "`{name}` is missing in {answer}");
    }
    strings.wait_for_the_end()
}
