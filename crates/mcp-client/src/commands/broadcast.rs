//! `broadcast`: the same tool of all servers at once.

use std::time::Instant;

use serde_json::json;
use upstream::CallOptions;

use super::{
    call::{Arguments, Call, exit},
    each,
};
use crate::{
    Exit,
    command_line::BroadcastArgs,
    output::{Stop, with_server},
    render::{paint::Ink, plain},
    session::Session,
};

pub(super) async fn run(session: &Session, args: &BroadcastArgs) -> Result<Exit, Stop> {
    let output = &session.output;
    let servers = session.servers(&[])?;
    let call = Call { tool: args.tool.clone(), arguments: Arguments::of(&args.arguments)? };
    let started = Instant::now();
    let ask = |server: upstream::Upstream| {
        let call = &call;
        async move { call.on(&server, CallOptions::default()).await }
    };
    each(&servers, ask, |index, answer| {
        let server = servers[index].name();
        let about = json!({"tool": args.tool, "seconds": started.elapsed().as_secs_f64()});
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return output.failure(server, &failure, about),
        };
        if output.json {
            output.document(&with_server(server, about, json!({"result": answer.result})))?;
        } else {
            let name = output.renderer.ink(Ink::Bold, &format!("[{}]", plain::visible_line(server)));
            let result = output.renderer.tool_result(&answer.result);
            let gap = if result.contains('\n') { '\n' } else { ' ' };
            output.text(&format!("{name}{gap}{result}"))?;
        }
        if let Some(hint) = &answer.hint {
            output.say(&output.renderer.note(&format!("{server}: {hint}")));
        }
        Ok(exit(&answer.result))
    })
    .await
}
