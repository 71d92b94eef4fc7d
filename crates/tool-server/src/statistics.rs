//! What the server has done so far.

use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use serde::Serialize;

/// Counters since the start. Every tool has its own from the beginning, so that nobody's spelling adds one.
pub(crate) struct Statistics {
    started: Instant,
    requests: AtomicU64,
    errors: AtomicU64,
    calls: BTreeMap<String, AtomicU64>,
}

/// The counters at one moment, as `server://stats` shows them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Snapshot<'a> {
    uptime_seconds: u64,
    /// `null` where the system does not tell.
    resident_memory_bytes: Option<u64>,
    requests_served: u64,
    tool_calls: BTreeMap<&'a str, u64>,
    errors: u64,
}

impl Statistics {
    pub(crate) fn new(tools: impl IntoIterator<Item = String>) -> Self {
        let calls = tools.into_iter().map(|tool| (tool, AtomicU64::new(0))).collect();
        Self { started: Instant::now(), requests: AtomicU64::new(0), errors: AtomicU64::new(0), calls }
    }

    /// Counts a request about tools or resources.
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Counts a call of a tool.
    pub(crate) fn call(&self, tool: &str) {
        if let Some(calls) = self.calls.get(tool) {
            calls.fetch_add(1, Relaxed);
        }
    }

    /// Counts an answer that is an error.
    pub(crate) fn error(&self) {
        self.errors.fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            uptime_seconds: self.started.elapsed().as_secs(),
            resident_memory_bytes: resident_memory(),
            requests_served: self.requests.load(Relaxed),
            tool_calls: self.calls.iter().map(|(tool, calls)| (tool.as_str(), calls.load(Relaxed))).collect(),
            errors: self.errors.load(Relaxed),
        }
    }
}

/// Memory of this process that is in RAM, in bytes, as Linux tells it: a line `VmRSS:     1234 kB`.
fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tools_that_exist_are_counted() {
        let statistics = Statistics::new(["echo".to_owned()]);
        statistics.call("echo");
        statistics.call("nonsense");
        assert_eq!(statistics.snapshot().tool_calls, BTreeMap::from([("echo", 1)]));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_is_that_of_this_process() {
        let held = vec![1_u8; 64 << 20];
        let memory = resident_memory().unwrap();
        assert!(memory > held.iter().map(|byte| u64::from(*byte)).sum(), "{memory}");
    }
}
