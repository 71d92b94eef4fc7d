//! `listen`: what servers tell without being asked, as it comes.

use std::{cell::Cell, sync::atomic::Ordering};

use rmcp::model::{LoggingLevel, ServerCapabilities};
use serde_json::{Value, json};
use tokio::time::sleep;
use upstream::{CallError, Notice, Status, Upstream};

use super::each;
use crate::{
    Exit,
    command_line::ListenArgs,
    host::{Ear, Heard},
    output::{Stop, with_server},
    render::{Failure, is_modern, paint::Ink, plain},
    session::Session,
};

pub(crate) async fn run(session: &Session, args: &ListenArgs, mut ear: Ear) -> Result<Exit, Stop> {
    let output = &session.output;
    let servers = session.servers(&args.servers)?;
    let level: Option<LoggingLevel> = args.level.into();
    let end = async {
        match args.duration {
            Some(duration) => sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let ask = |server: Upstream| async move { begin(&server, level, &args.resource).await };
    let (mut worst, somebody) = (Exit::Success, Cell::new(false));
    let beginning = each(&servers, ask, |index, begun| match begun {
        Ok(heard) => {
            somebody.set(true);
            heard.iter().for_each(|words| {
                let words = output.renderer.hide(&format!("{}: {words}", servers[index].name()));
                output.say(&output.renderer.note(&words));
            });
            Ok(Exit::Success)
        }
        Err(failure) => output.failure(servers[index].name(), &failure, json!({"event": "failed"})),
    });
    tokio::pin!(beginning);
    let (mut begun, mut seen) = (false, 0);
    loop {
        tokio::select! {
            done = &mut beginning, if !begun => {
                (begun, worst) = (true, done?);
                if !somebody.get() {
                    return Ok(worst);
                }
            }
            Some(heard) = ear.heard.recv() => {
                // Why a server cannot be had is told when it is known of all.
                let told_twice = !begun && matches!(heard.notice, Notice::Status(Status::Disconnected(_)));
                if !told_twice && show(session, &heard)? {
                    seen += 1;
                }
                if args.count.is_some_and(|count| seen >= count) {
                    break;
                }
            }
            () = &mut end => break,
        }
    }
    let dropped = ear.dropped.load(Ordering::Relaxed);
    if dropped > 0 {
        output.say(&output.renderer.note(&format!("{dropped} more events came too fast to be shown")));
    }
    Ok(worst)
}

/// Connects, and asks for what is wanted. In words what is heard now, and what is not.
async fn begin(
    server: &Upstream,
    level: Option<LoggingLevel>,
    resources: &[String],
) -> Result<Vec<String>, Failure> {
    let introduction = server.connect().await.map_err(|error| Failure::of_connect(&error))?;
    let (mut heard, mut notes) = (announced(&introduction.capabilities), Vec::new());
    if introduction.capabilities.logging.is_some() {
        match server.set_log_level(level).await {
            Ok(()) if level.is_none() => {}
            Ok(()) if is_modern(&introduction) => {
                notes.push(
                    "its log is not heard: servers of the newer era tell it during calls only".to_owned(),
                );
            }
            Ok(()) => heard.push("its log"),
            Err(CallError::Refused(error)) => {
                notes.push(format!("it does not tell its log: {}", error.message))
            }
            Err(error) => return Err(Failure::of_call(&error)),
        }
    }
    for uri in resources {
        server.subscribe(uri).await.map_err(|error| Failure::of_call(&error))?;
    }
    if !resources.is_empty() {
        heard.push("updates of resources");
    }
    notes.push(match heard.is_empty() {
        true => "there is nothing to hear: it announces no changes of its lists; Ctrl-C ends it".to_owned(),
        false => format!("listening ({}); Ctrl-C ends it", heard.join(", ")),
    });
    Ok(notes)
}

/// The changes that a server says it tells of.
fn announced(capabilities: &ServerCapabilities) -> Vec<&'static str> {
    let ServerCapabilities { tools, prompts, resources, .. } = capabilities;
    let all = [
        ("changes of tools", tools.as_ref().and_then(|tools| tools.list_changed)),
        ("changes of prompts", prompts.as_ref().and_then(|prompts| prompts.list_changed)),
        ("changes of resources", resources.as_ref().and_then(|resources| resources.list_changed)),
    ];
    all.into_iter().filter(|(_, told)| *told == Some(true)).map(|(what, _)| what).collect()
}

/// Shows an event; whether it counts as one.
fn show(session: &Session, heard: &Heard) -> Result<bool, Stop> {
    let output = &session.output;
    let (event, words, ink) = match &heard.notice {
        Notice::ToolsChanged => (json!({"event": "tools_changed"}), "tools changed".to_owned(), Ink::Plain),
        Notice::PromptsChanged => {
            (json!({"event": "prompts_changed"}), "prompts changed".to_owned(), Ink::Plain)
        }
        Notice::ResourcesChanged => {
            (json!({"event": "resources_changed"}), "resources changed".to_owned(), Ink::Plain)
        }
        Notice::ResourceUpdated(uri) => {
            (json!({"event": "resource_updated", "uri": uri}), format!("resource updated: {uri}"), Ink::Plain)
        }
        Notice::Log(line) => {
            let data = match &line.data {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let level = json!(line.level);
            let level_word = level.as_str().unwrap_or_default().to_owned();
            let logger = line.logger.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
            let event = json!({"event": "log", "level": level, "logger": line.logger, "data": line.data});
            (event, format!("{level_word}{logger}: {data}"), ink(line.level))
        }
        Notice::Status(status) => {
            let Some((event, words)) = self::status(session, status) else { return Ok(false) };
            if output.json {
                output.document(&with_server(&heard.server, event, json!({})))?;
            } else {
                output.say(&output.renderer.note(&format!("{} {words}", heard.server)));
            }
            return Ok(false);
        }
    };
    if output.json {
        let time = jiff::Timestamp::now().to_string();
        let event = output.renderer.hide_in(event);
        output.document(&with_server(&heard.server, event, json!({"time": time})))?;
    } else {
        let words = output.renderer.hide(&words);
        let name = output.renderer.ink(Ink::Bold, &plain::visible_line(&heard.server));
        output.text(&format!("{name} {}", output.renderer.ink(ink, &plain::visible(&words))))?;
    }
    Ok(true)
}

fn status(session: &Session, status: &Status) -> Option<(Value, String)> {
    match status {
        Status::Connected(_) => Some((json!({"event": "connected"}), "connected".to_owned())),
        Status::Disconnected(error) => {
            let failure = Failure::of_connect(error);
            let message = session.output.renderer.hide(&failure.message);
            let words = format!("disconnected: {message}");
            Some((json!({"event": "disconnected", "message": message}), words))
        }
        _ => None,
    }
}

fn ink(level: LoggingLevel) -> Ink {
    match level {
        LoggingLevel::Debug => Ink::Dim,
        LoggingLevel::Info | LoggingLevel::Notice => Ink::Plain,
        LoggingLevel::Warning => Ink::Yellow,
        _ => Ink::Red,
    }
}
