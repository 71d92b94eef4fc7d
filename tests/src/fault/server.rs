//! What a failing server answers.

use std::io;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{HUGE, LAST_WORDS, strings::Puppet};

/// What is wrong with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Nothing.
    Healthy,
    /// It dies in the middle of a call.
    Dies,
    /// It never answers, not even `initialize`.
    Silent,
    /// It answers what is no JSON.
    Garbage,
    /// It answers a call and ends.
    Closes,
    /// It ends when it is called, and has other tools when it is started again.
    Changes,
    /// It sends very many notifications before it answers a call, and answers when it is released.
    Floods,
    /// It answers a call with 50 MB.
    Huge,
    /// It answers a call when it is released.
    Hangs,
    /// It does not end when its input is closed, nor at SIGTERM, but when it is released.
    Stubborn,
    /// It ends before it has answered anything, until it is released.
    Stillborn,
    /// It ends when it is called, and the next one has no tools until it is released. It does not tell that they have changed.
    Empties,
    /// The first one ends when it is called, each time before it has answered; the next one answers. Beside `echo` it has `look`, which is
    /// read-only, and `put`, which is idempotent, and tells each call.
    Forgets,
}

/// A server with one thing wrong. Its tool `echo` has the fault, its tool `safe` has not.
#[derive(Clone)]
pub struct Server {
    /// What is wrong.
    pub fault: Fault,
    /// How many notifications a flood has.
    pub notifications: usize,
    /// Whoever pulls the strings.
    pub puppet: Puppet,
}

/// Where the messages for the client go.
pub trait Client {
    /// Sends a message.
    ///
    /// # Errors
    /// When the client is gone.
    fn send(&mut self, message: &str) -> io::Result<()>;

    /// Sees to it that what was sent is on its way.
    ///
    /// # Errors
    /// When the client is gone.
    fn flush(&mut self) -> io::Result<()>;
}

impl Server {
    /// Answers one message, or fails to, as it should.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn answer(&self, message: &Value, client: &mut impl Client) -> io::Result<()> {
        let Some(method) = message["method"].as_str() else { return Ok(()) };
        let Some(id) = message.get("id") else {
            if method == "notifications/cancelled" {
                self.puppet.tell("cancelled");
            }
            return Ok(());
        };
        match self.fault {
            Fault::Stillborn if !self.puppet.is_released() => std::process::exit(7),
            Fault::Silent => return Ok(()),
            Fault::Garbage => return client.send("%PDF-1.7 this is { no JSON \u{1b}[31m"),
            _ => {}
        }
        match method {
            "initialize" => self.send_result(id, self.introduction(message), client),
            "tools/list" => self.send_result(id, self.tools(), client),
            "tools/call" => self.call(id, &message["params"], client),
            "ping" => self.send_result(id, json!({}), client),
            _ => {
                let error = json!({"code": -32601, "message": format!("no such method: {method}")});
                client.send(&json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string())
            }
        }
    }

    fn introduction(&self, message: &Value) -> Value {
        json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {"listChanged": true}, "logging": {}},
            "serverInfo": {"name": "fault-server", "version": self.puppet.life().to_string()},
        })
    }

    fn tools(&self) -> Value {
        let life = self.puppet.life();
        let schema = json!({"type": "object", "properties": {"message": {"type": "string"}}});
        let tool = |name: String| json!({"name": name, "description": "answers", "inputSchema": schema});
        let mut tools = vec![tool("echo".into()), tool("safe".into())];
        match self.fault {
            Fault::Changes => tools.push(tool(format!("of_life_{life}"))),
            Fault::Empties if life == 1 && !self.puppet.is_released() => tools.clear(),
            Fault::Forgets => {
                for (name, hint) in [("look", "readOnlyHint"), ("put", "idempotentHint")] {
                    let mut tool = tool(name.to_owned());
                    tool["annotations"] = json!({hint: true});
                    tools.push(tool);
                }
            }
            _ => {}
        }
        json!({"tools": tools})
    }

    fn call(&self, id: &Value, call: &Value, client: &mut impl Client) -> io::Result<()> {
        let message = call["arguments"]["message"].as_str().unwrap_or_default();
        if call["name"] == "safe" {
            return self.send_text(id, &format!("safe: {message}"), client);
        }
        let echo = format!("echo: {message}");
        match self.fault {
            Fault::Forgets => {
                let name = call["name"].as_str().unwrap_or_default();
                self.puppet.tell(&format!("called {name}"));
                if self.puppet.life() == 0 {
                    std::process::exit(7)
                }
                self.send_text(id, &echo, client)
            }
            Fault::Empties if self.puppet.life() > 0 => self.send_text(id, &echo, client),
            Fault::Dies | Fault::Changes | Fault::Empties => {
                self.puppet.tell("called");
                eprintln!("{LAST_WORDS}");
                std::process::exit(7)
            }
            Fault::Closes => {
                self.send_text(id, &echo, client)?;
                client.flush()?;
                std::process::exit(0)
            }
            Fault::Hangs => {
                self.puppet.tell("called");
                self.puppet.wait_for_release();
                self.send_text(id, &echo, client)
            }
            Fault::Floods => {
                self.flood(call, client)?;
                client.flush()?;
                self.puppet.tell("flooded");
                self.puppet.wait_for_release();
                self.send_text(id, &echo, client)
            }
            Fault::Huge => self.send_text(id, &"x".repeat(HUGE), client),
            _ => self.send_text(id, &echo, client),
        }
    }

    /// Notifications of each kind that a client does something about.
    fn flood(&self, call: &Value, client: &mut impl Client) -> io::Result<()> {
        let token = &call["_meta"]["progressToken"];
        let token = if token.is_null() { json!("nobody's") } else { token.clone() };
        for number in 0..self.notifications {
            let (method, params) = match number % 4 {
                0 => ("tools/list_changed", "{}".to_owned()),
                1 => ("message", format!(r#"{{"level":"error","data":"line {number}"}}"#)),
                2 => ("progress", format!(r#"{{"progressToken":{token},"progress":{number}}}"#)),
                _ => ("resources/updated", format!(r#"{{"uri":"test://{number}"}}"#)),
            };
            client.send(&format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{params}}}"#
            ))?;
        }
        Ok(())
    }

    fn send_text(&self, id: &Value, text: &str, client: &mut impl Client) -> io::Result<()> {
        self.send_result(id, json!({"content": [{"type": "text", "text": text}]}), client)
    }

    fn send_result(&self, id: &Value, result: Value, client: &mut impl Client) -> io::Result<()> {
        client.send(&json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
    }
}
