//! A server as a child process: one message per line of its standard input and output.
//!
//! The child leads a process group of its own. It is told to end by closing its input, then by `SIGTERM`, then by `SIGKILL`,
//! and whatever of its group is left when it has ended is killed. So it does not outlive the connection, nor our runtime. When
//! we are killed ourselves nobody is left to do that: a well-behaved server then ends because its input is closed,
//! and any other is killed by its [guardian](super::guardian).

use std::{future::pending, io, process::ExitStatus, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::join};
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup};
use rmcp::{
    RoleClient,
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::Transport,
};
use tokio::{
    io::AsyncWriteExt as _,
    process::{ChildStdin, ChildStdout},
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::{
    codec::{AnyDelimiterCodec, AnyDelimiterCodecError, FramedRead},
    sync::{CancellationToken, DropGuard},
};

use super::{
    ConnectOptions, ServerCommand,
    guardian::Guardian,
    link::{LinkError, Outbox, Outgoing},
    message,
    stderr::Tail,
    watched::Ending,
};

const SIGTERM: i32 = 15;
/// How long a child that closed its output may take to end, before it is told to.
const FAREWELL: Duration = Duration::from_millis(500);

/// What is known of a child, also when the connection to it is gone.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) stderr: Tail,
    end: watch::Receiver<Option<Ended>>,
}

/// How a child ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// `None` when the system did not tell.
    pub(super) status: Option<ExitStatus>,
    /// It was not us who ended it.
    pub(super) by_itself: bool,
}

impl Process {
    /// Waits until the child and its group are gone.
    pub(super) async fn ended(&self) -> Option<Ended> {
        let mut end = self.end.clone();
        end.wait_for(Option::is_some).await.ok().and_then(|ended| *ended)
    }

    /// The status of a child that has ended without us.
    pub(super) fn ended_by_itself(&self) -> Option<ExitStatus> {
        self.end.borrow().filter(|ended| ended.by_itself).and_then(|ended| ended.status)
    }
}

/// The connection to a child.
pub(super) struct Child {
    lines: FramedRead<ChildStdout, AnyDelimiterCodec>,
    outbox: Outbox,
    process: Process,
    /// Tells to close the input and to end gracefully.
    close: CancellationToken,
    _kill: DropGuard,
    limit: usize,
    too_long: bool,
}

impl Ending for Child {
    fn reason(&self) -> Option<String> {
        self.too_long.then(|| format!("it sent a message of more than {} bytes", self.limit))
    }
}

impl Child {
    /// Starts the child.
    pub(super) fn start(command: &ServerCommand, options: &ConnectOptions) -> io::Result<(Self, Process)> {
        let mut wrapped = CommandWrap::from(command.prepare());
        wrapped.wrap(ProcessGroup::leader());
        let mut group = Group { child: wrapped.spawn()?, gone: false };
        let child = &mut group.child;
        let missing = || io::Error::other("a standard stream is missing");
        let input = child.stdin().take().ok_or_else(missing)?;
        let output = child.stdout().take().ok_or_else(missing)?;
        let errors = child.stderr().take().ok_or_else(missing)?;

        let guardian = Guardian::of(child.id());
        let (ended, end) = watch::channel(None);
        let process = Process { stderr: Tail::default(), end };
        let (close, kill) = (CancellationToken::new(), CancellationToken::new());
        let (outbox, queue) = Outbox::new();
        let keeper = Keeper { group, close: close.clone(), kill: kill.clone(), grace: options.grace };
        let tail = process.stderr.clone();
        let input_ends = close.clone();
        // Ends with the child. It is waited for in `Process::ended`, and kills the group when the runtime drops it.
        tokio::spawn(async move {
            let writing = write(input, queue, input_ends);
            let reading = tail.read(errors);
            let how = keeper.run(writing, reading).await;
            guardian.dismiss().await;
            ended.send_replace(Some(how));
        });
        let codec =
            AnyDelimiterCodec::new_with_max_length(b"\n".to_vec(), b"\n".to_vec(), options.message_bytes);
        let lines = FramedRead::new(output, codec);
        let child = Self {
            lines,
            outbox,
            process: process.clone(),
            close,
            _kill: kill.drop_guard(),
            limit: options.message_bytes,
            too_long: false,
        };
        Ok((child, process))
    }
}

