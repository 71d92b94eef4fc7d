//! Child processes that end: however often, and with whomever.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context as _, ensure};
use e2e::{
    fault::Strings,
    programs::{self, PATIENCE},
};
use tokio::task::JoinSet;

use crate::{
    Story,
    client::Client,
    running::{Running, SHORT, failing},
};

const CHILDREN: usize = 4;
const CYCLES: usize = 250;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_thousand_crashes_no_process_is_left_over_and_no_descriptor() -> Story {
    let strings: Vec<_> = (0..CHILDREN).map(|_| Strings::new()).collect::<Result<_, _>>()?;
    let mut config = String::new();
    for (number, strings) in strings.iter().enumerate() {
        config += &format!("[upstream.c{number}]\n{}{SHORT}", failing("dies", strings)?);
    }
    let gateway = Running::start(&config)?;
    crash_all(&gateway, 5).await?;
    let (children_before, before) = (children(gateway.program.id())?.len(), gateway.descriptors()?);

    crash_all(&gateway, CYCLES).await?;

    let deadline = Instant::now() + PATIENCE;
    loop {
        let (children, after) = (children(gateway.program.id())?, gateway.descriptors()?);
        // A caller may have come to another connection of its own.
        if children.len() <= children_before
            && children.values().all(|state| state != "Z")
            && after <= before + CHILDREN
        {
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "{before} descriptors became {after}, and {children_before} children {children:?}"
        );
    }
    for (number, strings) in strings.iter().enumerate() {
        let health = gateway.client.health(&format!("c{number}")).await?;
        ensure!(health["restarts"] == strings.lives() - 1 && strings.lives() > CYCLES, "{health}");
    }
    gateway.stop()?;
    strings.iter().try_for_each(Strings::wait_for_the_end)
}

/// Each child so often: it answers a call, and dies of the next one.
async fn crash_all(gateway: &Running, cycles: usize) -> Story {
    let mut callers: JoinSet<Story> = (0..CHILDREN)
        .map(|number| {
            let client = gateway.client.clone();
            async move {
                for cycle in 0..cycles {
                    crash(&client, number).await.with_context(|| format!("cycle {cycle} of {number}"))?;
                }
                // It is back when this is answered.
                let answer = client.call(&format!("c{number}__safe"), "last").await?;
                ensure!(answer.is_ok(), "{answer:?}");
                Ok(())
            }
        })
        .collect();
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}

async fn crash(client: &Client, number: usize) -> Story {
    let answer = client.call(&format!("c{number}__safe"), "hello").await?;
    ensure!(answer.is_ok(), "{answer:?}");
    let answer = client.call(&format!("c{number}__echo"), "die").await?;
    ensure!(answer.as_ref().is_err_and(|(code, _)| code == "DELIVERY_UNKNOWN"), "{answer:?}");
    Ok(())
}

/// The children of a process, and the letters of their states.
fn children(parent: u32) -> anyhow::Result<BTreeMap<u32, String>> {
    let mut children = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(id) = entry?.file_name().to_string_lossy().parse() else { continue };
        // It may have ended by now.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
        // `id (name) state parent …`, and a name may hold anything
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let (state, of) = (fields.next().unwrap_or_default().to_owned(), fields.next());
        if of == Some(&parent.to_string()) {
            children.insert(id, state);
        }
    }
    Ok(children)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_end_with_a_gateway_that_is_killed() -> Story {
    for fault in ["healthy", "hangs", "stubborn"] {
        let (strings, wrapped) = (Strings::new()?, Strings::new()?);
        let program = programs::folder()?.join("fault-server");
        // As launchers do: what answers is a child of the child.
        let script = format!("{} {fault} --strings {}; exit 0", program.display(), wrapped.address());
        let mut gateway = Running::start(&format!(
            "[upstream.child]\n{}{SHORT}[upstream.wrapped]\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\n{SHORT}",
            failing(fault, &strings)?
        ))?;
        gateway.until_answers("child__safe").await?;
        gateway.until_answers("wrapped__safe").await?;
        if fault == "hangs" {
            for tool in ["child__echo", "wrapped__echo"] {
                let client = gateway.client.clone();
                // The gateway is killed before it answers.
                tokio::spawn(async move { drop(client.call(tool, "hello").await) });
            }
            strings.wait_for("called")?;
            wrapped.wait_for("called")?;
        }

        gateway.program.kill();

        strings.wait_for_the_end().with_context(|| format!("{fault}: child"))?;
        wrapped.wait_for_the_end().with_context(|| format!("{fault}: wrapped"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_end_with_a_gateway_that_is_asked_to_end() -> Story {
    let strings = ["healthy", "hangs", "stubborn", "dies"].map(|fault| (fault, Strings::new()));
    let mut config = String::new();
    for (fault, strings) in &strings {
        let strings = strings.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        config += &format!("[upstream.{fault}]\n{}{SHORT}", failing(fault, strings)?);
    }
    let gateway = Running::start(&config)?;
    for (fault, _) in &strings {
        gateway.until_answers(&format!("{fault}__safe")).await?;
    }
    gateway.stop()?;
    for (_, strings) in &strings {
        strings.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?.wait_for_the_end()?;
    }
    Ok(())
}
