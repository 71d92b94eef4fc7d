//! `info`: what servers say of themselves.

use serde_json::{Value, json};
use upstream::{Introduction, Upstream};

use super::each;
use crate::{
    Exit,
    output::{Stop, with_server},
    render::Failure,
    session::Session,
};

pub(super) async fn run(session: &Session, words: &[String]) -> Result<Exit, Stop> {
    let output = &session.output;
    let servers = session.servers(words)?;
    let mut documents = vec![Value::Null; servers.len()];
    let ask = |server: Upstream| async move { server.connect().await };
    let worst = each(&servers, ask, |index, connected| {
        let server = &servers[index];
        let about = json!({"address": output.renderer.address(server)});
        match connected {
            Ok(introduction) if output.json => {
                documents[index] = with_server(server.name(), about, document(&introduction));
            }
            Ok(introduction) => output.text(&output.renderer.introduction(server, &introduction))?,
            Err(error) => {
                let failure = Failure::of_connect(&error);
                output.say(&output.renderer.failure(server.name(), &failure));
                documents[index] = output.failed(server.name(), &failure, about);
                return Ok(failure.exit);
            }
        }
        Ok(Exit::Success)
    })
    .await?;
    if output.json {
        output.document(&json!({"servers": documents}))?;
    }
    Ok(worst)
}

/// `{"protocolVersion", "era", "serverInfo", "capabilities", "instructions"}`
pub(super) fn document(introduction: &Introduction) -> Value {
    let Introduction { protocol_version, server, capabilities, instructions } = introduction;
    let era = if crate::render::is_modern(introduction) { "modern" } else { "legacy" };
    json!({
        "protocolVersion": protocol_version, "era": era, "serverInfo": server,
        "capabilities": capabilities, "instructions": instructions,
    })
}
