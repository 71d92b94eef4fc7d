//! The person at the terminal, as servers see them: forms are asked, sampling needs their consent.

mod editor;
mod elicitation;
mod field;
mod formats;
mod jobs;
mod keyboard;
mod mode;
mod notices;
mod sampling;
mod screen;
#[cfg(test)]
mod tests;

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use rmcp::model::{
    CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult, ElicitationAction,
    ErrorData, ListRootsResult, Root,
};
use upstream::{Abilities, Host, Notice, Status};
use url::Url;

use crate::render::plain::visible_line;
use notices::Words;
use sampling::Sampling;

pub(crate) use editor::{Candidate, LineAid, Read, Suggestion};
pub(crate) use keyboard::Keyboard;
pub(crate) use screen::Screen;

/// Hears of every notice before it is shown.
type Listener = Box<dyn Fn(&str, &Notice) + Send + Sync>;

/// The person at the terminal.
pub(crate) struct TerminalHost {
    screen: Arc<Screen>,
    keyboard: Arc<Keyboard>,
    sampling: Option<Sampling>,
    roots: Vec<Root>,
    words: Words,
    listener: OnceLock<Listener>,
}

impl TerminalHost {
    /// `interactive`: whether somebody can be asked. `sampling`: the server-b that answers for models. `roots`: folders that
    /// servers may work in; one that is no path from the root on is left out.
    pub(crate) fn new(interactive: bool, sampling: Option<Url>, roots: Vec<PathBuf>) -> Self {
        let screen = Arc::new(Screen::default());
        let root = |path: PathBuf| {
            let path = std::path::absolute(path).ok()?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let root = Root::new(Url::from_directory_path(&path).ok()?);
            Some(match name {
                Some(name) => root.with_name(name),
                None => root,
            })
        };
        let interactive = interactive && io::stdin().is_terminal();
        Self {
            keyboard: Arc::new(Keyboard::new(Arc::clone(&screen), interactive)),
            screen,
            sampling: sampling.map(Sampling::new),
            roots: roots.into_iter().filter_map(root).collect(),
            words: Words::default(),
            listener: OnceLock::new(),
        }
    }

    /// Where everything is shown.
    pub(crate) fn screen(&self) -> &Arc<Screen> {
        &self.screen
    }

    /// What is typed.
    pub(crate) fn keyboard(&self) -> &Arc<Keyboard> {
        &self.keyboard
    }

    /// `listener` hears of every notice from now on; only the first one that is set does. It must not block.
    pub(crate) fn listen(&self, listener: Listener) {
        let _ = self.listener.set(listener);
    }

    /// The question is told of while a command is being typed: it is asked after the next Enter.
    fn announce(&self, server: &str) {
        self.screen.remark(&format!("{} asks something: press Enter to see it", visible_line(server)));
    }
}

#[async_trait]
impl Host for TerminalHost {
    fn abilities(&self) -> Abilities {
        Abilities {
            // Without anybody to ask they are declared too, and cancelled: servers then know that nobody answers here.
            elicit_forms: true,
            elicit_urls: true,
            sampling: self.sampling.is_some() && self.keyboard.is_interactive(),
            roots: !self.roots.is_empty(),
        }
    }

    async fn elicit(&self, server: &str, request: ElicitRequestParams) -> Result<ElicitResult, ErrorData> {
        if !self.keyboard.is_interactive() {
            self.screen.notice(&format!(
                "{} asks something, but nobody is at a terminal to answer: it is told so (cancel)",
                visible_line(server)
            ));
            return Ok(ElicitResult::new(ElicitationAction::Cancel));
        }
        let turn = self.keyboard.turn(|| self.announce(server)).await;
        match request {
            ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } => {
                Ok(elicitation::form(&self.screen, &turn, server, &message, &requested_schema).await)
            }
            ElicitRequestParams::UrlElicitationParams { message, url, .. } => {
                Ok(elicitation::link(&self.screen, &turn, server, &message, &url).await)
            }
            _ => Err(ErrorData::invalid_params("this kind of question is not known here", None)),
        }
    }

    async fn sample(
        &self,
        server: &str,
        request: CreateMessageRequestParams,
    ) -> Result<CreateMessageResult, ErrorData> {
        let Some(sampling) = &self.sampling else {
            return Err(ErrorData::invalid_request("no model can be asked here", None));
        };
        sampling.answer(&self.screen, &self.keyboard, server, request).await
    }

    async fn roots(&self, _server: &str) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::new(self.roots.clone()))
    }

    fn notice(&self, server: &str, notice: Notice) {
        if let Some(listener) = self.listener.get() {
            listener(server, &notice);
        }
        // Another server may get its name.
        if let (Notice::Status(Status::Closed), Some(sampling)) = (&notice, &self.sampling) {
            sampling.forget(server);
        }
        if let Some(words) = self.words.say(server, &notice) {
            self.screen.notice(&words);
        }
    }
}
