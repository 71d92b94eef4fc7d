//! Who ends a child when we are killed and cannot.
//!
//! A shell that waits for the end of its input, a pipe that only we hold: when we are gone, whatever the reason, it kills the
//! child's process group, a moment after the child's own input was closed. The kernel's parent death signal could do
//! without, but can be asked for with unsafe code only, which this workspace forbids.

use std::process::Stdio;

use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

/// `$1` is the process group. A line means that it has ended by itself. Signal 0 asks whether anybody is left in it.
const SCRIPT: &str = r#"
read -r _ && exit
for _ in 1 2 3; do
    sleep 1
    kill -s 0 -- "-$1" 2>/dev/null || exit
done
kill -s KILL -- "-$1"
"#;

/// The guardian of one child.
pub(crate) struct Guardian(Option<Child>);

impl Guardian {
    /// For the process group with this number. A child without a guardian is used all the same.
    pub(crate) fn of(group: Option<u32>) -> Self {
        Self(group.and_then(|group| match start(group) {
            Ok(shell) => Some(shell),
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "no shell can be started: nobody ends the server if this program is killed"
                );
                None
            }
        }))
    }

    /// The group has ended: the guardian is not needed any more.
    pub(crate) async fn dismiss(self) {
        let Some(mut shell) = self.0 else { return };
        if let Some(mut input) = shell.stdin.take() {
            let _ = input.write_all(b"\n").await; // somebody may have killed it
        }
        let _ = shell.wait().await; // it ends at once
    }
}

fn start(group: u32) -> std::io::Result<Child> {
    Command::new("sh")
        .args(["-c", SCRIPT, "guardian", &group.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // What ends us from the terminal must not end it.
        .process_group(0)
        .spawn()
}
