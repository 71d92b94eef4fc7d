//! The line editor: what it needs of rustyline.

use std::{borrow::Cow, path::Path, sync::Arc};

use rustyline::{
    CompletionType, Config, Context, EditMode, Editor, Helper,
    completion::{Completer, Pair},
    config::{Behavior, BellStyle, ColorMode},
    error::ReadlineError,
    highlight::{CmdKind, Highlighter},
    hint::{Hint, Hinter},
    history::{FileHistory, History, SearchDirection},
    validate::{ValidationContext, ValidationResult, Validator},
};

use super::screen::{Line, Screen};
use crate::render::plain;

/// Most commands that are kept.
const MAX_HISTORY: usize = 2_000;
/// Most candidates of a completion that are listed.
const MAX_CANDIDATES: usize = 500;

/// One way in which a word can go on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    /// What is put into the line.
    pub(crate) text: String,
    /// What it is, in a few words.
    pub(crate) about: String,
}

/// Help while a line is being written. It must be quick: the keyboard waits for it.
pub(crate) trait LineAid: Send + Sync {
    /// Where the word at the cursor starts, and how it can go on.
    fn complete(&self, _line: &str, cursor: usize) -> (usize, Vec<Candidate>) {
        (cursor, Vec::new())
    }

    /// What is shown behind the line; the part that can be taken over, and the rest that is only to be read.
    fn hint(&self, _line: &str, _cursor: usize) -> Option<Suggestion> {
        None
    }

    /// Whether the line goes on after Enter.
    fn goes_on(&self, _line: &str) -> bool {
        false
    }

    /// The line with colours. It must take the same columns.
    fn colored<'a>(&self, line: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(line)
    }
}

/// What is shown behind a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suggestion {
    /// What is shown.
    pub(crate) shown: String,
    /// What the right arrow puts into the line.
    pub(crate) taken: Option<String>,
}

impl Hint for Suggestion {
    fn display(&self) -> &str {
        &self.shown
    }

    fn completion(&self) -> Option<&str> {
        self.taken.as_deref()
    }
}

/// One line to be read.
pub(super) struct Wanted {
    pub(super) prompt: String,
    pub(super) aid: Arc<dyn LineAid>,
    /// Old commands can be brought back.
    pub(super) recalls: bool,
}

/// How reading a line ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Read {
    /// With a line.
    Line(String),
    /// With Ctrl-C.
    Interrupted,
    /// There are no more lines.
    End,
}

/// The editor of one terminal.
pub(super) struct LineEditor {
    editor: Editor<Bridge, FileHistory>,
    /// The commands, while something else is asked.
    aside: FileHistory,
}

