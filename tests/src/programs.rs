//! The real programs: where they are, and how they are run and ended.

use std::{
    collections::HashMap,
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

/// Longest wait for anything that a program does. A test that hits it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The folder with the programs that were built along with this one. Under cargo they are built first, so that nobody
/// tests yesterday's.
///
/// # Errors
/// When they are neither there nor can be built.
pub fn folder() -> anyhow::Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOLDER.get_or_init(|| find_or_build().map_err(|error| format!("{error:#}")));
    found.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn find_or_build() -> anyhow::Result<PathBuf> {
    let mut folder = std::env::current_exe()?;
    folder.pop();
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder.pop();
    }
    if let Some(cargo) = cargo() {
        build(&cargo, &folder, &["server-a", "server-b", "tool-server"])?;
    }
    let program = folder.join("server-b").with_extension(std::env::consts::EXE_EXTENSION);
    ensure!(
        program.exists(),
        "server-a, server-b and tool-server are not beside this program in {}: run it with cargo, or build them with `cargo build --bins`",
        folder.display()
    );
    Ok(folder)
}

#[expect(clippy::disallowed_methods, reason = "only cargo can say that it runs this program")]
fn cargo() -> Option<std::ffi::OsString> {
    std::env::var_os("CARGO")
}

/// The path of `mcp-client`, which under cargo is built first. Few tests need it, and it takes its time.
///
/// # Errors
/// As [`folder`].
pub fn mcp_client() -> anyhow::Result<&'static Path> {
    static PROGRAM: Built = OnceLock::new();
    built(&PROGRAM, "mcp-client")
}

/// The path of `mcp-gateway`, likewise.
///
/// # Errors
/// As [`folder`].
pub fn mcp_gateway() -> anyhow::Result<&'static Path> {
    static PROGRAM: Built = OnceLock::new();
    built(&PROGRAM, "mcp-gateway")
}

type Built = OnceLock<Result<PathBuf, String>>;

