//! Which server is meant.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use rmcp::model::Tool;
use tokio::time::timeout;
use upstream::Upstream;

use super::operator::{Operator, Stop};
use crate::{
    arguments::{nearest, split_first},
    render::plain::visible_line,
};

/// Longest wait for servers to say whether they have a tool.
const LOOK_UP: Duration = Duration::from_secs(5);

impl Operator {
    /// The server that the text starts with, and the rest of the text. It can be left out when there is only one.
    pub(super) fn server_first<'a>(&self, text: &'a str, usage: &str) -> Result<(Upstream, &'a str), Stop> {
        let all = self.servers.all();
        let first = split_first(text);
        if let Some((name, rest)) = &first
            && let Ok(server) = self.servers.get(name)
        {
            return Ok((server, rest));
        }
        match (all.as_slice(), first) {
            ([only], _) => Ok((only.clone(), text.trim())),
            (_, Some((name, rest))) if !rest.is_empty() => Err(self.no_server(&name)),
            _ => Err(Stop::usage(format!("usage: {usage}"))),
        }
    }

    /// The server of this name; without one all of them.
    pub(super) fn servers_named(&self, text: &str) -> Result<Vec<Upstream>, Stop> {
        match split_first(text) {
            None => Ok(self.servers.all()),
            Some((name, _)) => {
                self.servers.get(&name).map(|server| vec![server]).map_err(|_| self.no_server(&name))
            }
        }
    }

    pub(super) fn no_server(&self, name: &str) -> Stop {
        let all = self.servers.all();
        let names: Vec<&str> = all.iter().map(Upstream::name).collect();
        let hint = match (nearest(name, names.iter().copied()), names.is_empty()) {
            (Some(near), _) => format!("do you mean `{}`?", visible_line(near)),
            (None, true) => "there are none: `add NAME ADDRESS` adds one".to_owned(),
            (None, false) => format!("there are: {}", names.join(", ")),
        };
        Stop::usage(format!("there is no server `{name}`; {hint}"))
    }

    /// The server and the tool that a call starts with, and its arguments. The server can be left out when there is only one,
    /// or only one that has the tool.
    pub(super) async fn tool_first<'a>(&self, text: &'a str) -> Result<(Upstream, String, &'a str), Stop> {
        const USAGE: &str = "usage: call [NAME] TOOL [ARGS]";
        let (first, rest) = split_first(text).ok_or_else(|| Stop::usage(USAGE))?;
        if let Ok(server) = self.servers.get(&first) {
            let (tool, arguments) = split_first(rest).ok_or_else(|| {
                Stop::usage(format!("{USAGE}; `tools {}` lists its tools", visible_line(&first)))
            })?;
            return Ok((server, tool, arguments));
        }
        let all = self.servers.all();
        let owners = self.owners(&first).await;
        match (owners.as_slice(), all.as_slice()) {
            ([(owner, _)], _) => Ok((owner.clone(), first, rest)),
            ([], [only]) => {
                // `call nonexistent_server echo …`: the second word is a tool, so the first was meant as a server.
                let second = split_first(rest).map(|(second, _)| second);
                match second {
                    Some(second) if !self.owners(&second).await.is_empty() => Err(self.no_server(&first)),
                    _ => Ok((only.clone(), first, rest)),
                }
            }
            ([], _) => Err(self.no_server(&first)),
            (owners, _) => {
                let names: Vec<&str> = owners.iter().map(|(owner, _)| owner.name()).collect();
                Err(Stop::usage(format!(
                    "several servers have `{first}`: write call NAME {first} …, with one of {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// The servers that have this tool, as far as they say so in time.
    pub(super) async fn owners(&self, tool: &str) -> Vec<(Upstream, Tool)> {
        let asked = self.servers.all().into_iter().map(|server| async move {
            let tools = timeout(LOOK_UP, server.tools()).await.ok()?.ok()?;
            let found = named(&tools, tool)?.clone();
            Some((server, found))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}

/// The tool of this name.
pub(super) fn named<'a>(tools: &'a Arc<Vec<Tool>>, name: &str) -> Option<&'a Tool> {
    tools.iter().find(|tool| tool.name == name)
}