impl LineEditor {
    pub(super) fn new(screen: Arc<Screen>, color: bool) -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .max_history_size(MAX_HISTORY)?
            .history_ignore_dups(true)?
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .edit_mode(EditMode::Emacs)
            // Outside of the shell standard output is for results, and may be a file.
            .behavior(if screen.is_interactive() { Behavior::Stdio } else { Behavior::PreferTerm })
            .bell_style(BellStyle::None)
            // Our own highlighter is what leaves colours out; it has to be called also without them, for it tells the
            // screen what the line is.
            .color_mode(ColorMode::Forced)
            .build();
        let mut editor = Editor::with_history(config.clone(), FileHistory::with_config(&config))?;
        editor.set_helper(Some(Bridge { screen, aid: Arc::new(()), color, recalls: false }));
        Ok(Self { editor, aside: FileHistory::with_config(&config) })
    }

    pub(super) fn read(&mut self, wanted: Wanted) -> Read {
        let Some(bridge) = self.editor.helper_mut() else { return Read::End };
        (bridge.aid, bridge.recalls) = (wanted.aid, wanted.recalls);
        let screen = Arc::clone(&bridge.screen);
        let prompt_width = plain::width(&wanted.prompt);
        let shown = bridge.highlight_prompt(&wanted.prompt, true).into_owned();
        if !wanted.recalls {
            std::mem::swap(self.editor.history_mut(), &mut self.aside);
        }
        screen.edit(Some(Line { prompt: shown, prompt_width, ..Line::default() }));
        let read = self.editor.readline(&wanted.prompt);
        screen.edit(None);
        if !wanted.recalls {
            std::mem::swap(self.editor.history_mut(), &mut self.aside);
        }
        match read {
            Ok(line) => Read::Line(line),
            Err(ReadlineError::Interrupted) => Read::Interrupted,
            Err(_) => Read::End,
        }
    }

    /// Commands of earlier sessions. A file that cannot be read is begun anew.
    pub(super) fn load(&mut self, path: &Path) {
        let _ = self.editor.load_history(path);
    }

    /// Keeps a command, in the file too if there is one.
    pub(super) fn remember(&mut self, line: &str, path: Option<&Path>) -> Result<(), ReadlineError> {
        if self.editor.add_history_entry(line)?
            && let Some(path) = path
        {
            self.editor.append_history(path)?;
        }
        Ok(())
    }

    /// The last commands, oldest first.
    pub(super) fn history(&self, most: usize) -> Vec<String> {
        let history = self.editor.history();
        let first = history.len().saturating_sub(most);
        let entry = |index| history.get(index, SearchDirection::Forward).ok().flatten();
        (first..history.len()).filter_map(entry).map(|found| found.entry.into_owned()).collect()
    }

    pub(super) fn clear(&mut self) {
        // The next prompt is drawn all the same.
        let _ = self.editor.clear_screen();
    }
}

impl LineAid for () {}

/// What rustyline calls.
struct Bridge {
    screen: Arc<Screen>,
    aid: Arc<dyn LineAid>,
    color: bool,
    recalls: bool,
}

impl Bridge {
    /// How the last command that began like this one went on.
    fn recalled(&self, line: &str, context: &Context<'_>) -> Option<Suggestion> {
        let last = context.history_index().checked_sub(1).filter(|_| self.recalls)?;
        let old = context.history().starts_with(line, last, SearchDirection::Reverse).ok()??;
        let rest = old.entry.strip_prefix(line).filter(|rest| !rest.is_empty() && !rest.contains('\n'))?;
        Some(Suggestion { shown: rest.to_owned(), taken: Some(rest.to_owned()) })
    }
}

impl Helper for Bridge {}

impl Completer for Bridge {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, mut candidates) = self.aid.complete(line, pos);
        candidates.truncate(MAX_CANDIDATES);
        let widest =
            candidates.iter().map(|candidate| plain::width(candidate.text.trim_end())).max().unwrap_or(0);
        let pair = |candidate: Candidate| {
            let name = candidate.text.trim_end();
            let about: String = candidate.about.lines().next().unwrap_or_default().chars().take(60).collect();
            let gap = " ".repeat(widest + 2 - plain::width(name));
            let display = if about.is_empty() { name.to_owned() } else { format!("{name}{gap}{about}") };
            Pair { display, replacement: candidate.text }
        };
        Ok((start, candidates.into_iter().map(pair).collect()))
    }
}

impl Hinter for Bridge {
    type Hint = Suggestion;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<Suggestion> {
        if line.is_empty() || pos < line.len() || line.contains('\n') {
            return None;
        }
        self.recalled(line, context).or_else(|| self.aid.hint(line, pos))
    }
}

impl Highlighter for Bridge {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        let shown = self.aid.colored(line);
        self.screen.edited(|edited| {
            line.clone_into(&mut edited.text);
            edited.shown = shown.clone().into_owned();
            edited.cursor = pos;
        });
        shown
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.color { Cow::Owned(format!("\x1b[1;36m{prompt}\x1b[0m")) } else { Cow::Borrowed(prompt) }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.color { Cow::Owned(format!("\x1b[90m{hint}\x1b[0m")) } else { Cow::Borrowed(hint) }
    }

    /// The whole line is drawn at each key, so that a notice which came in between cannot leave it wrong.
    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        true
    }
}

impl Validator for Bridge {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let goes_on = self.aid.goes_on(context.input());
        Ok(if goes_on { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}
