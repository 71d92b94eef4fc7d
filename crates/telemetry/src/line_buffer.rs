//! A bounded buffer of log lines between the program and a thread that writes them.
//!
//! Made for a server that logs every request: one lock and one copy a line, no allocation, and one write for all lines of a
//! millisecond.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that wait for a slow reader; lines beyond are dropped and counted.
const CAPACITY: usize = 1 << 20;
/// How long the first line that waits, waits for others: a switch to the writing thread costs more than a line.
const GATHER: Duration = Duration::from_millis(1);
/// How long the end of the program waits for a slow reader.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Takes lines.
#[derive(Clone, Default)]
pub(crate) struct LineBuffer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    /// A write is under way.
    writing: bool,
}

impl LineBuffer {
    /// Starts the thread that writes the lines to `target`. It lives as long as the program.
    pub(crate) fn write_to(target: impl Write + Send + 'static) -> io::Result<Self> {
        let buffer = Self::default();
        let shared = buffer.0.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_lines(target))?;
        Ok(buffer)
    }

    /// Waits until everything is written, though not for ever: a reader may be stuck.
    pub(crate) fn flush(&self) {
        let waiting = self.0.lock();
        let unwritten = |waiting: &mut Waiting| waiting.writing || !waiting.bytes.is_empty();
        // Whether it timed out does not matter: the program ends now.
        drop(self.0.changed.wait_timeout_while(waiting, LAST_WAIT, unwritten));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lines(&self, mut target: impl Write) {
        let mut lines = Vec::new();
        loop {
            let mut waiting = self.lock();
            waiting.writing = false;
            self.changed.notify_all();
            while waiting.bytes.is_empty() {
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            drop(waiting);
            thread::sleep(GATHER);
            let mut waiting = self.lock();
            std::mem::swap(&mut lines, &mut waiting.bytes);
            let dropped = std::mem::take(&mut waiting.dropped);
            waiting.writing = true;
            drop(waiting);
            if dropped > 0 {
                lines.extend(format!("{dropped} log lines were dropped: nobody read them in time\n").bytes());
            }
            // Where the log cannot be written there is nobody to tell.
            let _ = target.write_all(&lines).and_then(|()| target.flush());
            lines.clear();
        }
    }
}

/// tracing-subscriber hands over a whole line at once.
impl Write for &LineBuffer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.lock();
        if waiting.bytes.len() + line.len() > CAPACITY {
            waiting.dropped += 1;
            return Ok(line.len());
        }
        let asleep = waiting.bytes.is_empty() && !waiting.writing;
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        if asleep {
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineBuffer {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A reader that takes what is written only when it is told to.
    struct Slow(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_arrive_in_order_and_flush_waits_for_them() {
        let (written, lines) = mpsc::channel();
        let (go, gate) = mpsc::channel();
        let buffer = LineBuffer::write_to(Slow(gate, written)).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            (&buffer).write_all(line.as_bytes()).unwrap();
            go.send(()).unwrap();
        }
        buffer.flush();
        let all: Vec<u8> = lines.try_iter().flatten().collect();
        assert_eq!(all, b"one\ntwo\nthree\n");
    }

    #[test]
    fn a_reader_that_is_stuck_costs_lines_not_answers_and_the_loss_is_told() {
        let (written, lines) = mpsc::channel();
        let (go, gate) = mpsc::channel();
        let buffer = LineBuffer::write_to(Slow(gate, written)).unwrap();
        let line = [b'x'; 1 << 16];
        for _ in 0..100 {
            (&buffer).write_all(&line).unwrap();
        }
        assert!(buffer.0.lock().bytes.len() <= CAPACITY);
        // As many writes as there may be.
        (0..3).try_for_each(|_| go.send(())).unwrap();
        buffer.flush();
        let all: Vec<u8> = lines.try_iter().flatten().collect();
        assert!(all.len() < 40 << 16, "{} bytes", all.len());
        assert!(String::from_utf8_lossy(&all).contains("log lines were dropped"));
    }
}