impl Transport<RoleClient> for Child {
    type Error = LinkError;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), LinkError>> + Send + 'static {
        self.outbox.send(&message)
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            match self.lines.next().await {
                Some(Ok(line)) => {
                    let line = line.strip_suffix(b"\r").unwrap_or(&line);
                    if !line.is_empty()
                        && let Some(message) = message::read(line)
                    {
                        return Some(message);
                    }
                }
                Some(Err(error)) => {
                    let too_long = matches!(error, AnyDelimiterCodecError::MaxChunkLengthExceeded);
                    self.too_long = too_long;
                    tracing::warn!(too_long, "the server's output cannot be read any further");
                    return None;
                }
                None => {
                    // So that its status is known, and is its own.
                    let _ = timeout(FAREWELL, self.process.ended()).await;
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), LinkError> {
        self.close.cancel();
        self.process.ended().await;
        Ok(())
    }
}

/// Writes what is queued, until it is told to stop or the child stops reading for good. Then the input is closed.
async fn write(mut input: ChildStdin, mut queue: mpsc::Receiver<Outgoing>, stop: CancellationToken) {
    let writing = async {
        while let Some(Outgoing { mut text, written }) = queue.recv().await {
            text.push('\n');
            let wrote = input.write_all(text.as_bytes()).await;
            let failed = wrote.is_err();
            let _ = written.send(wrote.map_err(LinkError::Io)); // whoever sent it may be gone
            if failed {
                return;
            }
        }
    };
    stop.run_until_cancelled(writing).await;
}

/// Sees to it that the child ends.
struct Keeper {
    group: Group,
    close: CancellationToken,
    kill: CancellationToken,
    grace: Duration,
}

impl Keeper {
    async fn run(mut self, writing: impl Future<Output = ()>, reading: impl Future<Output = ()>) -> Ended {
        let reading = reading.shared();
        let kill = self.kill.clone();
        let ending = async {
            let ended = kill.run_until_cancelled(self.end()).await;
            self.group.kill(); // whatever is left of it
            match ended {
                Some(ended) => ended,
                None => Ended { status: self.group.child.wait().await.ok(), by_itself: false },
            }
        };
        let streams = join(writing, reading.clone()).then(|_| pending()); // both may end before the child does
        let ended = tokio::select! {
            ended = ending => ended,
            never = streams => never,
        };
        let _ = timeout(FAREWELL, reading).await; // a process that left the group may keep it open
        ended
    }

    /// Waits for the end, and brings it about when it is asked for.
    async fn end(&mut self) -> Ended {
        let (close, child) = (&self.close, &mut self.group.child);
        if let Some(status) = close.run_until_cancelled(child.wait()).await {
            return Ended { status: status.ok(), by_itself: true };
        }
        if let Ok(status) = timeout(self.grace, child.wait()).await {
            return Ended { status: status.ok(), by_itself: false };
        }
        tracing::debug!("the server did not end when its input was closed: it is sent SIGTERM");
        let _ = child.signal(SIGTERM); // fails only when it has ended
        if let Ok(status) = timeout(self.grace, child.wait()).await {
            return Ended { status: status.ok(), by_itself: false };
        }
        tracing::warn!("the server did not end after SIGTERM: it is killed");
        self.group.kill();
        Ended { status: self.group.child.wait().await.ok(), by_itself: false }
    }
}

/// A process group that is killed when it is dropped.
struct Group {
    child: Box<dyn ChildWrapper>,
    gone: bool,
}

impl Group {
    /// Kills every process of the group, also when the leader has ended. Its number is not used again after that: it may
    /// soon be another group's.
    fn kill(&mut self) {
        if !std::mem::replace(&mut self.gone, true) {
            let _ = self.child.start_kill(); // fails only when nothing is left
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
