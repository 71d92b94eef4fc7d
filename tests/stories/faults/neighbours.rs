//! Servers in the same session as one that fails.

use std::collections::BTreeSet;

use e2e::{
    fault::Strings,
    mcp_client::{McpClient, Run, failing},
};
use serde_json::Value;

use crate::{IMPATIENT, Story, arguments};

#[test]
fn a_server_that_fails_does_not_touch_the_others_of_its_session() -> Story {
    for fault in ["dies", "silent", "garbage", "hangs"] {
        let client = McpClient::new()?;
        let (strings, others) = (Strings::new()?, Strings::new()?);
        let broken = failing("broken", fault, &strings)?;
        let (one, two) = (failing("one", "healthy", &others)?, failing("two", "healthy", &others)?);
        let mut session = client.start_with_input(&arguments(&[&[&one, &broken, &two], &IMPATIENT]))?;
        session.write_line(&format!("call broken echo message={fault}"))?;
        for round in ["first", "second"] {
            session.write_line(&format!("call one echo message={round}-of-one"))?;
            session.wait_for_out(&format!("echo: {round}-of-one"))?;
            session.write_line(&format!("call two echo message={round}-of-two"))?;
            session.wait_for_out(&format!("echo: {round}-of-two"))?;
        }
        session.close_input();
        let run = Run::of(&mut session)?;
        assert!(run.err.contains("broken"), "{fault}: {run:?}");
        assert_eq!(others.lives(), 2, "{fault}: a healthy server was started again: {run:?}");
        strings.wait_for_the_end()?;
        others.wait_for_the_end()?;
    }
    Ok(())
}

const TEN: usize = 10;

/// Ten servers, of which the fourth hangs.
fn ten(healthy: &Strings, hanging: &Strings) -> anyhow::Result<Vec<String>> {
    let server = |number| match number {
        4 => failing("s4", "hangs", hanging),
        _ => failing(&format!("s{number}"), "healthy", healthy),
    };
    let mut servers = Vec::new();
    for number in 1..=TEN {
        servers.extend(["-s".to_owned(), server(number)?]);
    }
    Ok(servers)
}

fn answers(run: &Run) -> anyhow::Result<(BTreeSet<String>, Vec<Value>)> {
    let (failed, well): (Vec<_>, Vec<_>) =
        run.lines()?.into_iter().partition(|line| line.get("error").is_some());
    let names = well.iter().filter_map(|line| line["server"].as_str()).map(str::to_owned);
    Ok((names.collect(), failed))
}

#[test]
fn nine_of_ten_servers_answer_a_broadcast_and_the_one_that_hangs_is_a_time_out() -> Story {
    let client = McpClient::new()?;
    let (healthy, hanging) = (Strings::new()?, Strings::new()?);
    let mut call = arguments(&[&["broadcast", "echo", "message=all", "--json", "--idle-timeout", "5s"]]);
    call.extend(ten(&healthy, &hanging)?);
    let run = client.run(&call)?;
    assert_eq!(run.code, Some(3), "{run:?}");
    let (names, failed) = answers(&run)?;
    assert_eq!(names.len(), TEN - 1, "{run:?}");
    let [failed] = &failed[..] else { panic!("{failed:?}") };
    assert_eq!(failed["server"], "s4");
    assert!(failed["error"]["message"].to_string().contains("no answer within 5s"), "{failed}");
    assert_eq!(run.lines()?.last(), Some(failed), "the time-out comes last");
    healthy.wait_for_the_end()?;
    hanging.wait_for_the_end()
}

/// The server that hangs is released only when the others' answers have been printed: did they wait for it, this would
/// never end.
#[test]
fn the_answers_to_a_broadcast_do_not_wait_for_a_server_that_hangs() -> Story {
    let client = McpClient::new()?;
    for json in [&["--json"][..], &[]] {
        let (healthy, hanging) = (Strings::new()?, Strings::new()?);
        let mut call = arguments(&[&["broadcast", "echo", "message=all"], json]);
        call.extend(ten(&healthy, &hanging)?);
        let mut program = client.start(&call)?;
        for number in (1..=TEN).filter(|number| *number != 4) {
            // `"s10"` or `s10`, with an end, so that it is not taken for `s1`
            let name = if json.is_empty() { format!("s{number}") } else { format!("\"s{number}\"") };
            program.wait_for_out(&name)?;
        }
        assert!(!program.out().contains("s4"), "{}", program.out());
        hanging.release();
        let run = Run::of(&mut program)?;
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(run.out.contains("s4"), "{run:?}");
    }
    Ok(())
}
