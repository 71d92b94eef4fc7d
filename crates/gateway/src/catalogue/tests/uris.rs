use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn uris_stay_as_they_are_and_lead_to_their_upstream() {
    let catalogue = merge([
        given("a").resources(&["info://a"]).templates(&["db://{table}"]),
        given("b").resources(&["info://b"]).templates(&["file:///{+path}"]),
    ]);

    assert_eq!(public(&catalogue, Kind::Resources), ["info://a", "info://b"]);
    assert_eq!(read(&catalogue, "info://b"), at("b", "info://b"));
    assert_eq!(read(&catalogue, "db://users"), at("a", "db://users"));
    assert_eq!(read(&catalogue, "file:///etc/hosts"), at("b", "file:///etc/hosts"));
    assert_eq!(read(&catalogue, "DB://users/not/listed"), at("a", "DB://users/not/listed"), "only a has db:");
    assert_eq!(read(&catalogue, "info://c"), None, "both have info:");
    assert_eq!(read(&catalogue, "other://c"), None);
}

#[test]
fn the_more_particular_template_counts() {
    let catalogue =
        merge([given("a").templates(&["file:///{+path}"]), given("b").templates(&["file:///docs/{name}"])]);

    assert_eq!(read(&catalogue, "file:///docs/x"), at("b", "file:///docs/x"));
    assert_eq!(read(&catalogue, "file:///src/x"), at("a", "file:///src/x"));
}

#[test]
fn all_uris_go_to_the_only_upstream_with_resources() {
    let can = Raw::of(&json!({ "resources": {} })).unwrap();
    let catalogue =
        merge([given("a").offer(|offer| offer.capabilities = Some(can)), given("b").tools(&["t"])]);

    assert_eq!(read(&catalogue, "any://thing"), at("a", "any://thing"));
    assert!(catalogue.keeps_uris());
    assert_eq!(catalogue.public_uri("a", "any://thing"), None);
}

#[test]
fn what_two_upstreams_have_is_the_first_ones_and_the_other_gets_a_mark() {
    let catalogue = merge([
        given("beta").resources(&["server://info"]).templates(&["x://{name}"]),
        given("alpha").resources(&["server://info"]).templates(&["x://{id}"]),
    ]);

    assert_eq!(public(&catalogue, Kind::Resources), ["server://info", "mcp-beta+server://info"]);
    assert_eq!(public(&catalogue, Kind::Templates), ["x://{id}", "mcp-beta+x://{name}"]);
    assert_eq!(read(&catalogue, "server://info"), at("alpha", "server://info"));
    assert_eq!(read(&catalogue, "mcp-beta+server://info"), at("beta", "server://info"));
    assert_eq!(read(&catalogue, "mcp-beta+x://5"), at("beta", "x://5"));
    assert_eq!(catalogue.notes().len(), 2);
    let list: Value = catalogue.list(Kind::Resources, None, false).unwrap().parse().unwrap();
    assert_eq!(list["resources"][1], json!({ "uri": "mcp-beta+server://info", "name": "n" }));
}

#[test]
fn a_uri_in_an_answer_is_changed_only_if_it_would_lead_elsewhere() {
    let catalogue = merge([
        given("a").resources(&["server://info", "a://1"]).templates(&["file:///{+path}"]),
        given("b").resources(&["server://info", "b://1"]),
        given("c").tools(&["t"]),
    ]);

    assert!(!catalogue.keeps_uris());
    assert_eq!(catalogue.public_uri("a", "server://info"), None);
    assert_eq!(catalogue.public_uri("b", "server://info").as_deref(), Some("mcp-b+server://info"));
    assert_eq!(catalogue.public_uri("b", "b://never/listed"), None);
    assert_eq!(catalogue.public_uri("b", "file:///x").as_deref(), Some("mcp-b+file:///x"));
    assert_eq!(catalogue.public_uri("b", "new://x").as_deref(), Some("mcp-b+new://x"), "or nowhere");
    assert_eq!(
        catalogue.public_uri("c", "file:///x"),
        None,
        "it has no resources, nobody would find it there"
    );
}

#[test]
fn marks_can_be_told_apart_whatever_upstreams_are_called() {
    let upstreams = ["A b", "a-b", "a b", "ä"];
    let catalogue = merge(upstreams.map(|name| given(name).resources(&["s://1"])));

    for uri in public(&catalogue, Kind::Resources) {
        let entry = catalogue.shelf(Kind::Resources).get(uri).unwrap();
        assert_eq!(read(&catalogue, uri), at(&entry.route.upstream, "s://1"));
        let (scheme, _) = uri.split_once(':').unwrap();
        let is_scheme =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
        assert!(scheme.chars().all(is_scheme), "{uri} has a scheme");
    }
    assert_eq!(public(&catalogue, Kind::Resources).len(), upstreams.len());
}

#[test]
fn an_upstream_cannot_take_anothers_mark() {
    let catalogue =
        merge([given("a").resources(&["mcp-b+s://1", "s://1"]), given("b").resources(&["s://1"])]);

    let marked = public(&catalogue, Kind::Resources)[2];

    assert_eq!(read(&catalogue, "mcp-b+s://1"), at("a", "mcp-b+s://1"));
    assert_eq!(read(&catalogue, marked), at("b", "s://1"));
    assert_ne!(marked, "mcp-b+s://1");
}

#[test]
fn a_tool_points_to_the_page_of_its_own_upstream() {
    let ui = json!({ "name": "t", "_meta": { "v": 1, "ui": { "resourceUri": "ui://app", "more": true }, "ui/resourceUri": "ui://app" } });
    let with_ui = |name: &str| {
        given(name)
            .resources(&["ui://app"])
            .offer(|offer| offer.tools.items = items("name", std::slice::from_ref(&ui)))
    };

    let list: Value =
        merge([with_ui("a"), with_ui("b")]).list(Kind::Tools, None, false).unwrap().parse().unwrap();

    assert_eq!(list["tools"][0]["_meta"], ui["_meta"]);
    let other = json!({ "v": 1, "ui": { "resourceUri": "mcp-b+ui://app", "more": true }, "ui/resourceUri": "mcp-b+ui://app" });
    assert_eq!(list["tools"][1]["_meta"], other);
}

proptest! {
    #[test]
    fn every_uri_that_an_upstream_speaks_of_leads_back_to_it(
        all in prop::collection::vec(
            (prop::collection::vec("[ab]://[ab]{0,2}", 0..4), prop::collection::vec("[ab]://(\\{[xy]\\}|a|b){1,2}", 0..3)),
            2..4,
        ),
        spoken in "[abc]://[ab]{0,2}",
    ) {
        let catalogue = merge(all.iter().enumerate().map(|(place, (resources, templates))| {
            given(&format!("u{place}"))
                .resources(&resources.iter().map(String::as_str).collect::<Vec<_>>())
                .templates(&templates.iter().map(String::as_str).collect::<Vec<_>>())
        }));

        for (place, (resources, templates)) in all.iter().enumerate() {
            let upstream = format!("u{place}");
            if resources.is_empty() && templates.is_empty() {
                continue;
            }
            for uri in resources.iter().chain([&spoken]) {
                let known = catalogue.public_uri(&upstream, uri).unwrap_or_else(|| uri.clone());
                prop_assert_eq!(read(&catalogue, &known), at(&upstream, uri));
            }
        }
    }
}
