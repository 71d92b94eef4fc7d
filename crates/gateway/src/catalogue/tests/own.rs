//! The gateway's own tools among those of upstreams.

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::{
    errors::{self, Answer},
    own::{GATEWAY, OwnTool, Within},
};

/// It is as harmless as the tool that it calls.
struct Calls {
    name: &'static str,
    calls: &'static str,
}

#[async_trait]
impl OwnTool for Calls {
    fn name(&self) -> &str {
        self.name
    }

    fn definition(&self, hints: &dyn Fn(&str) -> Option<Hints>) -> (Raw, Hints) {
        let hints = hints(self.calls).unwrap_or_default();
        (Raw::of(&json!({ "name": self.name, "harmless": hints.read_only })).unwrap(), hints)
    }

    async fn call(&self, _within: &Within, _arguments: Members) -> Answer {
        Err(errors::stopped().into())
    }
}

fn own(all: &[(&'static str, &'static str)]) -> OwnTools {
    all.iter().map(|&(name, calls)| Arc::new(Calls { name, calls }) as Arc<dyn OwnTool>).collect()
}

fn listed(catalogue: &Catalogue) -> Value {
    catalogue.list(Kind::Tools, None, false).unwrap().parse().unwrap()
}

fn reads(name: &str) -> Given {
    let tool = json!({ "name": "read", "annotations": { "readOnlyHint": true } });
    given(name).offer(|offer| offer.tools.items = items("name", &[tool, json!({ "name": "write" })]))
}

#[test]
fn own_tools_come_first_and_know_what_they_call() {
    let own = own(&[("chain", "a__read"), ("outer", "chain"), ("other", "a__write"), ("lost", "a__none")]);

    let catalogue = merge_with([reads("a")], &own, Expose::All);

    let tool = |name: &str, harmless: bool| json!({ "name": name, "harmless": harmless });
    let list = listed(&catalogue);
    assert_eq!(
        list["tools"].as_array().unwrap()[..4],
        [tool("chain", true), tool("outer", true), tool("other", false), tool("lost", false)]
    );
    assert_eq!(public(&catalogue, Kind::Tools)[4..], ["a__read", "a__write"]);
    assert_eq!(catalogue.tools().map(|(name, _)| name).collect::<Vec<_>>(), ["a__read", "a__write"]);
    assert_eq!(catalogue.own_tools().count(), 4);
    assert_eq!(there(catalogue.route(Kind::Tools, "chain")), Some((GATEWAY, "chain")));
    assert_eq!(catalogue.explain("chain").upstream, None);
}

#[test]
fn a_tool_that_is_refused_tells_own_tools_nothing() {
    let ruled = reads("a").ruled(Kind::Tools, &[], &["read"]);

    let catalogue = merge_with([ruled], &own(&[("chain", "a__read")]), Expose::All);

    assert_eq!(listed(&catalogue)["tools"][0]["harmless"], false);
}

#[test]
fn no_tool_of_an_upstream_has_the_name_of_an_own_one() {
    let plain = given("a").prefix("").tools(&["batch", "free"]).renamed(Kind::Tools, "free", "chain");

    let catalogue = merge_with([plain], &own(&[("batch", ""), ("chain", "")]), Expose::All);

    let names = public(&catalogue, Kind::Tools);
    assert_eq!(names[..2], ["batch", "chain"]);
    assert!(names[2].starts_with("batch_") && names[3].starts_with("chain_"), "{names:?}");
    assert_eq!(there(catalogue.route(Kind::Tools, "batch")), Some((GATEWAY, "batch")));
    assert_eq!(there(catalogue.route(Kind::Tools, names[2])), Some(("a", "batch")));
    assert!(
        catalogue.notes()[0].contains("a tool of the gateway itself has its name"),
        "{:?}",
        catalogue.notes()
    );
}

#[test]
fn with_search_two_tools_are_listed_and_all_are_there() {
    let own = own(&[("batch", ""), ("call_tool", ""), ("find_tool", "")]);

    let catalogue = merge_with([reads("a")], &own, Expose::Search);

    let list = listed(&catalogue);
    let names: Vec<_> = list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names, [Some("find_tool"), Some("call_tool")]);
    assert!(list.get("nextCursor").is_none());
    assert_eq!(there(catalogue.route(Kind::Tools, "a__read")), Some(("a", "read")));
    assert_eq!(catalogue.tools().count(), 2);
    let without = merge_with([], &own, Expose::Search);
    assert_eq!(without.changed(&catalogue), [], "clients see the same");
    let told = catalogue.explain("a__read").reasons.join("; ");
    assert!(told.contains("find_tool finds it"), "{told}");
}

#[test]
fn tools_are_announced_when_only_the_gateway_has_some() {
    let prompts = Raw::of(&json!({ "prompts": {} })).unwrap();
    let only_prompts = || [given("a").offer(|offer| offer.capabilities = Some(prompts.clone()))];
    let can = |catalogue: &Catalogue, is_modern| catalogue.capabilities(is_modern).parse::<Value>().unwrap();

    for is_modern in [false, true] {
        let with = merge_with(only_prompts(), &own(&[("chain", "")]), Expose::All);
        assert_eq!(can(&with, is_modern)["tools"], json!({ "listChanged": true }));
        let without = merge(only_prompts());
        assert_eq!(can(&without, is_modern).get("tools"), None);
    }
}
