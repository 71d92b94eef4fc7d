mod layers;
mod pipelines;

use std::{fs, time::Duration};

use gateway::{Balance, Reach, Replica, Sessions};
use mcp_transport::Era;
use secrecy::ExposeSecret as _;

use super::*;

fn variable(name: &str) -> Option<String> {
    match name {
        "KEY" => Some("secret-from-environment".to_owned()),
        "HOST" => Some("weather.test".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config, String> {
    let source = Source::with_variables(PathBuf::from("/etc/gateway/gateway.toml"), variable);
    Config::parse(text, Path::new("gateway.toml"), &source).map_err(|problems| problems.to_string())
}

fn addresses(config: &Config, upstream: &str) -> Vec<String> {
    let place = |replica: &Replica| match &replica.reach {
        Reach::Address(address) => address.to_string(),
        Reach::InMemory(_) => "in memory".to_owned(),
    };
    config.gateway.upstreams[upstream].replicas.iter().map(place).collect()
}

#[test]
fn the_shortest_file_has_an_upstream_and_defaults() {
    let config = parse("[upstream.weather]\nurl = \"http://127.0.0.1:9001/mcp\"\n").unwrap();
    assert_eq!(addresses(&config, "weather"), ["http://127.0.0.1:9001/mcp"]);
    let upstream = &config.gateway.upstreams["weather"];
    assert_eq!((upstream.concurrency, upstream.queue), (64, 256));
    assert_eq!((upstream.breaker.failures, upstream.breaker.open), (5, Duration::from_secs(60)));
    assert_eq!((config.listen, config.gateway.separator.as_str()), (None, "__"));
}

#[test]
fn everything_can_be_said() {
    let config = parse(
        r#"
        listen = "localhost:9000"
        separator = "."
        state_key = "0123456789abcdef0123456789abcdef"
        [upstream.weather]
        replicas = ["http://${HOST}/mcp", "ws://${NONE:-b.test}/ws"]
        balance = "least_busy"
        bearer = "env:KEY"
        headers = { "X-Team" = "a" }
        prefix = ""
        sessions = "per_client"
        era = "legacy"
        connect_timeout = "2s"
        call_timeout = "5m"
        health_interval = "500ms"
        breaker = { failures = 3, open = "10s" }
        concurrency = 2
        queue = 0
        retry = { attempts = 2, base = "10ms", max = "1s", repeat = ["get_*"], never_repeat = ["get_paid"] }
        max_message_bytes = 4096
        [upstream.files]
        command = ["./bin/server", "/srv/docs", "$${x}"]
        environment = { TOKEN = "env:KEY" }
        directory = "data"
        idle_stop = "10m"
        "#,
    )
    .unwrap();
    assert_eq!(config.listen.unwrap().to_string(), "127.0.0.1:9000");
    assert_eq!(addresses(&config, "weather"), ["http://weather.test/mcp", "ws://b.test/ws"]);
    assert_eq!(addresses(&config, "files"), ["stdio:/etc/gateway/./bin/server /srv/docs '${x}'"]);
    let weather = &config.gateway.upstreams["weather"];
    assert_eq!(
        (weather.balance, weather.sessions, weather.era),
        (Balance::LeastBusy, Sessions::PerClient, Era::Legacy)
    );
    assert_eq!(weather.prefix.as_deref(), Some(""));
    assert_eq!(
        (weather.connect_timeout, weather.call_timeout),
        (Duration::from_secs(2), Duration::from_secs(300))
    );
    assert_eq!((weather.concurrency, weather.queue, weather.retries.backoff.attempts), (2, 0, 2));
    let options = &weather.replicas[1].options;
    assert_eq!(options.bearer.as_ref().unwrap().expose_secret(), "secret-from-environment");
    assert_eq!((options.message_bytes, options.headers["x-team"].to_str().unwrap()), (4_096, "a"));
    assert_eq!(config.gateway.upstreams["files"].idle_stop, Some(Duration::from_secs(600)));
}

#[test]
fn all_mistakes_are_told_at_once_with_line_and_column() {
    let text = "listen = \"here\"\n\n[upstream.a]\nurl = \"http://x/mcp\"\ncall_timeout = \"soon\"\nqueue = 1000000\n\
        [upstream.b]\ncommand = [\"x\"]\nbearer = \"env:NONE\"\n[upstream.\"c d\"]\nurl = \"${NONE}\"\n";
    let told = parse(text).unwrap_err();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "gateway.toml:1:10: allowed is an address and a port, such as 127.0.0.1:8080",
            "gateway.toml:5:16: allowed is a time such as 30, 500ms, 10s, 2m or 1h, up to a day",
            "gateway.toml:6:9: allowed is 0 to 100000",
            "gateway.toml:9:10: bearer is for upstreams with a url: a command gets its keys in environment",
            "gateway.toml:10:1: an upstream's name has 1 to 40 letters, digits and _ -",
            "gateway.toml:11:7: the variable NONE is not set",
        ]
    );
}

#[test]
fn what_toml_itself_refuses_has_its_place_too() {
    for (text, place) in [
        ("listen = ", "gateway.toml:1:"),
        ("[upstream.a]\nurl = 5\n", "gateway.toml:2:7: "),
        ("[upstream.a]\nulr = \"http://x\"\n", "gateway.toml:2:1: unknown field `ulr`"),
        ("[upstream.a]\nurl = \"http://x\"\nbalance = \"random\"\n", "gateway.toml:3:11: "),
    ] {
        let told = parse(text).unwrap_err();
        assert!(told.starts_with(place), "{told}");
    }
}

#[test]
fn an_upstream_has_one_place_to_be() {
    for wrong in [
        "[upstream.a]\n",
        "[upstream.a]\nurl = \"http://x\"\ncommand = [\"y\"]\n",
        "[upstream.a]\nreplicas = []\n",
        "[upstream.a]\ncommand = []\n",
        "[upstream.a]\nurl = \"localhost:80\"\n",
        "[upstream.a]\nurl = \"http://x\"\nenvironment = { A = \"b\" }\n",
        "[upstream.a]\nurl = \"http://x\"\nidle_stop = \"1m\"\n",
        "",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_secret_is_in_no_error_and_in_no_debug() {
    let secret = "hunter2000";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), format!("{secret}\nmore\n")).unwrap();
    let source = Source::new(folder.path().join("gateway.toml"));
    let text = "[upstream.a]\nurl = \"http://me:hunter2000@x/mcp\"\nbearer = \"file:key\"\n";
    let config = Config::parse(text, Path::new("g.toml"), &source).unwrap();
    let bearer = config.gateway.upstreams["a"].replicas[0].options.bearer.clone().unwrap();
    assert_eq!(bearer.expose_secret(), secret);
    assert!(!format!("{config:?}").contains(secret), "{config:?}");

    let wrong = format!(
        "[upstream.a]\nurl = \"http://x\"\nheaders = {{ \"a b\" = \"{secret}\", b = \"{secret}\\u0007\" }}\n"
    );
    let told = parse(&wrong).unwrap_err();
    assert!(told.lines().count() == 2 && !told.contains(secret), "{told}");
}

#[test]
fn a_value_of_the_wrong_type_is_not_repeated() {
    let secret = "hunter2000";
    for member in [
        "command = \"server --token SECRET\"",
        "headers = \"Bearer SECRET\"",
        "environment = \"KEY=SECRET\"",
        "environment = [\"SECRET, expected nothing\"]",
        "balance = \"SECRET\"",
        "bearer = [\"SECRET\"]",
        "queue = \"SECRET\"",
        "breaker = \"SECRET\"",
        "url = SECRET",
    ] {
        let text = format!("[upstream.a]\n{}\n", member.replace("SECRET", secret));
        let told = parse(&text).unwrap_err();
        assert!(told.starts_with("gateway.toml:2:") && !told.contains(secret), "{told}");
    }
}

#[test]
fn an_mcp_servers_file_is_read_as_it_is() {
    let source = Source::with_variables(PathBuf::from("/etc/gateway.toml"), variable);
    let path = Path::new("claude_desktop_config.json");
    let text = r#"{"mcpServers": {"my server": {"command": "server-a", "args": ["stdio"], "env": {"K": "${KEY}"}},
        "web": {"url": "http://localhost:9001/mcp"}, "off": {"command": "x", "disabled": true}}}"#;
    let config = Config::parse(text, path, &source).unwrap();
    assert_eq!(config.gateway.upstreams.keys().collect::<Vec<_>>(), ["my_server", "web"]);

    let wrong = r#"{"mcpServers": {"a": {"command": "x", "url": "http://y"}, "b": {"url": "${NONE}"}}}"#;
    let told = Config::parse(wrong, path, &source).unwrap_err().to_string();
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.lines().all(|line| line.starts_with("claude_desktop_config.json: mcpServers.")), "{told}");
}

#[test]
fn the_schema_in_the_repository_is_the_one_of_this_program() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.schema.json");
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == schema(),
        "write it anew: cargo run -p mcp-gateway -- schema > crates/mcp-gateway/gateway.schema.json"
    );
}

#[test]
fn the_example_is_right() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.example.toml");
    let config = Config::read(&file).unwrap();
    assert!(!config.gateway.upstreams.is_empty());
}

#[test]
fn every_piece_of_toml_in_the_readme_is_right() {
    let readme = include_str!("../../README.md");
    let mut pieces = 0;
    for piece in readme.split("```toml\n").skip(1) {
        let (toml, _) = piece.split_once("```").unwrap();
        if let Err(told) = parse(toml) {
            panic!("{told}\n{toml}");
        }
        pieces += 1;
    }
    assert!(pieces >= 8, "{pieces}");
}
