use std::net::{IpAddr, Ipv4Addr};

use clap::Parser;
use mcp_transport::{NetworkServer, NetworkSettings};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, GetPromptRequestParams,
        GetPromptResponse, GetPromptResult, ListPromptsResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, Prompt, PromptArgument, PromptMessage, ReadResourceRequestParams,
        ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, Role, ServerCapabilities,
        ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use super::*;

type Context = RequestContext<RoleServer>;
type Page = Option<PaginatedRequestParams>;

/// Answers every call with its tool and its arguments.
#[derive(Clone)]
struct Mirror {
    tools: Vec<&'static str>,
}

fn tool(name: &'static str) -> Tool {
    let schema = match name {
        "say" => {
            json!({"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "description": "What to say"}}})
        }
        "add" => {
            json!({"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 2}}})
        }
        "size#number" => json!({"type": "object", "properties": {"size": {"type": "integer"}}}),
        "size#text" => json!({"type": "object", "properties": {"size": {"type": "string"}}}),
        "pick" => {
            json!({"type": "object", "required": ["one"], "properties": {"one": {"enum": ["a\u{1b}[2J"]}}})
        }
        "login" => json!({"type": "object", "properties": {"key": {"type": "string", "writeOnly": true}}}),
        _ => json!({"type": "object"}),
    };
    let Value::Object(schema) = schema else { panic!("a schema is an object") };
    Tool::new(name_of(name), "Mirrors", Arc::new(schema))
}

/// Behind a `#` stands which of several tools of this name it is.
fn name_of(tool: &'static str) -> &'static str {
    tool.split('#').next().unwrap_or_default()
}

impl ServerHandler for Mirror {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_prompts().enable_resources();
        let has_log = self.tools.contains(&"log");
        ServerConfig::new(if has_log { capabilities.enable_logging().build() } else { capabilities.build() })
    }

    async fn list_tools(&self, _: Page, context: Context) -> Result<ListToolsResult, ErrorData> {
        if self.tools.contains(&"hang") {
            context.ct.cancelled().await;
        }
        Ok(ListToolsResult::with_all_items(self.tools.iter().map(|name| tool(name)).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = format!("{} {}", request.name, json!(request.arguments));
        let content = vec![ContentBlock::text(text)];
        let known = self.tools.iter().any(|tool| name_of(tool) == request.name);
        Ok(if known { CallToolResult::success(content) } else { CallToolResult::error(content) }.into())
    }

    async fn list_resources(&self, _: Page, _: Context) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new("server://info", "info")]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(ReadResourceResult::new(vec![ResourceContents::text("its text", request.uri)]).into())
    }

    async fn list_prompts(&self, _: Page, _: Context) -> Result<ListPromptsResult, ErrorData> {
        let who = PromptArgument::new("who").with_required(true);
        Ok(ListPromptsResult::with_all_items(vec![Prompt::new("greet", Some("Greets"), Some(vec![who]))]))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        let text = json!(request.arguments).to_string();
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).into())
    }
}

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    network: NetworkSettings,
}

/// The address of a server with these tools.
async fn mirror(tools: &[&'static str]) -> String {
    let mirror = Mirror { tools: tools.to_vec() };
    let settings = Settings::parse_from(["server"]).network;
    let server = NetworkServer::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, &settings).await.unwrap();
    let address = server.local_addr().to_string();
    // It ends with the runtime of the test.
    tokio::spawn(server.serve(move || mirror.clone(), std::future::pending()));
    address
}

struct Session {
    operator: Operator,
    host: Arc<TerminalHost>,
}

impl Session {
    /// `lines` are what somebody types when asked; without any nobody is there.
    async fn start(servers: &[(&str, &[&'static str])], lines: &[&str]) -> Self {
        let host = Arc::new(TerminalHost::new(false, None, Vec::new()));
        host.screen().record();
        if !lines.is_empty() {
            host.keyboard().type_ahead(lines);
        }
        let all = Arc::new(Servers::new(host.clone(), upstream::Options::default()));
        for (name, tools) in servers {
            all.add(Some(name), &mirror(tools).await, None).unwrap();
        }
        let shell = Shell {
            servers: all.clone(),
            renderer: Renderer::new(false, 100, std::env::temp_dir()),
            host: host.clone(),
            history: None,
        };
        let operator = Operator::new(&shell, !lines.is_empty(), Catalogue::new(all)).unwrap();
        Self { operator, host }
    }

    /// How the command ended, and what was seen.
    async fn carry_out(&self, line: &str) -> (Done, String) {
        let done = self.operator.carry_out(line).await;
        (done, self.host.screen().recorded())
    }

    async fn seen(&self, line: &str) -> String {
        self.carry_out(line).await.1
    }
}

const BOTH: [(&str, &[&str]); 2] = [("calc", &["add", "say"]), ("files", &["say", "list", "login"])];

#[tokio::test]
async fn arguments_are_json_pairs_or_plain_text() {
    let session = Session::start(&BOTH, &[]).await;
    for line in [
        r#"call calc say {"text": "hi there"}"#,
        r#"call calc say text="hi there""#,
        "call calc say hi there",
        r#"> call calc say "hi there"   # said"#,
    ] {
        assert_eq!(
            session.carry_out(line).await,
            (Done::Well, "say {\"text\":\"hi there\"}\n".to_owned()),
            "{line}"
        );
    }
    assert_eq!(session.seen("call calc add a=1 b=2").await, "add {\"a\":1,\"b\":2}\n");
}

#[tokio::test]
async fn a_servers_name_can_be_left_out_when_only_one_can_be_meant() {
    let session = Session::start(&BOTH, &[]).await;
    assert_eq!(session.seen("call list {}").await, "list {}\n");
    let (done, seen) = session.carry_out("call say hi").await;
    assert_eq!(done, Done::Badly(Exit::Usage));
    assert!(seen.contains("several servers have `say`") && seen.contains("calc, files"), "{seen}");
    let single = Session::start(&BOTH[..1], &[]).await;
    assert_eq!(single.seen("call say hi").await, "say {\"text\":\"hi\"}\n");
    assert!(single.seen("read server://info").await.contains("its text"));
}

#[tokio::test]
async fn what_does_not_exist_is_named_with_what_was_meant() {
    let session = Session::start(&BOTH, &[]).await;
    for (line, words) in [
        (
            "call nonexistent_server echo {}",
            "there is no server `nonexistent_server`; there are: calc, files",
        ),
        ("tools clac", "there is no server `clac`; do you mean `calc`?"),
        ("tool calc ad", "calc has no tool `ad`; `tools calc` lists them"),
        ("prompt calc gret", "calc has no prompt `gret`; do you mean `greet`?"),
        ("tolls", "there is no command `tolls`: do you mean `tools`?"),
        ("log calc loud", "there is no level `loud`"),
        ("add x not-an-address", "allowed are"),
        ("add calc localhost:1", "there is a server \"calc\" already"),
        ("add x localhost:1 tcp", "allowed are http, sse and websocket"),
        ("call calc add a=one b=2", "`a` must be an integer, not `one`"),
        ("call calc add a=1", "`b` is missing"),
        ("call calc say {", "the arguments are not JSON"),
    ] {
        let (done, seen) = session.carry_out(line).await;
        assert_eq!(done, Done::Badly(Exit::Usage), "{line}");
        assert!(seen.contains(words), "{line}: {seen}");
    }
}

#[tokio::test]
async fn a_tool_that_is_not_listed_is_the_servers_to_refuse() {
    let session = Session::start(&BOTH, &[]).await;
    let (done, seen) = session.carry_out(r#"call calc list {"path": "."}"#).await;
    assert_eq!(done, Done::Badly(Exit::ToolError));
    assert!(seen.contains("calc has no tool `list`") && seen.contains("list {\"path\":\".\"}"), "{seen}");
}

#[tokio::test]
async fn methods_of_mcp_stand_where_tools_do() {
    let session = Session::start(&BOTH, &[]).await;
    for (line, words) in [
        ("call calc resources/list {}", "server://info"),
        (r#"call calc resources/read {"uri": "server://info"}"#, "its text"),
        ("call calc tools/list {}", "add"),
        ("call calc prompts/list", "greet"),
        (r#"call calc prompts/get {"name": "greet", "arguments": {"who": "Ada"}}"#, "Ada"),
        ("call calc ping", " ms"),
    ] {
        let (done, seen) = session.carry_out(line).await;
        assert!(done == Done::Well && seen.contains(words), "{line}: {done:?} {seen}");
    }
}

#[tokio::test]
async fn a_broadcast_calls_all_that_have_the_tool_and_names_those_that_do_not() {
    let session = Session::start(&BOTH, &[]).await;
    let (done, seen) = session.carry_out("broadcast say hi").await;
    assert_eq!(done, Done::Well);
    assert!(
        seen.contains("[calc] say {\"text\":\"hi\"}") && seen.contains("[files] say {\"text\":\"hi\"}"),
        "{seen}"
    );
    let (done, seen) = session.carry_out("broadcast list {}").await;
    assert_eq!(done, Done::Badly(Exit::Usage));
    assert!(
        seen.contains("error: calc: it has no tool `list`") && seen.contains("[files] list {}"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_broadcast_gives_each_server_what_its_own_tool_wants() {
    let session = Session::start(&[("texts", &["size#text"]), ("numbers", &["size#number"])], &[]).await;
    let (done, seen) = session.carry_out("broadcast size size=7").await;
    assert_eq!(done, Done::Well);
    assert!(seen.contains("[texts] size {\"size\":\"7\"}"), "{seen}");
    assert!(seen.contains("[numbers] size {\"size\":7}"), "{seen}");
    let (done, seen) = session.carry_out("broadcast size size=large").await;
    assert_eq!(done, Done::Badly(Exit::Usage));
    assert!(seen.contains("[texts] size {\"size\":\"large\"}"), "{seen}");
    assert!(seen.contains("numbers: `size` must be an integer, not `large`"), "{seen}");
}

#[tokio::test]
async fn one_server_that_hangs_does_not_delay_what_others_answer() {
    let session = Session::start(&[("slow", &["hang"]), ("calc", &["say"])], &[]).await;
    let answered = async {
        while !session.host.screen().recorded().contains("calc · 1 tool") {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        done = session.operator.carry_out("tools") => panic!("nothing was waited for: {done:?}"),
        () = answered => {}
    }
}

#[tokio::test]
async fn it_is_said_when_no_log_can_be_heard() {
    let session = Session::start(&[("calc", &["say"]), ("files", &["log"])], &[]).await;
    let seen = session.seen("log calc info").await;
    assert_eq!(seen, "calc: it says that it has no log, so nothing will be heard\n");
    assert_eq!(
        session.seen("log files info").await,
        "files: its log is heard from here on, while it is called: info\n"
    );
    assert_eq!(session.seen("log files off").await, "files: its log is not heard any more\n");
}

#[tokio::test]
async fn a_schema_cannot_control_the_terminal() {
    let session = Session::start(&[("calc", &["pick"])], &["b", "^C"]).await;
    let seen = session.seen("call calc pick").await;
    assert!(seen.contains("  it must be ") && seen.contains("[2J"), "{seen}");
    assert!(!seen.chars().any(|c| c.is_control() && c != '\n'), "{seen:?}");
}

#[tokio::test]
async fn what_is_missing_is_asked_for_one_by_one() {
    let session = Session::start(&BOTH, &["one", "1", ""]).await;
    let seen = session.seen("call calc add").await;
    assert!(seen.contains("a (INTEGER)\n") && seen.contains("it must be an integer, not `one`"), "{seen}");
    assert!(seen.contains("b (INTEGER) [2]"), "{seen}");
    assert!(seen.ends_with("add {\"a\":1,\"b\":2}\n"), "{seen}");
    let cancelled = Session::start(&BOTH, &["^C"]).await;
    let (done, seen) = cancelled.carry_out("call calc say").await;
    assert_eq!(done, Done::Badly(Exit::Interrupted));
    assert!(seen.contains("What to say") && seen.ends_with("cancelled\n"), "{seen}");
}

#[tokio::test]
async fn servers_are_added_and_removed_while_others_carry_on() {
    let session = Session::start(&BOTH[..1], &[]).await;
    let address = mirror(&["list"]).await;
    let seen = session.seen(&format!("add more {address} websocket")).await;
    assert!(seen.starts_with("Add server succeeded: more is "), "{seen}");
    assert_eq!(session.seen("call more list").await, "list {}\n");
    let seen = session.seen("servers").await;
    assert!(seen.contains("calc") && seen.contains(&format!("ws://{address}/ws")), "{seen}");
    assert_eq!(session.seen("remove more").await, "removed more\n");
    assert!(session.operator.servers.get("more").is_err());
    assert_eq!(session.seen("call calc say still here").await, "say {\"text\":\"still here\"}\n");
}

#[tokio::test]
async fn prompts_take_pairs_and_need_what_they_require() {
    let session = Session::start(&BOTH[..1], &[]).await;
    assert!(session.seen("prompt greet who=Ada").await.contains("{\"who\":\"Ada\"}"));
    assert!(session.seen("prompt calc greet").await.contains("`who` is missing"));
}
