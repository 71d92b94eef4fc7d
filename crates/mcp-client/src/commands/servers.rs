//! `servers`: which there are, and whether they can be reached.

use serde_json::{Value, json};
use upstream::{Status, Upstream};

use super::each;
use crate::{
    Exit,
    command_line::ServersArgs,
    output::{Stop, with_server},
    render::Failure,
    session::Session,
};

pub(super) async fn run(session: &Session, args: &ServersArgs) -> Result<Exit, Stop> {
    let output = &session.output;
    let servers = session.servers(&args.servers)?;
    let mut rows: Vec<(Upstream, Status)> =
        servers.iter().map(|server| (server.clone(), Status::Idle)).collect();
    let mut worst = Exit::Success;
    if !args.offline {
        let ask = |server: Upstream| async move { server.connect().await };
        worst = each(&servers, ask, |index, connected| {
            let (status, exit) = match connected {
                Ok(introduction) => (Status::Connected(introduction), Exit::Success),
                Err(error) => {
                    let exit = Failure::of_connect(&error).exit;
                    (Status::Disconnected(error), exit)
                }
            };
            rows[index].1 = status;
            Ok(exit)
        })
        .await?;
    }
    if output.json {
        let all: Vec<_> = rows.iter().map(|(server, status)| document(session, server, status)).collect();
        output.document(&json!({"servers": all}))?;
    } else {
        output.text(&output.renderer.servers(&rows))?;
    }
    Ok(worst)
}

fn document(session: &Session, server: &Upstream, status: &Status) -> Value {
    let address = session.output.renderer.address(server);
    let about = json!({"address": address});
    match status {
        Status::Connected(introduction) => {
            let mut all = super::info::document(introduction);
            all["status"] = "connected".into();
            with_server(server.name(), about, all)
        }
        Status::Disconnected(error) => {
            let mut all = session.output.failed(server.name(), &Failure::of_connect(error), about);
            all["status"] = "disconnected".into();
            all
        }
        _ => with_server(server.name(), about, json!({"status": "idle"})),
    }
}
