//! MCP over the network.

use std::net::Ipv4Addr;

use clap::Parser as _;
use mcp_transport::NetworkServer;
use reqwest::{Response, header::HeaderMap};
use serde_json::{Value, json};
use server_a::{Config, MessengerServer};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    session::{LEGACY, MODERN, call, modern, modern_with, server},
    support::{After, Script, StandIn},
};

struct Network {
    url: String,
    http: reqwest::Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Network {
    async fn new(server: &MessengerServer) -> Self {
        let settings = Config::try_parse_from(["server-a", "http"]).unwrap().network;
        let network = NetworkServer::bind(Ipv4Addr::LOCALHOST.into(), 0, &settings).await.unwrap();
        let url = format!("http://{}/mcp", network.local_addr());
        let server = server.clone();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(network.serve(move || server.session(), async { drop(stopped.await) }));
        Self { url, http: reqwest::Client::new(), stop, served }
    }

    async fn post(&self, headers: &[(&str, &str)], body: &Value) -> Response {
        let mut request = self.http.post(&self.url).header("accept", "application/json, text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap()
    }

    /// Sends a request of the newer era, which belongs to no session.
    async fn send(&self, method: &str, params: &Value) -> Response {
        let mut headers = vec![("mcp-protocol-version", MODERN), ("mcp-method", method)];
        if let Some(name) = params.get("name").or_else(|| params.get("uri")).or_else(|| params.get("taskId"))
        {
            headers.push(("mcp-name", name.as_str().unwrap()));
        }
        self.post(&headers, &json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).await
    }

    /// Its answer.
    async fn ask(&self, method: &str, params: Value) -> Value {
        let response = self.send(method, &params).await;
        messages(response).await.into_iter().find(|message| message["id"] == 1).unwrap()
    }
}

/// All messages of a response, in either of its forms.
async fn messages(response: Response) -> Vec<Value> {
    let text = response.text().await.unwrap();
    match serde_json::from_str(&text) {
        Ok(message) => vec![message],
        Err(_) => {
            let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
            data.filter(|data| !data.is_empty()).map(|data| serde_json::from_str(data).unwrap()).collect()
        }
    }
}

fn can_everything() -> Value {
    json!({"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}})
}

#[tokio::test]
async fn requests_without_a_session_share_conversations_tasks_and_questions() {
    let models = r#"{"provider": "openai", "models": ["gpt-4"], "default": "gpt-4"}"#;
    let stand_in = StandIn::new([Script::Json(models)]).await;
    let network = Network::new(&server(&stand_in)).await;
    let arguments = json!({"message": "a", "model": "gpt-9", "conversation_id": "c"});
    let params = || call("send_message_stream", arguments.clone());

    let question = network.ask("tools/call", modern_with(params(), can_everything())).await;
    assert_eq!(question["result"]["resultType"], "input_required", "{question}");
    let mut answered = params();
    answered["requestState"] = question["result"]["requestState"].clone();
    answered["inputResponses"] = json!({"model": {"action": "accept", "content": {"model": "gpt-4"}}});
    let begun = network.ask("tools/call", modern_with(answered, can_everything())).await;
    assert_eq!(begun["result"]["resultType"], "task", "{begun}");

    let id = begun["result"]["taskId"].clone();
    let polling = async {
        loop {
            let task = network.ask("tasks/get", modern_with(json!({"taskId": id}), can_everything())).await;
            if task["result"]["status"] != "working" {
                return task;
            }
        }
    };
    let task = tokio::time::timeout(std::time::Duration::from_secs(20), polling).await.unwrap();
    assert_eq!(task["result"]["result"]["structuredContent"]["success"], true, "{task}");

    let read = network.ask("resources/read", modern(json!({"uri": "conversation://c"}))).await;
    assert_eq!(read["result"]["contents"][0]["uri"], "conversation://c", "{read}");
    let unknown = network.ask("resources/read", modern(json!({"uri": "conversation://d"}))).await;
    assert_eq!(unknown["error"]["code"], -32602);
}

#[tokio::test]
async fn pieces_and_log_messages_come_before_the_answer_of_their_own_request() {
    let stand_in = StandIn::new([]).await;
    let network = Network::new(&server(&stand_in)).await;
    let mut params = modern(call("send_message_stream", json!({"message": "a"})));
    params["_meta"]["progressToken"] = json!("t");
    params["_meta"]["io.modelcontextprotocol/logLevel"] = json!("info");
    let messages = messages(network.send("tools/call", &params).await).await;
    let kinds: Vec<_> =
        messages.iter().map(|message| message["method"].as_str().unwrap_or("answer")).collect();
    let progress = "notifications/progress";
    assert_eq!(kinds, ["notifications/message", progress, progress, "answer"]);
}

#[tokio::test]
async fn a_closed_request_closes_the_one_to_server_b() {
    let mut stand_in = StandIn::new([Script::Stream(&["a "], After::Silence)]).await;
    let network = Network::new(&server(&stand_in)).await;
    let mut params = modern(call("send_message_stream", json!({"message": "a"})));
    params["_meta"]["progressToken"] = json!("t");
    let response = network.send("tools/call", &params).await;
    let seen = stand_in.next().await;
    drop(response);
    seen.over.await.unwrap();
}

#[tokio::test]
async fn a_legacy_session_is_told_of_changes_on_its_stream() {
    let stand_in = StandIn::new([]).await;
    let network = Network::new(&server(&stand_in)).await;
    let client = json!({"name": "test", "version": "1"});
    let params = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client});
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let response = network.post(&[], &initialize).await;
    let session = session_of(response.headers());
    let headers = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", LEGACY)];
    network.post(&headers, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    let subscribe = json!({"jsonrpc": "2.0", "id": 2, "method": "resources/subscribe",
        "params": {"uri": "conversation://c"}});
    assert!(network.post(&headers, &subscribe).await.status().is_success());
    let mut stream = network.http.get(&network.url).header("accept", "text/event-stream");
    for (name, value) in headers {
        stream = stream.header(name, value);
    }
    let mut stream = stream.send().await.unwrap();

    let arguments = json!({"message": "a", "conversation_id": "c"});
    network.ask("tools/call", modern(call("send_message_to_ai", arguments))).await;

    let mut text = String::new();
    while !text.contains("notifications/resources/updated") {
        let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(
        text.contains("notifications/resources/list_changed") && text.contains("conversation://c"),
        "{text}"
    );
}

fn session_of(headers: &HeaderMap) -> String {
    headers["mcp-session-id"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends() {
    let stand_in = StandIn::new([]).await;
    let network = Network::new(&server(&stand_in)).await;
    network.ask("tools/list", modern(json!({}))).await;
    network.stop.send(()).unwrap();
    network.served.await.unwrap();
}
