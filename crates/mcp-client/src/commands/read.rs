//! `read`: one resource.

use std::io::{self, IsTerminal as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rmcp::model::{ReadResourceResult, ResourceContents};
use serde_json::json;
use upstream::CallOptions;

use crate::{
    Exit,
    command_line::ReadArgs,
    output::{Stop, with_server},
    render::Failure,
    session::Session,
};

pub(super) async fn run(session: &Session, args: &ReadArgs) -> Result<Exit, Stop> {
    let output = &session.output;
    if args.raw && io::stdout().is_terminal() {
        return Err(Stop::usage("--raw is not for a terminal: write to a file or a pipe"));
    }
    let server = session.server(&args.server)?;
    let about = json!({"uri": args.uri});
    let result = match server.read_resource(&args.uri, CallOptions::default()).await {
        Ok(result) => result,
        Err(error) => {
            let failure = Failure::of_call(&error);
            let hint =
                failure.code.map(|_| format!("mcp-client resources {} lists what there is", args.server));
            return output.failure(server.name(), &failure.with_hint(hint), about);
        }
    };
    if output.json {
        output.document(&with_server(server.name(), about, json!({"result": result})))?;
    } else if args.raw {
        output.bytes(&raw(&result)?)?;
    } else {
        output.text(&output.renderer.resource(&result))?;
    }
    Ok(Exit::Success)
}

fn raw(result: &ReadResourceResult) -> Result<Vec<u8>, Stop> {
    let mut all = Vec::new();
    for contents in &result.contents {
        match contents {
            ResourceContents::TextResourceContents { text, .. } => all.extend(text.as_bytes()),
            ResourceContents::BlobResourceContents { blob, .. } => {
                let decoded = STANDARD.decode(blob.trim_ascii());
                all.extend(
                    decoded.map_err(|_| {
                        Stop::usage("the server's content is not base64: read it with --json")
                    })?,
                );
            }
            // A newer version's.
            _ => return Err(Stop::usage("this kind of content has no raw form: read it with --json")),
        }
    }
    Ok(all)
}
