//! Search, batches, pins, cache, access log, rules.

use std::{path::PathBuf, time::Duration};

use gateway::{BatchSettings, CacheScope, CacheSettings, Expose};
use ledger::Location;

use super::parse;

const UPSTREAM: &str = "[upstream.a]\nurl = \"http://x/mcp\"\n";

/// What is told about a file with these lines in its only upstream, which begin in line 3.
fn told(lines: &str) -> String {
    parse(&format!("{UPSTREAM}{lines}\n")).unwrap_err()
}

#[test]
fn everything_around_the_calls_can_be_said() {
    let config = parse(
        r#"
        expose = "search"
        pins = "gateway.pins.json"
        ledger = "${NONE:-runs}.db"
        cache_max_bytes = 1000000
        [batch]
        max_calls = 10
        timeout = "5s"
        [access_log]
        file = "/var/log/access.jsonl"
        max_bytes = 5000
        bodies = true
        mask = ["EMP-[0-9]+"]
        [upstream.a]
        url = "http://x/mcp"
        tools = { allow = ["read_*", "list_*"], deny = ["*delete*"], rename = { read_text_file = "read" } }
        prompts = { deny = ["*"] }
        resources = { allow = ["file:///srv/*"], rename = { "file:///srv/a" = "docs:a" } }
        templates = { rename = { "file:///{+path}" = "docs:{+path}" } }
        methods = ["skills/*"]
        cache = { ttl = "5m", scope = "public" }
        [upstream.b]
        url = "http://y/mcp"
        cache = { ttl = "10s" }
        "#,
    )
    .unwrap();
    let settings = &config.gateway;
    assert_eq!((settings.expose, settings.cache_bytes), (Expose::Search, 1_000_000));
    let batch = BatchSettings { max_calls: 10, timeout: Duration::from_secs(5), ..BatchSettings::default() };
    assert_eq!(settings.batch, Some(batch));
    let (a, b) = (&settings.upstreams["a"], &settings.upstreams["b"]);
    assert_eq!(
        (a.rules.tools.allow.as_slice(), a.rules.tools.deny.as_slice()),
        (&["read_*".to_owned(), "list_*".to_owned()][..], &["*delete*".to_owned()][..])
    );
    assert_eq!(a.rules.tools.rename["read_text_file"], "read");
    assert_eq!(
        (a.rules.prompts.deny[0].as_str(), a.rules.resources.allow[0].as_str()),
        ("*", "file:///srv/*")
    );
    assert_eq!(a.rules.resources.rename["file:///srv/a"], "docs:a");
    assert_eq!(a.rules.templates.rename["file:///{+path}"], "docs:{+path}");
    assert_eq!((&a.rules.methods, &b.rules.methods), (&Some(vec!["skills/*".to_owned()]), &None));
    let kept = |seconds, scope| Some(CacheSettings { time_to_live: Duration::from_secs(seconds), scope });
    assert_eq!((a.cache, b.cache), (kept(300, CacheScope::Public), kept(10, CacheScope::Private)));
    let log = config.files.access_log.unwrap();
    assert_eq!(
        (log.path, log.max_bytes, log.bodies, log.mask),
        (PathBuf::from("/var/log/access.jsonl"), 5_000, true, vec!["EMP-[0-9]+".to_owned()])
    );
    assert_eq!(config.pins, Some(PathBuf::from("/etc/gateway/gateway.pins.json")));
    assert_eq!(config.files.ledger, Some(Location::File(PathBuf::from("/etc/gateway/runs.db"))));
}

#[test]
fn what_is_not_said_is_off() {
    let config = parse(UPSTREAM).unwrap();
    let settings = &config.gateway;
    assert!(settings.expose == Expose::All && settings.batch.is_none() && settings.pipelines.is_empty());
    assert!(config.pins.is_none() && config.files.access_log.is_none() && config.files.ledger.is_none());
    assert!(settings.upstreams["a"].cache.is_none());
    assert_eq!(
        parse(&format!("ledger = \"memory\"\n{UPSTREAM}")).unwrap().files.ledger,
        Some(Location::Memory)
    );
}

