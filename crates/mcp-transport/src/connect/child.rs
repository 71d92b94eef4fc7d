//! A server as a child process: one message per line of its standard input and output.
//!
//! The child leads a process group of its own. It is told to end by closing its input, then by `SIGTERM`, then by `SIGKILL`,
//! and whatever of its group is left when it has ended is killed. So it does not outlive the connection, nor our runtime. When
//! we are killed ourselves nobody is left to do that: a well-behaved server then ends because its input is closed,
//! and any other is killed by its [guardian](super::guardian).

use std::{io, pin::pin, process::ExitStatus, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{FusedFuture as _, join},
};
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup};
use tokio::{process::ChildStdout, sync::watch, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    ConnectOptions, ServerCommand,
    carrier::{Carrier, FAREWELL},
    guardian::Guardian,
    incoming::Incoming,
    lines::{self, Lines},
    link::Outbox,
    stderr::Tail,
};

const SIGTERM: i32 = 15;

/// What is known of a child, also when the connection to it is gone.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) stderr: Tail,
    end: watch::Receiver<Option<Ended>>,
}

/// How a child ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    /// `None` when the system did not tell.
    pub(crate) status: Option<ExitStatus>,
    /// It was not us who ended it.
    pub(crate) by_itself: bool,
}

impl Process {
    /// Waits until the child and its group are gone.
    pub(crate) async fn ended(&self) -> Option<Ended> {
        let mut end = self.end.clone();
        end.wait_for(Option::is_some).await.ok().and_then(|ended| *ended)
    }

    /// The status of a child that has ended without us.
    pub(crate) fn ended_by_itself(&self) -> Option<ExitStatus> {
        self.end.borrow().filter(|ended| ended.by_itself).and_then(|ended| ended.status)
    }
}

/// The connection to a child.
pub(crate) struct Child {
    lines: Lines<ChildStdout>,
    outbox: Outbox,
    process: Process,
    /// Tells to close the input and to end gracefully.
    close: CancellationToken,
    _kill: DropGuard,
}

impl Child {
    /// Starts the child.
    pub(crate) fn start(command: &ServerCommand, options: &ConnectOptions) -> io::Result<(Self, Process)> {
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
            let writing = lines::write(input, queue, input_ends);
            let reading = tail.read(errors);
            let how = keeper.run(writing, reading).await;
            guardian.dismiss().await;
            ended.send_replace(Some(how));
        });
        let lines = Lines::new(output, options.message_bytes);
        let child = Self { lines, outbox, process: process.clone(), close, _kill: kill.drop_guard() };
        Ok((child, process))
    }
}

impl Carrier for Child {
    fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    async fn next(&mut self) -> Option<Incoming> {
        let line = self.lines.next().await;
        if line.is_none() {
            // So that its status is known, and is its own.
            let _ = timeout(FAREWELL, self.process.ended()).await;
        }
        line
    }

    fn reason(&self) -> Option<String> {
        None
    }

    async fn close(&mut self) {
        self.close.cancel();
        self.process.ended().await;
    }
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
        let (kill, close) = (self.kill.clone(), self.close.clone());
        let ending = async {
            let ended = kill.run_until_cancelled(self.end()).await;
            self.group.kill(); // whatever is left of it
            match ended {
                Some(ended) => ended,
                None => Ended { status: self.group.child.wait().await.ok(), by_itself: false },
            }
        };
        let mut streams = pin!(join(writing, reading).fuse());
        let mut ending = pin!(ending);
        let ended = loop {
            tokio::select! {
                ended = &mut ending => break ended,
                _ = &mut streams => {} // both may end before the child does
            }
        };
        close.cancel(); // so that what is half written is known not to have been delivered
        if !streams.is_terminated() {
            let _ = timeout(FAREWELL, streams).await; // a process that left the group may keep its errors open
        }
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
