//! Names that the rules give.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn a_new_name_stands_where_the_upstreams_stood_and_the_old_one_is_nobodys() {
    let catalogue = merge([given("files")
        .tools(&["read_text_file", "write"])
        .prompts(&["greet"])
        .renamed(Kind::Tools, "read_text_file", "read")
        .renamed(Kind::Prompts, "greet", "hello")
        .ruled(Kind::Tools, &["read_*"], &[])]);

    assert_eq!(public(&catalogue, Kind::Tools), ["files__read"]);
    assert_eq!(there(catalogue.route(Kind::Tools, "files__read")), Some(("files", "read_text_file")));
    assert!(catalogue.way(Kind::Tools, "files__read_text_file").is_none());
    let list: Value = catalogue.list(Kind::Tools, None, false).unwrap().parse().unwrap();
    assert_eq!(list["tools"][0]["name"], "files__read");
    let reference = Raw::of(&json!({ "type": "ref/prompt", "name": "files__hello" })).unwrap();
    let (route, sent) = catalogue.reference(&reference).unwrap();
    assert_eq!(there(Some(&route.unwrap())), Some(("files", "greet")));
    assert_eq!(sent.parse::<Value>().unwrap()["name"], "greet");
    let told = catalogue.explain("files__read").reasons.join("; ");
    assert_eq!(
        told,
        r#"it is listed; tools.rename calls it "read"; "read_*" in tools.allow lets it through"#
    );
    let told = catalogue.explain("files__read_text_file").reasons.join("; ");
    assert!(told.contains(r#"is called "files__read" here"#), "{told}");
}

#[test]
fn a_new_name_that_another_one_has_is_nobodys() {
    let catalogue = merge([given("a").tools(&["read", "read_text_file", "x"]).renamed(
        Kind::Tools,
        "read_text_file",
        "read",
    )]);

    let names = public(&catalogue, Kind::Tools);
    assert!(catalogue.route(Kind::Tools, "a__read").is_none());
    assert!(names[0].starts_with("a__read_") && names[1].starts_with("a__read_"), "{names:?}");
    assert_eq!(there(catalogue.route(Kind::Tools, names[0])), Some(("a", "read")));
    assert_eq!(there(catalogue.route(Kind::Tools, names[1])), Some(("a", "read_text_file")));
    assert_eq!(names[2], "a__x");
    assert_eq!(catalogue.notes().len(), 2);
}

#[test]
fn a_new_name_takes_the_place_of_one_that_the_same_upstream_refuses() {
    let replaced = given("a")
        .tools(&["read", "read_text_file"])
        .renamed(Kind::Tools, "read_text_file", "read")
        .ruled(Kind::Tools, &[], &["read"]);
    for catalogue in [merge([replaced.clone()]), merge([given("b").tools(&["read"]), replaced])] {
        assert_eq!(there(catalogue.route(Kind::Tools, "a__read")), Some(("a", "read_text_file")));
        let withheld = catalogue.withheld_there(Kind::Tools, "a", "read").unwrap();
        assert!(withheld.why.contains("deny"), "{withheld:?}");
        assert_eq!(catalogue.notes(), Vec::<String>::new());
    }

    // Of another upstream it is not known whether that was meant.
    let refusing = given("b").prefix("").tools(&["read"]).ruled(Kind::Tools, &[], &["*"]);
    let renaming = given("a").prefix("").tools(&["x"]).renamed(Kind::Tools, "x", "read");
    let catalogue = merge([refusing, renaming]);
    assert!(catalogue.route(Kind::Tools, "read").is_none());
}

#[test]
fn two_can_swap_their_names() {
    let catalogue = merge([given("a").tools(&["one", "two"]).renamed(Kind::Tools, "one", "two").renamed(
        Kind::Tools,
        "two",
        "one",
    )]);

    assert_eq!(there(catalogue.route(Kind::Tools, "a__one")), Some(("a", "two")));
    assert_eq!(there(catalogue.route(Kind::Tools, "a__two")), Some(("a", "one")));
}

#[test]
fn a_resource_has_its_new_uri_in_both_directions() {
    let renamed = given("a").resources(&["file:///readme", "file:///other"]).renamed(
        Kind::Resources,
        "file:///readme",
        "doc:readme",
    );

    for catalogue in [merge([renamed.clone()]), merge([renamed, given("b").resources(&["b://1"])])] {
        assert_eq!(public(&catalogue, Kind::Resources)[0], "doc:readme");
        assert_eq!(read(&catalogue, "doc:readme"), at("a", "file:///readme"));
        assert!(!catalogue.keeps_uris());
        assert_eq!(catalogue.public_uri("a", "file:///readme").as_deref(), Some("doc:readme"));
        assert_eq!(catalogue.public_uri("a", "file:///other"), None);
        assert_eq!(catalogue.notes(), Vec::<String>::new());
    }
}

#[test]
fn what_fits_a_renamed_template_is_told_in_its_words_in_both_directions() {
    let renamed = given("a").resources(&["file:///listed"]).templates(&["file:///{+path}"]).renamed(
        Kind::Templates,
        "file:///{+path}",
        "docs:{+path}",
    );

    for catalogue in [merge([renamed.clone()]), merge([renamed, given("b").templates(&["b://{id}"])])] {
        assert_eq!(public(&catalogue, Kind::Templates)[0], "docs:{+path}");
        assert_eq!(read(&catalogue, "docs:a/b.txt"), at("a", "file:///a/b.txt"));
        assert_eq!(catalogue.public_uri("a", "file:///a/b.txt").as_deref(), Some("docs:a/b.txt"));
        assert_eq!(catalogue.public_uri("a", "file:///listed"), None, "clients know it by this");
        let reference = Raw::of(&json!({ "type": "ref/resource", "uri": "docs:{+path}" })).unwrap();
        let (route, sent) = catalogue.reference(&reference).unwrap();
        assert_eq!(there(Some(&route.unwrap())), Some(("a", "file:///{+path}")));
        assert_eq!(sent.parse::<Value>().unwrap()["uri"], "file:///{+path}");
    }
}

#[test]
fn new_uris_take_nobodys() {
    let catalogue = merge([
        given("a")
            .resources(&["a://1"])
            .templates(&["a://t/{x}"])
            .renamed(Kind::Resources, "a://1", "b://1")
            .renamed(Kind::Templates, "a://t/{x}", "b://t/{x}"),
        given("b").resources(&["b://1"]).templates(&["b://t/{x}"]),
    ]);

    assert_eq!(read(&catalogue, "b://1"), at("b", "b://1"));
    assert_eq!(read(&catalogue, "b://t/5"), at("b", "b://t/5"));
    assert_eq!(read(&catalogue, "mcp-a+b://1"), at("a", "a://1"));
    assert_eq!(read(&catalogue, "mcp-a+b://t/5"), at("a", "a://t/5"));
    assert_eq!(catalogue.public_uri("a", "a://1").as_deref(), Some("mcp-a+b://1"));
    assert_eq!(catalogue.public_uri("a", "a://t/5").as_deref(), Some("mcp-a+b://t/5"));
    assert_eq!(catalogue.notes().len(), 2);
}

#[test]
fn rules_speak_of_uris_as_they_are_at_the_upstream_however_clients_call_them() {
    let catalogue = merge([given("a")
        .templates(&["file:///{+path}"])
        .renamed(Kind::Templates, "file:///{+path}", "docs:{+path}")
        .ruled(Kind::Resources, &[], &["file:///secret/*"])]);

    assert!(catalogue.way(Kind::Resources, "docs:secret/key").unwrap().is_err());
    assert!(catalogue.way(Kind::Resources, "docs:%73ecret/key").unwrap().is_err());
    assert!(catalogue.way(Kind::Resources, "docs:open").unwrap().is_ok());
}

proptest! {
    #[test]
    fn every_resource_has_one_uri_of_its_own_that_leads_to_it_and_back(
        all in prop::collection::vec(
            (prop::collection::hash_set("[ab]://[ab]{0,1}", 0..4), prop::collection::hash_map("[ab]://[ab]{0,1}", "[ab]://[ab]{0,1}", 0..3)),
            1..4,
        ),
    ) {
        let catalogue = merge(all.iter().enumerate().map(|(place, (uris, renames))| {
            let uris: Vec<_> = uris.iter().map(String::as_str).collect();
            let given = given(&format!("u{place}")).resources(&uris);
            renames.iter().fold(given, |given, (from, to)| given.renamed(Kind::Resources, from, to))
        }));

        let shown = public(&catalogue, Kind::Resources);
        let count: usize = all.iter().map(|(uris, _)| uris.len()).sum();
        prop_assert_eq!(shown.iter().collect::<HashSet<_>>().len(), count);
        for (place, (uris, _)) in all.iter().enumerate() {
            let upstream = format!("u{place}");
            for uri in uris {
                let known = catalogue.public_uri(&upstream, uri).unwrap_or_else(|| uri.clone());
                prop_assert_eq!(read(&catalogue, &known), at(&upstream, uri));
                prop_assert!(shown.contains(&known.as_str()), "{}", known);
            }
        }
    }
}