#[test]
fn rules_that_make_no_sense_are_told_with_their_place() {
    for (line, reason) in [
        ("tools = { allow = [] }", "3:19: an empty list says nothing"),
        ("tools = { allow = [\"\"] }", "3:20: an empty pattern fits nothing"),
        ("tools = { deny = [\"a\", \"a\"] }", "3:24: this pattern is in the list already"),
        ("tools = { deny = [\"a**\"] }", "3:19: ** is the same as *"),
        ("tools = { deny = [\"read_[a-z]+\"] }", "3:19: '[' is in no tool's name"),
        ("tools = { deny = [\" a\"] }", "3:19: a pattern has no spaces at its ends"),
        ("tools = { allow = [\"a\"], deny = [\"a\"] }", "3:34: the same pattern is allowed and denied"),
        ("resources = { deny = [\"readme\"] }", "3:23: what fits this has no scheme"),
        ("tools = { rename = { a = \"c\", b = \"c\" } }", "3:35: \"a\" gets this name, too"),
        ("prompts = { rename = { a = \"c d\" } }", "3:28: a name has 1 to 64 letters"),
        ("tools = { rename = { a = \"a\" } }", "3:26: this is the name that it has already"),
        ("tools = { rename = { \"a*\" = \"b\" } }", "3:29: renamed is one name"),
        ("resources = { rename = { \"file:///a\" = \"a\" } }", "3:40: a URI begins with a scheme"),
        ("templates = { rename = { \"f:{a}\" = \"g:{b}\" } }", "3:36: "),
        ("retry = { repeat = [\"\"] }", "3:21: an empty pattern fits nothing"),
        ("methods = [\"skills/list, skills/read\"]", "3:12: ',' is in no method's name"),
        ("methods = [\"tools/call\"]", "3:12: the gateway knows this method"),
        ("methods = [\"tasks/*\"]", "3:12: the gateway knows this method"),
        ("cache = { scope = \"private\" }", "3:9: missing field `ttl`"),
        ("cache = { ttl = \"0s\" }", "3:17: allowed is a time"),
        ("tools = { alow = [\"a\"] }", "3:11: unknown field `alow`"),
    ] {
        let told = told(line);
        assert!(told.starts_with(&format!("gateway.toml:{reason}")), "{line}\n{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn two_names_may_be_swapped() {
    let config = parse(&format!("{UPSTREAM}tools = {{ rename = {{ a = \"b\", b = \"a\" }} }}\n")).unwrap();
    assert_eq!(config.gateway.upstreams["a"].rules.tools.rename.len(), 2);
}

#[test]
fn bounds_and_files_are_told_with_their_place() {
    for (lines, reason) in [
        ("cache_max_bytes = 1", "1:19: allowed is 65536"),
        ("batch = { max_calls = 0 }", "1:23: allowed is 1 to 1000"),
        ("batch = { timeout = \"long\" }", "1:21: allowed is a time"),
        ("batch = { size = 1 }", "1:11: unknown field `size`"),
        ("access_log = {}", "1:14: missing field `file`"),
        ("access_log = { file = \"a\", max_bytes = 1 }", "1:40: allowed is 4096"),
        ("access_log = { file = \"\" }", "1:23: this is no path of a file"),
        ("access_log = { file = \"a\", mask = [\"[\"] }", "1:36: "),
        ("pins = \"locks/\"", "1:8: this is no path of a file"),
        ("ledger = \"${NONE}\"", "1:10: the variable NONE is not set"),
        ("pins = \"a\"\nledger = \"a\"", "2:10: this file has another use already"),
        ("ledger = \"a\"\naccess_log = { file = \"a\" }", "2:23: this file has another use already"),
        ("expose = \"some\"", "1:10: "),
    ] {
        let told = parse(&format!("{lines}\n{UPSTREAM}")).unwrap_err();
        assert!(told.starts_with(&format!("gateway.toml:{reason}")), "{lines}\n{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}
