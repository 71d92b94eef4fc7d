//! What waits for the thread that reads the keyboard. It may be busy for long: nothing ends a read of a terminal but a person.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::editor::{Read, Wanted};

/// Most jobs that wait, besides the one line that is wanted.
const MAX_JOBS: usize = 64;

pub(super) enum Job {
    Read(Wanted, oneshot::Sender<Read>),
    Load(PathBuf),
    Remember(String),
    History(usize, oneshot::Sender<Vec<String>>),
    Clear,
}

impl Job {
    /// Nobody waits for its answer any more.
    fn is_withdrawn(&self) -> bool {
        match self {
            Self::Read(_, answer) => answer.is_closed(),
            Self::History(_, answer) => answer.is_closed(),
            Self::Load(_) | Self::Remember(_) | Self::Clear => false,
        }
    }
}

/// One of the two ends of the queue. When one is dropped, what waits is dropped too, and nothing more is taken in.
pub(super) struct Jobs(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    closed: bool,
}

impl Jobs {
    /// Both ends.
    pub(super) fn new() -> (Self, Self) {
        let shared = Arc::<Shared>::default();
        (Self(Arc::clone(&shared)), Self(shared))
    }

    /// A line that is wanted always has a place: only one is at a time, and it takes that of those that were withdrawn. Other
    /// jobs are left out when too many wait.
    pub(super) fn push(&self, job: Job) {
        let mut queue = self.queue();
        queue.waiting.retain(|job| !job.is_withdrawn());
        if !queue.closed && (queue.waiting.len() < MAX_JOBS || matches!(job, Job::Read(..))) {
            queue.waiting.push_back(job);
            self.0.changed.notify_one();
        }
    }

    /// Nothing more is taken in, and what waits is dropped.
    pub(super) fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        queue.waiting.clear();
        self.0.changed.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the next one, until the other end is dropped.
impl Iterator for Jobs {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            match queue.waiting.pop_front() {
                Some(job) if job.is_withdrawn() => {}
                Some(job) => return Some(job),
                None if queue.closed => return None,
                None => queue = self.0.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(prompt: &str) -> (Job, oneshot::Receiver<Read>) {
        let (answer, read) = oneshot::channel();
        let wanted = Wanted { prompt: prompt.to_owned(), aid: Arc::new(()), recalls: false };
        (Job::Read(wanted, answer), read)
    }

    #[test]
    fn a_flood_of_withdrawn_questions_does_not_keep_the_next_line_from_being_read() {
        let (jobs, mut thread) = Jobs::new();
        for _ in 0..1_000 {
            jobs.push(question("withdrawn").0);
        }
        (0..1_000).for_each(|_| jobs.push(Job::Clear));
        let (command, mut read) = question("command");
        jobs.push(command);
        jobs.push(Job::Clear);
        assert_eq!(jobs.queue().waiting.len(), MAX_JOBS + 1);
        let wanted = thread.find_map(|job| match job {
            Job::Read(wanted, answer) => Some((wanted, answer)),
            _ => None,
        });
        let (wanted, answer) = wanted.unwrap();
        assert_eq!(wanted.prompt, "command");
        answer.send(Read::Line("quit".into())).unwrap();
        assert_eq!(read.try_recv(), Ok(Read::Line("quit".into())));
    }

    #[test]
    fn without_the_thread_no_answer_is_waited_for() {
        let (jobs, thread) = Jobs::new();
        let (early, mut first) = question("early");
        jobs.push(early);
        drop(thread);
        let (late, mut second) = question("late");
        jobs.push(late);
        assert_eq!(first.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(second.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        drop(jobs);
    }

    #[test]
    fn the_thread_ends_when_the_keyboard_is_gone() {
        let (jobs, mut thread) = Jobs::new();
        let waiting = std::thread::spawn(move || thread.next().is_none());
        drop(jobs);
        assert!(waiting.join().unwrap());
    }
}
