//! `tools`, `resources`, `prompts`: what servers offer. Each is shown as soon as it answers; with `--json` all together.

use std::future::Future;

use serde_json::{Value, json};
use upstream::{CallError, Upstream};

use super::each;
use crate::{
    Exit,
    command_line::ToolsArgs,
    output::{Stop, with_server},
    render::{Failure, Renderer},
    session::Session,
};

/// The code of a server that does not know a method.
const NO_METHOD: i32 = -32601;

/// What a server offers, for people and for scripts.
struct Shown {
    text: String,
    json: Value,
}

pub(super) async fn tools(session: &Session, args: &ToolsArgs) -> Result<Exit, Stop> {
    let wanted = args.tool.as_deref();
    let renderer = &session.output.renderer;
    all(session, &args.servers, |server| async move {
        let tools = known(server.tools().await)?;
        let Some(name) = wanted else {
            let text = renderer.tools(server.name(), &tools);
            return Ok(Shown { text, json: json!({"tools": tools}) });
        };
        let tool = tools.iter().find(|tool| tool.name == name);
        let tool = tool.ok_or_else(|| Failure::usage(format!("there is no tool {name:?}")))?;
        Ok(Shown { text: renderer.tool(tool), json: json!({"tools": [tool]}) })
    })
    .await
}

pub(super) async fn resources(session: &Session, servers: &[String]) -> Result<Exit, Stop> {
    let renderer: &Renderer = &session.output.renderer;
    all(session, servers, |server| async move {
        let (resources, templates) = tokio::join!(server.resources(), server.resource_templates());
        let (resources, templates) = (known(resources)?, known(templates)?);
        Ok(Shown {
            text: renderer.resources(server.name(), &resources, &templates),
            json: json!({"resources": resources, "resourceTemplates": templates}),
        })
    })
    .await
}

pub(super) async fn prompts(session: &Session, servers: &[String]) -> Result<Exit, Stop> {
    let renderer = &session.output.renderer;
    all(session, servers, |server| async move {
        let prompts = known(server.prompts().await)?;
        Ok(Shown { text: renderer.prompts(server.name(), &prompts), json: json!({"prompts": prompts}) })
    })
    .await
}

/// A server that does not know such a list has none of it.
fn known<T>(list: Result<std::sync::Arc<Vec<T>>, CallError>) -> Result<std::sync::Arc<Vec<T>>, Failure> {
    match list {
        Err(CallError::Refused(error)) if error.code.0 == NO_METHOD => Ok(std::sync::Arc::default()),
        other => other.map_err(|error| Failure::of_call(&error)),
    }
}

async fn all<F: Future<Output = Result<Shown, Failure>>>(
    session: &Session,
    words: &[String],
    ask: impl Fn(Upstream) -> F,
) -> Result<Exit, Stop> {
    let output = &session.output;
    let servers = session.servers(words)?;
    let mut documents = vec![Value::Null; servers.len()];
    let mut first = true;
    let worst = each(&servers, ask, |index, shown| {
        let server = servers[index].name();
        match shown {
            Ok(shown) if output.json => documents[index] = with_server(server, json!({}), shown.json),
            Ok(shown) => {
                let gap = if std::mem::take(&mut first) { "" } else { "\n" };
                output.text(&format!("{gap}{}", shown.text))?;
            }
            Err(failure) => {
                output.say(&output.renderer.failure(server, &failure));
                documents[index] = output.failed(server, &failure, json!({}));
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