fn built(program: &'static Built, name: &str) -> anyhow::Result<&'static Path> {
    let find = || {
        let folder = folder()?;
        if let Some(cargo) = cargo() {
            build(&cargo, folder, &[name])?;
        }
        Ok(folder.join(name).with_extension(std::env::consts::EXE_EXTENSION))
    };
    let found = program.get_or_init(|| find().map_err(|error: anyhow::Error| format!("{error:#}")));
    found.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn build(cargo: &OsStr, folder: &Path, programs: &[&str]) -> anyhow::Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let profile = match folder.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--profile", profile]);
    command.args(programs.iter().flat_map(|program| ["--bin", program]));
    command.arg("--manifest-path").arg(workspace);
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    let status = command.stdout(Stdio::null()).status().context("cargo cannot be run")?;
    ensure!(status.success(), "{} could not be built", programs.join(", "));
    Ok(())
}

/// A program that runs, with everything it writes. Dropping it kills it.
pub struct Program {
    name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Output {
    text: Mutex<Written>,
    grown: Condvar,
}

#[derive(Default)]
struct Written {
    out: String,
    err: String,
    open: u8,
}

impl Program {
    /// Starts `name` in `home`, with nothing in its environment but `variables`: neither a `.env` nor a setting of this
    /// machine gets into a test.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        name: &'static str,
        home: &Path,
        arguments: &[&str],
        variables: &HashMap<String, String>,
    ) -> anyhow::Result<Self> {
        let mut command = clean(name, home)?;
        command.args(arguments).envs(variables).stdin(Stdio::null());
        Self::run(name, command)
    }

    /// Runs a command whose input the caller has chosen.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(name: &'static str, mut command: Command) -> anyhow::Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        let output = Arc::new(Output::default());
        output.lock().open = 2;
        let mut readers = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            readers.push(collect(pipe, output.clone(), |written| &mut written.out));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.push(collect(pipe, output.clone(), |written| &mut written.err));
        }
        let input = child.stdin.take();
        Ok(Self { name, child, input, output, readers })
    }

    /// Writes a line to its standard input, which must be a pipe.
    ///
    /// # Errors
    /// When it does not read it.
    pub fn write_line(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.input.as_mut().context("it has no input")?;
        writeln!(input, "{line}").with_context(|| format!("{} does not read", self.name))
    }

    /// Closes its standard input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// The id of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything written to standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.output.lock().err.clone()
    }

    /// Everything written to standard output so far.
    #[must_use]
    pub fn out(&self) -> String {
        self.output.lock().out.clone()
    }

    /// Waits for a line of the log that has `text` in it, and gives that line.
    ///
    /// # Errors
    /// When the program ends or the patience does before it appears.
    pub fn wait_for_log(&self, text: &str) -> anyhow::Result<String> {
        self.wait_for_line(text, |written| &written.err)
    }

    /// Waits until so many lines of the log have `text` in them.
    ///
    /// # Errors
    /// As [`Program::wait_for_log`].
    pub fn wait_for_logs(&self, text: &str, count: usize) -> anyhow::Result<()> {
        self.wait_for_lines(text, count, |written| &written.err).map(drop)
    }

    /// The same as [`Program::wait_for_log`] for standard output.
    ///
    /// # Errors
    /// As [`Program::wait_for_log`].
    pub fn wait_for_out(&self, text: &str) -> anyhow::Result<String> {
        self.wait_for_line(text, |written| &written.out)
    }

    fn wait_for_line(&self, text: &str, part: impl Fn(&Written) -> &String) -> anyhow::Result<String> {
        self.wait_for_lines(text, 1, part)
    }

    /// Gives the last one that was waited for.
    fn wait_for_lines(
        &self,
        text: &str,
        count: usize,
        part: impl Fn(&Written) -> &String,
    ) -> anyhow::Result<String> {
        let started = Instant::now();
        let mut written = self.output.lock();
        loop {
            if let Some(line) = part(&written).lines().filter(|line| line.contains(text)).nth(count - 1) {
                return Ok(line.to_owned());
            }
            if written.open == 0 || started.elapsed() > PATIENCE {
                bail!("{} did not say `{text}`; it said:\n{}\n{}", self.name, written.out, written.err);
            }
            let waited = self.output.grown.wait_timeout(written, Duration::from_secs(1));
            written = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends a signal: `TERM`, `INT`, `KILL` …
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let status = Command::new("kill").args(["-s", signal, &self.id().to_string()]).status()?;
        ensure!(status.success(), "{} cannot be signalled", self.name);
        Ok(())
    }

    /// Waits until it has ended and all that it wrote is read.
    ///
    /// # Errors
    /// When it does not end.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        // The pipes close with the process: no polling.
        let started = Instant::now();
        let mut written = self.output.lock();
        while written.open > 0 {
            if started.elapsed() > PATIENCE {
                bail!("{} did not end; it said:\n{}", self.name, written.err);
            }
            let waited = self.output.grown.wait_timeout(written, Duration::from_secs(1));
            written = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(written);
        Ok(self.child.wait()?)
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        for reader in self.readers.drain(..) {
            // A reader cannot fail in a way that matters now.
            let _ = reader.join();
        }
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command for a program of ours with an empty environment, whose user data stay in `home`.
///
/// # Errors
/// When the programs are not there.
pub fn clean(name: &str, home: &Path) -> anyhow::Result<Command> {
    Ok(clean_at(&folder()?.join(name), home))
}

/// The same for the program at this path.
#[must_use]
pub fn clean_at(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(home).env_clear().env("HOME", home);
    command
}

fn collect(
    pipe: impl Read + Send + 'static,
    output: Arc<Output>,
    part: impl Fn(&mut Written) -> &mut String + Send + 'static,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            part(&mut output.lock()).push_str(&String::from_utf8_lossy(&line));
            output.grown.notify_all();
            line.clear();
        }
        output.lock().open -= 1;
        output.grown.notify_all();
    })
}
