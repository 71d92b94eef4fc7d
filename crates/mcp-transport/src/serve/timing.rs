//! How long a server waits for others.

use std::time::Duration;

/// How long a server waits for others. No setting: the defaults are for everybody, and tests shorten them.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Longest time for a request to arrive, or between two requests of a connection.
    pub idle: Duration,
    /// Longest time for a client to take what it is sent.
    pub stall: Duration,
    /// Time for requests in flight to finish after the end of the input, or after a signal.
    pub grace: Duration,
    /// How often the client of a WebSocket is asked whether it still lives; one that says nothing for two of these is gone.
    pub ping: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(60),
            grace: Duration::from_secs(10),
            ping: Duration::from_secs(30),
        }
    }
}
