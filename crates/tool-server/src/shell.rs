//! Commands of the system's shell, each in a process group of its own and within limits.

use std::{
    ffi::OsString,
    fmt, io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// Time for output to arrive after a command ended, while something that it left behind holds the pipes open.
const LINGER: Duration = Duration::from_millis(250);
/// Time for commands to end when the server stops: they are killed, so it is the kernel's time only.
const STOP: Duration = Duration::from_secs(5);

/// What a command may take.
#[derive(Debug, Clone, Copy)]
pub struct CommandLimits {
    /// Longest run.
    pub time: Duration,
    /// Bytes that are kept of each of the two output streams.
    pub output_bytes: usize,
    /// Commands that run at the same time.
    pub at_once: usize,
}

impl Default for CommandLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(10), output_bytes: 64 * 1024, at_once: 8 }
    }
}

/// Why a command did not come to its own end. The texts are for whoever asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShellError {
    #[error("{0} commands are running already: try again when one has ended")]
    Busy(usize),
    #[error("the command could not be started: {0}")]
    Start(io::Error),
    #[error("the command took longer than {} s and was killed, with everything that it started\n{output}", limit.as_secs_f64())]
    TimedOut { limit: Duration, output: Output },
    #[error("the call was cancelled, and the command killed")]
    Cancelled,
    #[error("the command's end could not be seen: {0}")]
    Lost(io::Error),
}

/// Where commands run, and with what.
pub(crate) struct Shell {
    folder: PathBuf,
    environment: Vec<(OsString, OsString)>,
    limits: CommandLimits,
    places: Semaphore,
    stopping: CancellationToken,
}

impl Shell {
    /// Commands see this environment and nothing of the server's own: there are keys in that one.
    pub(crate) fn new(
        folder: PathBuf,
        environment: Vec<(OsString, OsString)>,
        limits: CommandLimits,
    ) -> Self {
        let places = Semaphore::new(limits.at_once);
        Self { folder, environment, limits, places, stopping: CancellationToken::new() }
    }

    /// Runs one command to its end, or to the end of its time. Nothing of its process group is left afterwards, also when
    /// this future is dropped.
    pub(crate) async fn run(
        &self,
        command: &str,
        cancelled: &CancellationToken,
    ) -> Result<Finished, ShellError> {
        let Ok(_place) = self.places.try_acquire() else { return Err(ShellError::Busy(self.limits.at_once)) };
        let mut group = self.start(command).map_err(ShellError::Start)?;
        let deadline = Instant::now() + self.limits.time;
        let (stdout, stderr) = (group.child.stdout().take(), group.child.stderr().take());
        let mut output = Output::new(self.limits.output_bytes);
        let end = {
            let mut reading = std::pin::pin!(async {
                tokio::join!(output.stdout.read(stdout), output.stderr.read(stderr));
            });
            let mut all_read = false;
            let end = loop {
                tokio::select! {
                    status = group.leader() => break End::Exited(status.map_err(ShellError::Lost)?),
                    () = &mut reading, if !all_read => all_read = true,
                    () = sleep_until(deadline) => break End::TimedOut,
                    () = cancelled.cancelled() => break End::Cancelled,
                    () = self.stopping.cancelled() => break End::Cancelled,
                }
            };
            if !all_read && let End::Exited(_) = end {
                // Something may still be on its way through another process; what stays behind for longer is killed.
                all_read = timeout(LINGER, &mut reading).await.is_ok();
            }
            group.kill();
            if !all_read {
                // A process that has left the group can hold the pipes for ever: that must not hold the call.
                let _ = timeout(LINGER, &mut reading).await;
            }
            end
        };
        group.reap().await;
        match end {
            End::Exited(status) => Ok(Finished { status, output }),
            End::TimedOut => Err(ShellError::TimedOut { limit: self.limits.time, output }),
            End::Cancelled => Err(ShellError::Cancelled),
        }
    }

