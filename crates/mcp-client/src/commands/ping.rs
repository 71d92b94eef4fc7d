//! `ping`: a sign of life.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;
use upstream::Upstream;

use super::each;
use crate::{
    Exit,
    command_line::PingArgs,
    duration,
    output::{Stop, with_server},
    render::{Failure, paint::Ink, plain},
    session::Session,
};

/// Between two pings of one server.
const BETWEEN: Duration = Duration::from_secs(1);

pub(super) async fn run(session: &Session, args: &PingArgs) -> Result<Exit, Stop> {
    let servers = session.servers(&args.servers)?;
    let mut worst = Exit::Success;
    for number in 1..=args.count {
        worst = worst.max(once(session, &servers).await?);
        if number < args.count {
            sleep(BETWEEN).await;
        }
    }
    Ok(worst)
}

async fn once(session: &Session, servers: &[Upstream]) -> Result<Exit, Stop> {
    let output = &session.output;
    let ask = |server: Upstream| async move { server.ping().await };
    each(servers, ask, |index, answer| {
        let server = servers[index].name();
        match answer {
            Ok(time) if output.json => {
                output.document(&with_server(server, json!({}), json!({"seconds": time.as_secs_f64()})))?;
            }
            Ok(time) => {
                let name = output.renderer.ink(Ink::Bold, &plain::visible_line(server));
                output.text(&format!("{name} {}", duration::show(time)))?;
            }
            Err(error) => return output.failure(server, &Failure::of_call(&error), json!({})),
        }
        Ok(Exit::Success)
    })
    .await
}
