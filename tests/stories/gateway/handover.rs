//! The gateway is started anew under load. The socket is held by whoever starts it, as a service manager does.

use std::{
    net::{SocketAddr, TcpListener},
    process::Stdio,
    sync::Arc,
};

use anyhow::ensure;
use e2e::{fault::Strings, moody::Moody, programs};

use crate::{
    Story,
    client::Client,
    load::Load,
    running::{Config, Running, SHORT, failing},
};

/// Hands the socket on its input over as number 3, and says so, as systemd does (sd_listen_fds(3)).
const HAND_OVER: &str = r#"exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0""#;

const ROUNDS: usize = 10;

/// Whoever holds the socket.
struct Manager {
    socket: TcpListener,
    config: Arc<String>,
}

impl Manager {
    fn new(config: String) -> anyhow::Result<Self> {
        Ok(Self { socket: TcpListener::bind("127.0.0.1:0")?, config: Arc::new(config) })
    }

    fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// Starts a gateway that has the socket.
    fn start(&self) -> anyhow::Result<Running> {
        let config = Config::new(&self.config)?;
        let mut command = programs::clean_at("/bin/sh".as_ref(), config.folder());
        command.arg("-c").arg(HAND_OVER).arg(programs::mcp_gateway()?);
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(self.socket.try_clone()?)));
        let gateway = Running::run(config, command)?;
        ensure!(gateway.address == self.address()?, "it has a socket of its own: {}", gateway.address);
        Ok(gateway)
    }
}

fn upstream(moody: &Moody) -> String {
    format!("[upstream.http]\nurl = {:?}\n{SHORT}", moody.url())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_refuses_nobody_and_cuts_no_answer() -> Story {
    let moody = Moody::start().await?;
    let manager = Manager::new(upstream(&moody))?;
    let mut gateway = manager.start()?;
    // Each call has a connection of its own: one that is kept may be closed by a server whenever it is not used.
    let client = Client::forgetful(manager.address()?)?;
    let mut load = Load::start(vec![client; 8], &["http__echo"]);
    for round in 0..ROUNDS {
        load.answers(50).await?;
        if round % 2 == 0 {
            // As with socket activation: the old one goes, then the new one comes.
            gateway.stop()?;
            gateway = manager.start()?;
        } else {
            let next = manager.start()?;
            load.answers(10).await?;
            gateway.stop()?;
            gateway = next;
        }
    }
    load.answers(50).await?;
    load.stop().await?;
    gateway.stop()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_keep_their_connections_notice_no_restart() -> Story {
    let moody = Moody::start().await?;
    let manager = Manager::new(upstream(&moody))?;
    let mut gateway = manager.start()?;
    let clients = (0..8).map(|_| Client::new(gateway.address)).collect::<Result<_, _>>()?;
    let mut load = Load::start(clients, &["http__echo"]);
    for _ in 0..ROUNDS {
        load.answers(50).await?;
        let next = manager.start()?;
        gateway.stop()?;
        gateway = next;
    }
    load.answers(50).await?;
    load.stop().await?;
    gateway.stop()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_in_flight_is_answered_by_the_gateway_that_goes() -> Story {
    let strings = Strings::new()?;
    let manager = Manager::new(format!("[upstream.slow]\n{}{SHORT}", failing("hangs", &strings)?))?;
    let gateway = manager.start()?;
    gateway.until_answers("slow__safe").await?;
    let client = gateway.client.clone();
    let call = tokio::spawn(async move { client.call("slow__echo", "hello").await });
    strings.wait_for("called")?;
    gateway.program.signal("TERM")?;
    gateway.program.wait_for_log("stopping")?;
    let next = manager.start()?;
    next.until_answers("slow__safe").await?;

    strings.release();

    let answer = call.await??;
    ensure!(answer.as_ref().is_ok_and(|result| result["content"][0]["text"] == "echo: hello"), "{answer:?}");
    gateway.ended()
}