    /// Kills what is running and waits for it to end. No command starts afterwards.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        let all = u32::try_from(self.limits.at_once).unwrap_or(u32::MAX);
        if timeout(STOP, self.places.acquire_many(all)).await.is_err() {
            tracing::warn!("commands are still ending");
        }
        self.places.close();
    }

    fn start(&self, command: &str) -> io::Result<Group> {
        let mut wrapped = CommandWrap::with_new("sh", |shell| {
            shell.arg("-c").arg(command).current_dir(&self.folder);
            shell.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
            shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        });
        #[cfg(unix)]
        wrapped.wrap(process_wrap::tokio::ProcessGroup::leader());
        wrapped.wrap(KillOnDrop).spawn().map(|child| Group { child, killed: false })
    }
}

enum End {
    Exited(ExitStatus),
    TimedOut,
    Cancelled,
}

/// A process and everything that it starts, as long as that stays in its process group. Dropping it kills all of them.
struct Group {
    child: Box<dyn ChildWrapper>,
    killed: bool,
}

impl Group {
    /// Waits for the first process alone: the group's own wait would wait for what it leaves behind too, where that becomes
    /// a child of the server (as it does in a container without an init process).
    async fn leader(&mut self) -> io::Result<ExitStatus> {
        self.child.inner_mut().wait().await
    }

    /// Once only: afterwards the group's number may be another's.
    fn kill(&mut self) {
        if !std::mem::replace(&mut self.killed, true) {
            // An error says that nobody is left.
            let _ = self.child.start_kill();
        }
    }

    async fn reap(mut self) {
        // Whatever is not gone by then is the kernel's to end.
        let _ = timeout(LINGER, self.child.wait()).await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command that came to its own end. As text: return code and output.
#[derive(Debug)]
pub(crate) struct Finished {
    status: ExitStatus,
    output: Output,
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status.code() {
            Some(code) => write!(f, "Return code: {code}\n{}", self.output),
            None => write!(f, "Return code: none ({})\n{}", self.status, self.output),
        }
    }
}

/// What a command wrote.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: Captured,
    stderr: Captured,
}

impl Output {
    fn new(limit: usize) -> Self {
        let captured = || Captured { kept: Vec::new(), limit, total: 0 };
        Self { stdout: captured(), stderr: captured() }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stdout:\n{}\nStderr:\n{}", self.stdout, self.stderr)
    }
}

#[derive(Debug)]
struct Captured {
    kept: Vec<u8>,
    limit: usize,
    total: u64,
}

impl Captured {
    /// Reads to the end and keeps the beginning: a writer that nobody reads from would block.
    async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut buffer = [0; 8 * 1024];
        // An error ends the stream as its end does: the return code tells how it went.
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            let room = self.limit - self.kept.len();
            self.kept.extend_from_slice(&buffer[..length.min(room)]);
            self.total += length as u64;
        }
    }
}

impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.kept))?;
        if self.total > self.kept.len() as u64 {
            write!(f, "\n(cut: the first {} of {} bytes)", self.kept.len(), self.total)?;
        }
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_run_that_is_dropped_kills_its_command() {
        let folder = tempfile::tempdir().unwrap();
        let path = vec![("PATH".into(), "/usr/bin:/bin".into())];
        let limits = CommandLimits { time: Duration::from_secs(600), ..CommandLimits::default() };
        let shell = Shell::new(folder.path().to_owned(), path, limits);
        let cancelled = CancellationToken::new();
        // Polls, because nobody tells when a command has got so far, or is gone.
        let deadline = Instant::now() + Duration::from_secs(30);
        let begun = async {
            loop {
                let child = fs::read_to_string(folder.path().join("child")).unwrap_or_default();
                if let Ok(child) = child.trim().parse::<u32>() {
                    return child;
                }
                assert!(Instant::now() < deadline, "the command did not begin");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let child = tokio::select! {
            _ = shell.run("sleep 1000 & echo $! > new && mv new child; wait", &cancelled) => unreachable!(),
            child = begun => child,
        };
        let runs = || {
            let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
        };
        while runs() {
            assert!(Instant::now() < deadline, "the command did not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
