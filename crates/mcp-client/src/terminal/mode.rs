//! How the terminal was before a line was edited in it.

#[cfg(unix)]
use std::io;

/// The mode of the terminal: the program can end while a line is being edited, and whoever comes next wants the old one.
pub(super) struct Mode {
    #[cfg(unix)]
    mode: nix::sys::termios::Termios,
}

impl Mode {
    #[cfg(unix)]
    pub(super) fn save() -> Option<Self> {
        nix::sys::termios::tcgetattr(io::stdin()).ok().map(|mode| Self { mode })
    }

    #[cfg(unix)]
    pub(super) fn restore(&self) {
        use nix::sys::termios::{SetArg, tcsetattr};
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.mode);
    }

    #[cfg(not(unix))]
    pub(super) fn save() -> Option<Self> {
        None
    }

    #[cfg(not(unix))]
    pub(super) fn restore(&self) {}
}
