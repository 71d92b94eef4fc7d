//! `prompt`: one prompt, filled in.

use serde_json::json;
use upstream::{CallOptions, Upstream};

use super::texts;
use crate::{
    Exit, arguments,
    command_line::PromptArgs,
    output::{Stop, with_server},
    render::Failure,
    session::Session,
};

pub(super) async fn run(session: &Session, args: &PromptArgs) -> Result<Exit, Stop> {
    let output = &session.output;
    let arguments = texts(&args.arguments)?;
    let server = session.server(&args.server)?;
    let about = json!({"prompt": args.name});
    match server.prompt(&args.name, arguments, CallOptions::default()).await {
        Ok(result) if output.json => {
            output.document(&with_server(server.name(), about, json!({"result": result})))?;
            Ok(Exit::Success)
        }
        Ok(result) => {
            output.text(&output.renderer.prompt(&result))?;
            Ok(Exit::Success)
        }
        Err(error) => {
            let failure = Failure::of_call(&error);
            let hint = match failure.code {
                Some(_) => hint(&server, &args.name).await.or(failure.hint.clone()),
                None => failure.hint.clone(),
            };
            output.failure(server.name(), &failure.with_hint(hint), about)
        }
    }
}

/// What prompts there are, or what arguments this one has.
async fn hint(server: &Upstream, name: &str) -> Option<String> {
    let prompts = server.prompts().await.ok()?;
    let Some(prompt) = prompts.iter().find(|prompt| prompt.name == name) else {
        let nearest = arguments::nearest(name, prompts.iter().map(|prompt| prompt.name.as_str()));
        let names: Vec<_> = prompts.iter().take(12).map(|prompt| prompt.name.as_str()).collect();
        return Some(nearest.map_or_else(
            || format!("there are the prompts {}", names.join(", ")),
            |nearest| format!("did you mean {nearest}?"),
        ));
    };
    let arguments = prompt.arguments.iter().flatten().map(|argument| {
        let optional = argument.required != Some(true);
        if optional { format!("[{}=…]", argument.name) } else { format!("{}=…", argument.name) }
    });
    Some(format!("usage: {name} {}", arguments.collect::<Vec<_>>().join(" ")))
}
