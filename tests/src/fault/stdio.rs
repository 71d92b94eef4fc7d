//! A failing server over standard input and output.

use std::io::{self, BufRead as _, BufWriter, Stdout, Write as _};

use serde_json::Value;

use super::{Fault, Server, server::Client};

struct Output(BufWriter<Stdout>);

impl Client for Output {
    fn send(&mut self, message: &str) -> io::Result<()> {
        self.0.write_all(message.as_bytes())?;
        self.0.write_all(b"\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Serves until the input ends, or for ever when that is what is wrong.
///
/// # Errors
/// When the client is gone.
pub fn serve(server: &Server) -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let Ok(message) = serde_json::from_str(&line?) else { continue };
        if server.fault == Fault::Hangs {
            let server = server.clone();
            // It goes on reading, and notices when the input ends.
            std::thread::spawn(move || answer(&server, &message));
        } else {
            answer(server, &message)?;
        }
    }
    if server.fault == Fault::Stubborn {
        server.puppet.tell("ignores the end");
        server.puppet.wait_for_release();
    }
    Ok(())
}

fn answer(server: &Server, message: &Value) -> io::Result<()> {
    let mut output = Output(BufWriter::new(io::stdout()));
    server.answer(message, &mut output)?;
    output.flush()
}
