//! Answers that come as streams: of real servers, and of such as break.

use std::{net::Ipv4Addr, sync::atomic::Ordering};

use clap::Parser;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ProgressNotificationParam,
        ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
};
use tokio::sync::mpsc;

use super::support::{Doorkeeper, EVENTS, call, call_on, ears, initialize, line, modern, next, soon};
use crate::{NetworkServer, NetworkSettings, RequestError, dial::http::HttpLine};

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    network: NetworkSettings,
}

/// `progress` tells two steps, `ask` asks for the roots, `change` says that the tools have changed, `wait` waits for the end.
#[derive(Clone)]
struct Tools(mpsc::UnboundedSender<&'static str>);

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let mut text = request.name.to_string();
        match &*request.name {
            "progress" => {
                let token = context.meta.get_progress_token().unwrap();
                for step in [1.0, 2.0] {
                    let step = ProgressNotificationParam::new(token.clone(), step);
                    context.peer.notify_progress(step).await.unwrap();
                }
            }
            "ask" => text = format!("{} roots", context.peer.list_roots().await.unwrap().roots.len()),
            "change" => context.peer.notify_tool_list_changed().await.unwrap(),
            "wait" => {
                self.0.send("waiting").unwrap();
                context.ct.cancelled().await;
                self.0.send("cancelled").unwrap();
            }
            _ => {}
        }
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

type Seen = mpsc::UnboundedReceiver<&'static str>;

async fn server() -> (std::net::SocketAddr, Seen) {
    let settings = Settings::parse_from(["server"]).network;
    let server = NetworkServer::bind(Ipv4Addr::LOCALHOST.into(), 0, &settings).await.unwrap();
    let (address, (sender, seen)) = (server.local_addr(), mpsc::unbounded_channel());
    tokio::spawn(server.serve(move || Tools(sender.clone()), std::future::pending()));
    (address, seen)
}

async fn text(line: &HttpLine, tool: &str) -> String {
    let result = soon(line.request(call_on(line, tool), None)).await.unwrap().unwrap();
    let result: serde_json::Value = result.parse().unwrap();
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_tool_of_a_real_server_is_called_in_both_eras() {
    let (address, _seen) = server().await;
    let modern = modern(address);
    let (legacy, _) = line(address);
    initialize(&legacy).await;
    for name in ["plain", "t/o-o_l.s"] {
        assert_eq!(text(&modern, name).await, name);
        assert_eq!(text(&legacy, name).await, name);
    }
    soon(legacy.close()).await;
}

#[tokio::test]
async fn progress_comes_to_the_party_before_the_outcome() {
    let (address, _seen) = server().await;
    let (legacy, _) = line(address);
    initialize(&legacy).await;
    for line in [modern(address), legacy] {
        let (party, mut heard) = ears();
        soon(line.request(call_on(&line, "progress"), Some(party))).await.unwrap().unwrap();
        let told: Vec<_> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].starts_with("notifications/progress") && told[1].contains(r#""p""#), "{told:?}");
    }
}

#[tokio::test]
async fn a_question_during_a_request_is_the_partys() {
    let (address, _seen) = server().await;
    let (line, mut host) = line(address);
    initialize(&line).await;
    line.listen().await;
    let (party, mut heard) = ears();
    let outcome = soon(line.request(call_on(&line, "ask"), Some(party))).await.unwrap().unwrap();
    assert!(outcome.as_str().contains("0 roots"), "{outcome:?}");
    assert_eq!(next(&mut heard).await, "asked roots/list");
    assert!(host.try_recv().is_err());
}

#[tokio::test]
async fn what_belongs_to_no_request_comes_to_the_host() {
    let (address, _seen) = server().await;
    let (line, mut host) = line(address);
    initialize(&line).await;
    line.listen().await;
    assert_eq!(text(&line, "change").await, "change");
    assert_eq!(next(&mut host).await.trim(), "notifications/tools/list_changed");
    soon(line.close()).await;
    drop(line);
    assert_eq!(soon(host.recv()).await, None); // nobody hears any more
}

#[tokio::test]
async fn a_request_that_is_dropped_is_cancelled_at_the_server() {
    let (address, mut seen) = server().await;
    let (legacy, _) = line(address);
    initialize(&legacy).await;
    for line in [modern(address), legacy] {
        let waiting = line.request(call_on(&line, "wait"), None);
        tokio::select! {
            outcome = waiting => panic!("{outcome:?}"),
            seen = soon(seen.recv()) => assert_eq!(seen, Some("waiting")),
        }
        assert_eq!(soon(seen.recv()).await, Some("cancelled"));
    }
}

fn event(id: &str, data: &str) -> String {
    format!("id: {id}\ndata: {data}\n\n")
}

const TOLD: &str = r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#;

#[tokio::test]
async fn an_answer_whose_stream_breaks_is_read_on_from_where_it_broke() {
    let door = Doorkeeper::new().await;
    let (line, _) = line(door.address);
    soon(async { tokio::join!(initialize(&line), door.welcome()) }).await;
    let (party, mut heard) = ears();
    let (outcome, ()) = soon(async {
        tokio::join!(line.request(call("t"), Some(party)), async {
            let mut visit = door.visit().await;
            let id = visit.id();
            visit.write(&format!("{EVENTS}retry: 1\n{}{}", event("a", ""), event("b", TOLD))).await;
            drop(visit);
            // It is busy, it breaks again, it brings nothing new, and then the answer.
            let mut busy = door.visit().await;
            busy.write("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
            drop(busy);
            let mut again = door.visit().await;
            assert!(
                again.text.starts_with("GET /mcp ") && again.text.contains("last-event-id: b"),
                "{}",
                again.text
            );
            assert!(again.text.contains("mcp-session-id: s"), "{}", again.text);
            again.write(&format!("{EVENTS}{}", event("c", TOLD))).await;
            drop(again);
            let mut nothing = door.visit().await;
            assert!(nothing.text.contains("last-event-id: c"), "{}", nothing.text);
            nothing.write(EVENTS).await;
            drop(nothing);
            let mut last = door.visit().await;
            assert!(last.text.contains("last-event-id: c"), "{}", last.text);
            let response = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"late"}}"#);
            last.write(&format!("{EVENTS}{}", event("d", &response))).await;
        })
    })
    .await;
    assert_eq!(outcome.unwrap().unwrap().as_str(), r#""late""#);
    assert!(next(&mut heard).await.starts_with("notifications/progress"));
    assert!(next(&mut heard).await.starts_with("notifications/progress"));
    assert!(heard.recv().await.is_none());
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_on_is_lost_and_a_forgotten_session_ends_the_line() {
    for (refusal, is_forgotten) in [("404 Not Found", true), ("405 Method Not Allowed", false)] {
        let door = Doorkeeper::new().await;
        let (line, _) = line(door.address);
        soon(async { tokio::join!(initialize(&line), door.welcome()) }).await;
        let (outcome, ()) = soon(async {
            tokio::join!(line.request(call("t"), None), async {
                door.visit().await.write(&format!("{EVENTS}retry: 1\n{}", event("a", ""))).await;
                let refusal = format!("HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n");
                door.visit().await.write(&refusal).await;
            })
        })
        .await;
        assert!(matches!(outcome, Err(RequestError::Lost { .. })), "{outcome:?}");
        assert_eq!(line.is_ended(), is_forgotten, "{refusal}");
    }
}

#[tokio::test]
async fn a_question_is_dropped_when_the_server_cancels_it_or_its_request_ends() {
    let door = Doorkeeper::new().await;
    let (line, _) = line(door.address);
    soon(async { tokio::join!(initialize(&line), door.welcome()) }).await;
    let (party, mut heard) = ears();
    let ((), outcome) = soon(async {
        let asked = |id: &str| event("", &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"wait"}}"#));
        tokio::join!(
            async {
                let mut visit = door.visit().await;
                visit.write(&format!("{EVENTS}{}{}", asked("1"), asked(r#""x""#))).await;
                assert_eq!(next(&mut heard).await, "asked wait");
                assert_eq!(next(&mut heard).await, "asked wait");
                let params = r#"{"requestId":"x"}"#;
                let cancel =
                    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#);
                visit.write(&event("", &cancel)).await;
                party.noticed.notified().await;
                assert_eq!(party.dropped.load(Ordering::SeqCst), 1);
                let (ping, id) = (r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#, visit.id());
                visit.write(&event("", ping)).await;
                let mut pong = door.visit().await;
                assert!(pong.text.ends_with(r#"{"jsonrpc":"2.0","id":9,"result":{}}"#), "{}", pong.text);
                pong.write("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await;
                let response = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":1}}"#);
                visit.write(&event("", &response)).await;
            },
            line.request(call("t"), Some(party.clone()))
        )
    })
    .await;
    assert_eq!(outcome.unwrap().unwrap().as_str(), "1");
    assert_eq!(party.dropped.load(Ordering::SeqCst), 2);
    assert!(heard.try_recv().is_err()); // nothing was told
}

#[tokio::test]
async fn in_the_newer_era_what_a_server_asks_is_refused() {
    let door = Doorkeeper::new().await;
    let line = modern(door.address);
    let (party, mut heard) = ears();
    let (outcome, ()) = soon(async {
        tokio::join!(line.request(call("t"), Some(party)), async {
            let mut visit = door.visit().await;
            let question = r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#;
            visit.write(&format!("{EVENTS}data: {question}\n\n")).await;
            let mut answer = door.visit().await;
            assert!(answer.text.contains("-32601"), "{}", answer.text);
            answer.write("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await;
            // Some servers give ids back as texts.
            let response = format!(r#"{{"jsonrpc":"2.0","id":"{}","result":7}}"#, visit.id());
            visit.write(&format!("data: {response}\n\n")).await;
        })
    })
    .await;
    assert_eq!(outcome.unwrap().unwrap().as_str(), "7");
    assert!(heard.try_recv().is_err(), "nobody was asked");
}
