//! Who reads what is typed: one thread owns standard input, and only one reader at a time is served by it.

use std::{
    io::{self, BufRead as _, Read as _},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::sync::{Mutex as Turns, MutexGuard, oneshot};

use super::{
    editor::{LineAid, LineEditor, Read, Wanted},
    jobs::{Job, Jobs},
    mode::Mode,
    screen::Screen,
};

/// Longest line that is read when nobody types it, in bytes.
const MAX_LINE: u64 = 4 << 20;

/// What is typed, line by line.
pub(crate) struct Keyboard {
    thread: Mutex<Option<Reader>>,
    turns: Turns<()>,
    /// A command is being waited for: nothing else can be asked before its Enter.
    waits_for_command: AtomicBool,
    screen: Arc<Screen>,
    interactive: AtomicBool,
    color: AtomicBool,
    /// What a test types.
    #[cfg(test)]
    typed: Mutex<std::collections::VecDeque<Read>>,
}

/// The thread that reads. It cannot be waited for: nothing ends a read of standard input.
struct Reader {
    jobs: Jobs,
    /// The terminal's mode before a line was edited.
    mode: Option<Mode>,
    #[cfg_attr(not(unix), expect(dead_code, reason = "it tells of itself that the terminal's size changed"))]
    thread: Option<thread::JoinHandle<()>>,
}

/// The right to ask: nobody else does meanwhile.
pub(crate) struct Turn<'a> {
    keyboard: &'a Keyboard,
    _turn: MutexGuard<'a, ()>,
}

impl Keyboard {
    /// `interactive`: somebody types, and gets a line editor.
    pub(crate) fn new(screen: Arc<Screen>, interactive: bool) -> Self {
        Self {
            thread: Mutex::new(None),
            turns: Turns::new(()),
            waits_for_command: AtomicBool::new(false),
            screen,
            interactive: AtomicBool::new(interactive),
            color: AtomicBool::new(false),
            #[cfg(test)]
            typed: Mutex::default(),
        }
    }

    /// Somebody types these lines, one for each question; `^C` is Ctrl-C.
    #[cfg(test)]
    pub(crate) fn type_ahead(&self, lines: &[&str]) {
        self.set_interactive(true);
        let read =
            |line: &&str| if *line == "^C" { Read::Interrupted } else { Read::Line((*line).to_owned()) };
        self.typed.lock().unwrap().extend(lines.iter().map(read));
    }

