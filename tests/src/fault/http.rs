//! A failing server over Streamable HTTP: one connection a request, each answer a stream of events that ends with it.

use std::{
    io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write},
    net::{TcpListener, TcpStream},
};

use super::{Fault, Server, server::Client};

/// Longest request that is read.
const LONGEST: u64 = 1 << 20;

struct Events(BufWriter<TcpStream>);

impl Client for Events {
    fn send(&mut self, message: &str) -> io::Result<()> {
        write!(self.0, "data: {message}\n\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Serves for ever.
///
/// # Errors
/// When the listener breaks.
pub fn serve(server: &Server, listener: &TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        let server = server.clone();
        // A client that hangs up is none of this program's failures.
        std::thread::spawn(move || drop(answer(&server, &stream)));
    }
}

fn answer(server: &Server, stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream.take(LONGEST));
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line)?;
    let is_post = line.starts_with("POST ");
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(()); // it hung up
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;

    let mut output = BufWriter::new(stream.try_clone()?);
    let message: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    if server.fault == Fault::Silent {
        // The client's patience ends first, and then the connection.
        return reader.read_to_end(&mut Vec::new()).map(drop);
    }
    if !is_post {
        return reply(&mut output, "405 Method Not Allowed", "text/plain", "no");
    }
    if message.get("id").is_none() {
        return reply(&mut output, "202 Accepted", "text/plain", "");
    }
    if server.fault == Fault::Garbage {
        return reply(&mut output, "200 OK", "application/json", "<html>{ no JSON \u{1b}[31m</html>");
    }
    output.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")?;
    output.flush()?; // whoever dies in the middle has begun to answer
    let mut events = Events(output);
    server.answer(&message, &mut events)?;
    events.flush()
}

fn reply(output: &mut impl Write, status: &str, kind: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        output,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )?;
    output.flush()
}
