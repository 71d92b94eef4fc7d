//! `complete`: values for an argument of a prompt or a template.

use std::collections::HashMap;

use rmcp::model::{ArgumentInfo, CompleteRequestParams, CompletionContext, Reference};
use serde_json::{Value, json};

use super::texts;
use crate::{
    Exit,
    command_line::CompleteArgs,
    output::{Stop, with_server},
    render::{Failure, plain},
    session::Session,
};

pub(super) async fn run(session: &Session, args: &CompleteArgs) -> Result<Exit, Stop> {
    let output = &session.output;
    let reference = if args.reference.contains("://") {
        Reference::for_resource(&args.reference)
    } else {
        Reference::for_prompt(&args.reference)
    };
    let known: HashMap<String, String> = texts(&args.with)?
        .into_iter()
        .filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            _ => None,
        })
        .collect();
    let argument = ArgumentInfo::new(&args.argument, &args.value);
    let mut params = CompleteRequestParams::new(reference, argument);
    if !known.is_empty() {
        params = params.with_context(CompletionContext::with_arguments(known));
    }
    let server = session.server(&args.server)?;
    let about = json!({"argument": args.argument});
    let info = match server.complete(params).await {
        Ok(info) => info,
        Err(error) => return output.failure(server.name(), &Failure::of_call(&error), about),
    };
    if output.json {
        output.document(&with_server(server.name(), about, json!({"completion": info})))?;
        return Ok(Exit::Success);
    }
    for value in &info.values {
        output.text(&plain::visible_line(value))?;
    }
    if info.has_more == Some(true) {
        output.say(&output.renderer.note("there are more"));
    }
    Ok(Exit::Success)
}
