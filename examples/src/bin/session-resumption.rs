//! Session resumption: the network breaks in the middle of a call. The call goes on at the server, the gateway picks its answer up
//! where the stream broke (after three seconds, the pause that the server asks for), and the session keeps its state. Nothing is
//! called twice.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use anyhow::ensure;
use examples::{Listening, Wire, at, call, connect, gateway};
use gateway::{Sessions, UpstreamSettings};
use mcp_transport::Era;
use rmcp::{
    ClientHandler, RoleClient, RoleServer,
    model::ProgressNotificationParam,
    object,
    service::{NotificationContext, RequestContext},
    tool, tool_router,
};
use tokio::sync::Notify;

/// Counts calls, in each session from one.
struct Counter {
    count: AtomicU32,
    go_on: Arc<Notify>,
}

#[tool_router(server_handler)]
impl Counter {
    /// Counts this call.
    #[tool]
    fn count(&self) -> String {
        (self.count.fetch_add(1, Ordering::Relaxed) + 1).to_string()
    }

    /// Counts this call, and reports progress before it answers.
    #[tool]
    async fn count_slowly(&self, context: RequestContext<RoleServer>) -> String {
        let count = self.count();
        if let Some(token) = context.meta.get_progress_token() {
            let progress = ProgressNotificationParam::new(token, 0.5);
            let _ = context.peer.notify_progress(progress).await; // who does not hear it does not need it
        }
        self.go_on.notified().await;
        count
    }
}

/// Breaks the wire when a call reports progress, and only then lets the call go on.
struct Saboteur {
    wire: Wire,
    go_on: Arc<Notify>,
}

impl ClientHandler for Saboteur {
    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.wire.cut();
        self.go_on.notify_one();
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let go_on = Arc::new(Notify::new());
    let resumed = go_on.clone();
    let server =
        Listening::start(move || Counter { count: AtomicU32::new(0), go_on: resumed.clone() }).await?;
    let wire = Wire::to(server.port()).await?;
    // Servers of the older era have sessions; here each client has its own.
    let (era, sessions) = (Era::Legacy, Sessions::PerClient);
    let gateway = gateway([("counter", UpstreamSettings { era, sessions, ..at(wire.address()) })]).await;

    let client = connect(&gateway, Saboteur { wire, go_on }).await?;
    let first = call(&client, "counter__count", object!({})).await?;
    let second = call(&client, "counter__count_slowly", object!({})).await?;
    let third = call(&client, "counter__count", object!({})).await?;

    println!("before the wire breaks: {first}");
    println!("the wire breaks in this call, and its answer still comes: {second}");
    println!("the same session: {third}");
    ensure!([first, second, third] == ["1", "2", "3"], "every call should count once in one session");
    Ok(())
}