    /// Whether somebody can be asked.
    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive.load(Ordering::Relaxed)
    }

    /// Somebody types, or not; it counts from the first line on.
    pub(crate) fn set_interactive(&self, interactive: bool) {
        self.interactive.store(interactive, Ordering::Relaxed);
    }

    /// Colours may be used from the first line on.
    pub(crate) fn set_color(&self, color: bool) {
        self.color.store(color, Ordering::Relaxed);
    }

    /// Waits until nobody else asks. `waiting` is called when that may take long: a command is being typed.
    pub(crate) async fn turn(&self, waiting: impl FnOnce()) -> Turn<'_> {
        if self.waits_for_command.load(Ordering::SeqCst) {
            waiting();
        }
        Turn { keyboard: self, _turn: self.turns.lock().await }
    }

    /// The next command.
    pub(crate) async fn command(&self, prompt: &str, aid: Arc<dyn LineAid>) -> Read {
        let _turn = self.turns.lock().await;
        self.waits_for_command.store(true, Ordering::SeqCst);
        let read = self.read(Wanted { prompt: prompt.to_owned(), aid, recalls: true }).await;
        self.waits_for_command.store(false, Ordering::SeqCst);
        read
    }

    /// Reads commands of earlier sessions, and keeps those of this one there.
    pub(crate) fn keep_history_in(&self, path: PathBuf) {
        self.send(Job::Load(path));
    }

    /// Keeps a command.
    pub(crate) fn remember(&self, line: &str) {
        self.send(Job::Remember(line.to_owned()));
    }

    /// The last commands, oldest first.
    pub(crate) async fn history(&self, most: usize) -> Vec<String> {
        let (answer, history) = oneshot::channel();
        self.send(Job::History(most, answer));
        history.await.unwrap_or_default()
    }

    /// Clears the screen.
    pub(crate) fn clear(&self) {
        self.send(Job::Clear);
    }

    async fn read(&self, wanted: Wanted) -> Read {
        #[cfg(test)]
        if self.is_interactive() {
            let read = self.typed.lock().unwrap().pop_front().unwrap_or(Read::End);
            self.screen.remark(&format!("{}{read:?}", wanted.prompt));
            return read;
        }
        let (answer, read) = oneshot::channel();
        self.send(Job::Read(wanted, answer));
        read.await.unwrap_or(Read::End)
    }

    /// The terminal has another size: the line that is being edited is drawn anew. The system tells any thread of a new size,
    /// but only the one that reads can do something about it.
    pub(crate) fn resized(&self) {
        #[cfg(unix)]
        {
            use std::os::unix::thread::JoinHandleExt as _;
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(thread) = thread.as_ref().and_then(|reader| reader.thread.as_ref()) {
                // It fails only when the thread has ended.
                let _ = nix::sys::pthread::pthread_kill(
                    thread.as_pthread_t(),
                    nix::sys::signal::Signal::SIGWINCH,
                );
            }
        }
    }

    fn send(&self, job: Job) {
        let mut reader = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        reader.get_or_insert_with(|| self.reader()).jobs.push(job);
    }

    /// The program ends, maybe while a line is being edited: nothing more is asked, and the terminal is as it was before.
    pub(crate) fn leave(&self) {
        let reader = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(reader) = reader.as_ref() else { return };
        reader.jobs.close();
        if let Some(mode) = &reader.mode {
            self.screen.leave();
            mode.restore();
        }
    }

    fn reader(&self) -> Reader {
        let (jobs, queue) = Jobs::new();
        let (screen, color) = (Arc::clone(&self.screen), self.color.load(Ordering::Relaxed));
        let interactive = self.is_interactive();
        let mode = if interactive { Mode::save() } else { None };
        let serve = move || if interactive { edited(screen, color, queue) } else { piped(queue) };
        // Without its thread the queue is closed, and all reading ends.
        let thread = thread::Builder::new().name("keyboard".to_owned()).spawn(serve).ok();
        Reader { jobs, mode, thread }
    }
}

impl Turn<'_> {
    /// One answer.
    pub(crate) async fn ask(&self, prompt: &str, aid: Arc<dyn LineAid>) -> Read {
        let stale = Stale { screen: Some(&self.keyboard.screen) };
        let read = self.keyboard.read(Wanted { prompt: prompt.to_owned(), aid, recalls: false }).await;
        stale.answered();
        read
    }
}

/// Says so when nobody waits any more for an answer that is still being typed.
struct Stale<'a> {
    screen: Option<&'a Screen>,
}

impl Stale<'_> {
    fn answered(mut self) {
        self.screen = None;
    }
}

impl Drop for Stale<'_> {
    fn drop(&mut self) {
        if let Some(screen) = self.screen {
            screen.notice("(nobody waits for this answer any more: press Enter)");
        }
    }
}

fn edited(screen: Arc<Screen>, color: bool, jobs: Jobs) {
    let mut editor = match LineEditor::new(Arc::clone(&screen), color) {
        Ok(editor) => editor,
        Err(error) => return screen.remark(&format!("the terminal cannot be used: {error}")),
    };
    let mut path: Option<PathBuf> = None;
    for job in jobs {
        match job {
            Job::Read(wanted, answer) => drop(answer.send(editor.read(wanted))),
            Job::Load(file) => {
                editor.load(&file);
                path = Some(file);
            }
            Job::Remember(line) => {
                if let Err(error) = editor.remember(&line, path.as_deref()) {
                    path = None;
                    screen.remark(&format!("the history is not kept any more: {error}"));
                }
            }
            Job::History(most, answer) => drop(answer.send(editor.history(most))),
            Job::Clear => editor.clear(),
        }
    }
}

/// Lines as they come, for scripts: no editing, no echo, no prompt, no history.
fn piped(jobs: Jobs) {
    let mut input = io::stdin().lock();
    for job in jobs {
        match job {
            Job::Read(_, answer) => {
                let mut bytes = Vec::new();
                let read = input.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes);
                let line = String::from_utf8_lossy(&bytes);
                let ended = !matches!(read, Ok(count) if count > 0);
                let read = if ended { Read::End } else { Read::Line(line.trim_end().to_owned()) };
                let _ = answer.send(read);
            }
            Job::History(_, answer) => drop(answer.send(Vec::new())),
            Job::Load(_) | Job::Remember(_) | Job::Clear => {}
        }
    }
}
