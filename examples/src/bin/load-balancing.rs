//! Load balancing: three replicas of one service. Calls go to one after the other, or to where the fewest are under way.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use anyhow::ensure;
use examples::{Client, Listening, call, connect, gateway};
use gateway::{Balance, Replica, UpstreamSettings};
use rmcp::{object, tool, tool_router};
use tokio::sync::{Semaphore, watch};

/// A replica that says its name.
#[derive(Clone)]
struct Worker {
    name: &'static str,
    /// Who works.
    at_work: watch::Sender<&'static str>,
    /// Work is done when there is something in it.
    done: Arc<Semaphore>,
}

#[tool_router(server_handler)]
impl Worker {
    /// Says who answers.
    #[tool]
    fn who(&self) -> String {
        self.name.to_owned()
    }

    /// Works until it is told that the work is done.
    #[tool]
    async fn work(&self) -> String {
        self.at_work.send_replace(self.name);
        let _done = self.done.acquire().await;
        format!("{} has worked", self.name)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (at_work, done) = (watch::Sender::new("nobody"), Arc::new(Semaphore::new(0)));
    let mut servers = Vec::new();
    for name in ["one", "two", "three"] {
        let worker = Worker { name, at_work: at_work.clone(), done: done.clone() };
        servers.push(Listening::start(move || worker.clone()).await?);
    }
    let workers = |balance| {
        let replicas = servers.iter().map(|server| Replica::at(server.address())).collect();
        UpstreamSettings { balance, ..UpstreamSettings::new(replicas) }
    };

    let in_turn = gateway([("workers", workers(Balance::RoundRobin))]).await;
    let answers = ask(&connect(&in_turn, ()).await?, 6).await?;
    println!("round robin: {}", answers.join(", "));
    for name in ["one", "two", "three"] {
        ensure!(answers.iter().filter(|answer| *answer == name).count() == 2, "{name} should answer twice");
    }

    let by_load = gateway([("workers", workers(Balance::LeastBusy))]).await;
    let (client, busy) = (connect(&by_load, ()).await?, connect(&by_load, ()).await?);
    let meanwhile = async {
        let worker = *at_work.subscribe().wait_for(|name| *name != "nobody").await?;
        let answers = ask(&client, 4).await?;
        done.add_permits(1);
        anyhow::Ok((worker, answers))
    };
    let work = call(&busy, "workers__work", object!({}));
    let (worked, (worker, answers)) = tokio::try_join!(work, meanwhile)?;
    println!("least busy, while {worker} works: {}", answers.join(", "));
    println!("{worked}");
    ensure!(answers.iter().all(|answer| answer != worker), "the others should answer");
    Ok(())
}

/// Asks that often who answers.
async fn ask(client: &Client, times: usize) -> anyhow::Result<Vec<String>> {
    let mut answers = Vec::new();
    for _ in 0..times {
        answers.push(call(client, "workers__who", object!({})).await?);
    }
    Ok(answers)
}
