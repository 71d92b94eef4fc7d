//! A client that writes and reads lines, and servers for it.

use std::{
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use mcp_transport::serve_streams;
use serde_json::{Value, json};
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, Lines,
        duplex, split,
    },
    process::{Child, Command},
    time::{Instant, sleep},
};
use tool_server::{CommandLimits, Options, ToolServer};

/// More than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
const MODERN: &str = "2026-07-28";
static LAST_ID: AtomicU64 = AtomicU64::new(0);

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

pub struct Client {
    lines: Lines<BufReader<Reader>>,
    output: Writer,
}

impl Client {
    fn new(
        input: impl AsyncRead + Send + Unpin + 'static,
        output: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let input: Reader = Box::new(input);
        Self { lines: BufReader::new(input).lines(), output: Box::new(output) }
    }

    pub async fn write(&mut self, message: Value) {
        self.output.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    /// Writes a request and gives its id.
    pub async fn request(&mut self, method: &str, params: Value) -> u64 {
        let id = LAST_ID.fetch_add(1, Ordering::Relaxed);
        self.write(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        id
    }

    /// Reads up to the answer with this id.
    pub async fn answer(&mut self, id: u64) -> Value {
        loop {
            let line = self.lines.next_line().await.unwrap().unwrap();
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id {
                return message;
            }
        }
    }

    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params).await;
        self.answer(id).await
    }

    /// Asks as clients do since 2026-07-28: without a handshake.
    pub async fn ask_modern(&mut self, method: &str, mut params: Value) -> Value {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        self.ask(method, params).await
    }

    /// The text of a tool's answer, and whether it is an error.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> (String, bool) {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await;
        text_of(&answer)
    }

    /// The names of the tools that are listed.
    pub async fn tools(&mut self) -> Vec<String> {
        let answer = self.ask("tools/list", json!({})).await;
        let tools = answer["result"]["tools"].as_array().unwrap().iter();
        tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The JSON that a resource holds.
    pub async fn resource(&mut self, uri: &str) -> Value {
        let answer = self.ask("resources/read", json!({"uri": uri})).await;
        let content = &answer["result"]["contents"][0];
        assert_eq!(
            (&content["uri"], &content["mimeType"]),
            (&json!(uri), &json!("application/json")),
            "{answer}"
        );
        serde_json::from_str(content["text"].as_str().unwrap()).unwrap()
    }

    pub async fn initialize(&mut self) -> Value {
        let client = json!({"name": "test", "version": "1"});
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
        let answer = self.ask("initialize", params).await;
        self.write(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        answer
    }
}

pub fn text_of(answer: &Value) -> (String, bool) {
    let result = &answer["result"];
    assert_eq!(result["content"].as_array().map(Vec::len), Some(1), "{answer}");
    (result["content"][0]["text"].as_str().unwrap().to_owned(), result["isError"] == true)
}

/// All tools, in this folder, with these limits of commands.
pub fn options(root: &Path, commands: Option<CommandLimits>) -> Options {
    let path = ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into());
    Options {
        name: "test".to_owned(),
        tools: None,
        root: root.to_owned(),
        commands,
        command_environment: vec![path],
    }
}

/// A client without its handshake yet, and the server that it is connected to.
pub fn connect(options: Options) -> (Client, ToolServer) {
    let server = ToolServer::new(options).unwrap();
    let (near, far) = duplex(1 << 16);
    let (input, output) = split(far);
    tokio::spawn(serve_streams(server.clone(), input, output, std::future::pending()));
    let (input, output) = split(near);
    (Client::new(input, output), server)
}

/// The program itself, over standard input and output.
pub struct Program {
    pub child: Child,
    pub client: Client,
}

/// Starts the program with nothing in its environment but what is given.
pub fn start(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Program {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tool-server"))
        .arg("stdio")
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let client = Client::new(child.stdout.take().unwrap(), child.stdin.take().unwrap());
    Program { child, client }
}

impl Program {
    /// Closes the input and waits for the end: whether it went well, and the log.
    pub async fn end(mut self) -> (bool, String) {
        drop(self.client);
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
        (self.child.wait().await.unwrap().success(), log)
    }
}

/// The program on a port of its own, with the address that it says it listens on.
pub async fn start_network(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tool-server"))
        .args(["--port", "0", "--log", "tool_server=info"])
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .current_dir(folder)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let log = child.stderr.as_mut().unwrap();
    let mut lines = BufReader::new(log).lines();
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some((_, address)) = line.split_once("listening address=") {
            return (child, address.to_owned());
        }
    }
}

/// Polls, because processes that are not ours tell nobody what becomes of them.
pub async fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        sleep(Duration::from_millis(5)).await;
    }
}
