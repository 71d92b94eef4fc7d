//! One-shot commands: what each prints, and how it ends.

mod broadcast;
pub(crate) mod call;
mod complete;
mod info;
pub(crate) mod listen;
mod lists;
mod login;
mod ping;
mod prompt;
mod read;
mod servers;

use std::future::Future;

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use rmcp::model::JsonObject;
use upstream::Upstream;

use crate::{Exit, command_line::Command, output::Stop, session::Session};

/// Carries out a command.
pub(crate) async fn run(session: &Session, command: &Command) -> Result<Exit, Stop> {
    match command {
        Command::Servers(args) => servers::run(session, args).await,
        Command::Tools(args) => lists::tools(session, args).await,
        Command::Call(args) => call::run(session, args).await,
        Command::Broadcast(args) => broadcast::run(session, args).await,
        Command::Resources(args) => lists::resources(session, &args.servers).await,
        Command::Read(args) => read::run(session, args).await,
        Command::Prompts(args) => lists::prompts(session, &args.servers).await,
        Command::Prompt(args) => prompt::run(session, args).await,
        Command::Complete(args) => complete::run(session, args).await,
        Command::Ping(args) => ping::run(session, args).await,
        Command::Info(args) => info::run(session, &args.servers).await,
        Command::Login(args) => login::login(session, args).await,
        Command::Logout(args) => login::logout(session, args).await,
        // These do not come here: they need something else, or no session at all.
        Command::Listen(_) | Command::Bench(_) | Command::Completions { .. } | Command::Man { .. } => {
            Ok(Exit::Success)
        }
    }
}

/// Asks all servers at once and hands over each answer as it comes.
async fn each<T, F: Future<Output = T>>(
    servers: &[Upstream],
    ask: impl Fn(Upstream) -> F,
    mut answered: impl FnMut(usize, T) -> Result<Exit, Stop>,
) -> Result<Exit, Stop> {
    let mut asked: FuturesUnordered<_> = servers
        .iter()
        .enumerate()
        .map(|(index, server)| {
            let answer = ask(server.clone());
            async move { (index, answer.await) }
        })
        .collect();
    let mut worst = Exit::Success;
    while let Some((index, answer)) = asked.next().await {
        worst = worst.max(answered(index, answer)?);
    }
    Ok(worst)
}

/// `NAME=VALUE` …, or one JSON object; values become texts.
fn texts(words: &[String]) -> Result<JsonObject, Stop> {
    if let [only] = words
        && only.trim_start().starts_with('{')
    {
        let object: JsonObject = serde_json::from_str(only)
            .map_err(|error| Stop::usage(format!("the arguments are not a JSON object: {error}")))?;
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        return Ok(object.into_iter().map(|(name, value)| (name, text(value).into())).collect());
    }
    let pair = |word: &String| {
        let pair = word.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, value) =
            pair.ok_or_else(|| Stop::usage("write arguments as NAME=VALUE, or as one JSON object"))?;
        Ok((name.to_owned(), value.into()))
    };
    words.iter().map(pair).collect()
}
