//! From whoever answers requests to the thread that writes. Nobody waits for the disk: what there is no room for is counted.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Entry, file::LogFile, line, masks::Masks};

/// Entries that wait to be written, and the bytes that they may keep in memory.
const MOST: usize = 8192;
const MOST_BYTES: usize = 32 << 20;

/// How long the thread gathers entries before it writes them: to wake it takes longer than to hand over an entry.
const GATHERING: Duration = Duration::from_millis(25);

/// Longest wait until all is written.
const FLUSHING: Duration = Duration::from_secs(5);

/// Entries on their way.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to do.
    work: Condvar,
    /// Something was written.
    done: Condvar,
}

/// Entries, each with what is masked in it.
type Entries = VecDeque<(Entry, Arc<Masks>)>;

#[derive(Default)]
struct State {
    entries: Entries,
    bytes: usize,
    /// How many came that were not written: since the log last said so.
    lost: usize,
    /// How many came, and how many of them have been dealt with.
    came: u64,
    settled: u64,
    has_begun: bool,
    is_asleep: bool,
    is_hurried: bool,
    is_closed: bool,
}

impl Queue {
    /// Adds an entry: whether it is the first.
    pub(super) fn push(&self, entry: Entry, masks: &Arc<Masks>) -> bool {
        let bytes = entry.size();
        let mut state = self.state();
        if state.entries.len() == MOST || state.bytes + bytes > MOST_BYTES {
            state.lost += 1;
            return false;
        }
        state.came += 1;
        state.bytes += bytes;
        state.entries.push_back((entry, masks.clone()));
        let is_urgent = state.entries.len() == MOST / 2 || state.bytes >= MOST_BYTES / 2;
        if mem::take(&mut state.is_asleep) || is_urgent {
            self.work.notify_one();
        }
        !mem::replace(&mut state.has_begun, true)
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.work.notify_one();
    }

    /// Waits until all is dealt with that came before.
    pub(super) fn flush(&self) {
        let mut state = self.state();
        let came = state.came;
        state.is_hurried = true;
        self.work.notify_one();
        let is_behind = |state: &mut State| state.settled < came;
        let waited = self.done.wait_timeout_while(state, FLUSHING, is_behind);
        if waited.is_ok_and(|(_, waited)| waited.timed_out()) {
            tracing::warn!("the access log could not be written to its end");
        }
    }

    /// Waits for entries, which come with how many were lost before; `None` when nothing more comes.
    fn take(&self) -> Option<(Entries, usize)> {
        let is_idle = |state: &mut State| {
            state.is_asleep = state.entries.is_empty() && !state.is_closed;
            state.is_asleep
        };
        let mut state = self.work.wait_while(self.state(), is_idle).unwrap_or_else(PoisonError::into_inner);
        if state.entries.is_empty() {
            return None;
        }
        state.bytes = 0;
        Some((mem::take(&mut state.entries), mem::take(&mut state.lost)))
    }

    /// So many have been dealt with; `lost` more were not written. Returns when it is time for others.
    fn settle(&self, count: usize, lost: usize) {
        let mut state = self.state();
        state.settled += count as u64;
        state.lost += lost;
        self.done.notify_all();
        let can_wait = |state: &mut State| {
            let is_full = state.entries.len() >= MOST / 2 || state.bytes >= MOST_BYTES / 2;
            !(is_full || state.is_closed || mem::take(&mut state.is_hurried))
        };
        drop(self.work.wait_timeout_while(state, GATHERING, can_wait));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// What it keeps in memory, in bytes: a body keeps the message that it came in.
    fn size(&self) -> usize {
        let bodies = [&self.params, &self.result].into_iter().flatten();
        bodies.map(|body| body.as_bytes().len()).sum()
    }
}

/// Writes what comes, until nothing more does.
pub(super) fn run(queue: &Queue, mut file: LogFile) {
    let mut fails = false;
    while let Some((entries, lost)) = queue.take() {
        let mut lines = Vec::with_capacity(entries.len() + 1);
        if lost > 0 {
            tracing::warn!(lost, "requests are missing in the access log");
            lines.push(line::lost(lost));
        }
        lines.extend(entries.iter().map(|(entry, masks)| line::of(entry, masks)));
        let lost_now = match file.write(&lines) {
            Ok(()) => {
                fails = false;
                0
            }
            Err((unwritten, error)) => {
                if !mem::replace(&mut fails, true) {
                    tracing::error!(%error, "the access log cannot be written");
                }
                // The line that says what was lost is no request.
                let of_requests = unwritten.min(entries.len());
                of_requests + if unwritten > of_requests { lost } else { 0 }
            }
        };
        queue.settle(entries.len(), lost_now);
    }
}

#[cfg(test)]
mod tests {
    use json_rpc::Raw;
    use mcp_transport::TransportKind;
    use serde_json::Value;

    use super::*;
    use crate::session::Origin;

    fn entry(body: Option<usize>) -> Entry {
        let caller = auth::Keys::new(&[]).caller(&http::HeaderMap::new()).unwrap();
        Entry {
            trail: Arc::default(),
            origin: Origin { caller, transport: TransportKind::Http, session: None },
            input_bytes: 0,
            output_bytes: 0,
            params: body.map(|bytes| Raw::text(&"x".repeat(bytes))),
            result: None,
        }
    }

    fn write(queue: &Queue) -> Vec<Value> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        queue.close();
        run(queue, LogFile::open(&path, Arc::new(u64::MAX.into())).unwrap());
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_the_log_says_so() {
        let queue = Queue::default();
        assert!(queue.push(entry(None), &Arc::default()), "the first one starts the thread");
        assert!((0..MOST + 4).all(|_| !queue.push(entry(None), &Arc::default())));

        let lines = write(&queue);

        assert_eq!(lines[0]["lost_requests"], 5);
        assert_eq!(lines.len(), MOST + 1);
    }

    #[test]
    fn bodies_take_only_so_much_memory() {
        let queue = Queue::default();
        let firsts = (0..5).filter(|_| queue.push(entry(Some(MOST_BYTES / 4)), &Arc::default()));
        assert_eq!(firsts.count(), 1);
        let lines = write(&queue);
        assert_eq!((lines.len(), &lines[0]["lost_requests"]), (4, &2.into()));
    }

    #[test]
    fn nobody_waits_for_a_line_that_was_lost() {
        let queue = Arc::new(Queue::default());
        assert_eq!((0..3).filter(|_| queue.push(entry(None), &Arc::default())).count(), 1);
        let writer = queue.clone();
        let file = LogFile::open("/dev/full".as_ref(), Arc::new(u64::MAX.into()));
        let Ok(file) = file else { return }; // not every system has it
        let thread = std::thread::spawn(move || run(&writer, file));

        queue.flush();
        queue.close();
        thread.join().unwrap();

        let state = queue.state();
        assert_eq!((state.settled, state.lost), (3, 3));
    }
}
