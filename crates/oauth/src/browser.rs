//! How users are brought to an authorization server.

use std::{error::Error, process::Stdio};

use async_trait::async_trait;
use tokio::process::Command;
use url::Url;

#[cfg(target_os = "macos")]
const OPENER: &str = "open";
#[cfg(not(target_os = "macos"))]
const OPENER: &str = "xdg-open";

/// Brings a user to a page. The page leads back to this machine, which may be while this runs or later.
#[async_trait]
pub trait Browser: Send + Sync + 'static {
    /// Opens `url`, which is `https`, or on this machine. It holds nothing secret.
    ///
    /// # Errors
    /// Why nobody can log in this way.
    async fn open(&self, url: &Url) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// The user's browser. The URL is always told as well: there may be no browser on this machine.
pub struct SystemBrowser<F> {
    open: bool,
    tell: F,
}

impl<F: Fn(&Url) + Send + Sync + 'static> SystemBrowser<F> {
    /// `tell` shows a URL to the user. Only with `open` the system is asked to open it too.
    pub fn new(open: bool, tell: F) -> Self {
        Self { open, tell }
    }
}

#[async_trait]
impl<F: Fn(&Url) + Send + Sync + 'static> Browser for SystemBrowser<F> {
    async fn open(&self, url: &Url) -> Result<(), Box<dyn Error + Send + Sync>> {
        (self.tell)(url);
        if self.open {
            let mut opener = Command::new(OPENER);
            opener.arg(url.as_str()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            #[cfg(unix)]
            opener.process_group(0); // Ctrl-C is for us
            // Without one, the user still has the URL.
            match opener.spawn() {
                Ok(mut opener) => drop(opener.wait().await),
                Err(error) => tracing::debug!(error = &error as &dyn Error, "no browser could be opened"),
            }
        }
        Ok(())
    }
}
