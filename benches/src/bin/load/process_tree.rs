//! CPU time and memory of a process and its descendants, from `/proc`.

use std::fs;

/// Clock ticks a second in `/proc/PID/stat` (`USER_HZ`): 100 on every Linux that Rust's tier 1 covers.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process and all its descendants, looked up anew at each reading.
pub(crate) struct ProcessTree {
    root: u32,
}

impl ProcessTree {
    pub(crate) fn of(root: u32) -> Self {
        Self { root }
    }

    /// User and system time so far, in steps of 10 ms.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.sum(cpu_ticks) as f64 / TICKS_PER_SECOND
    }

    /// Resident memory now (`VmRSS`).
    pub(crate) fn rss_kib(&self) -> u64 {
        self.sum(rss_kib)
    }

    /// A process that ended meanwhile adds nothing.
    fn sum(&self, reading: fn(u32) -> Option<u64>) -> u64 {
        self.pids().into_iter().filter_map(reading).sum()
    }

    fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.root];
        let mut next = 0;
        while let Some(&pid) = pids.get(next) {
            pids.extend(children(pid));
            next += 1;
        }
        pids
    }
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn cpu_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the program's name in brackets, may hold spaces; `utime` and `stime` are fields 14 and 15.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

fn rss_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
