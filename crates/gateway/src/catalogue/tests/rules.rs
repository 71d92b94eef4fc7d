//! What rules keep from clients.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Why clients cannot have it, or where it leads.
fn way(catalogue: &Catalogue, kind: Kind, name: &str) -> Option<Result<String, String>> {
    let told = |route: Route| format!("{} {}", route.upstream, route.name);
    Some(catalogue.way(kind, name)?.map(told).map_err(|withheld| withheld.why))
}

fn is_refused(catalogue: &Catalogue, kind: Kind, name: &str) -> bool {
    matches!(way(catalogue, kind, name), Some(Err(_)))
}

fn all_lists(catalogue: &Catalogue) -> Vec<String> {
    let kinds = [Kind::Tools, Kind::Prompts, Kind::Resources, Kind::Templates];
    kinds.map(|kind| catalogue.list(kind, None, true).unwrap().as_str().to_owned()).to_vec()
}

fn files() -> Given {
    given("files")
        .tools(&["read", "delete"])
        .prompts(&["greet", "secret"])
        .resources(&["doc://public", "doc://secret"])
        .templates(&["user://{id}", "admin://{id}"])
}

#[test]
fn what_is_refused_is_in_no_list_and_says_which_rule_it_was() {
    for (kind, name, key, others) in [
        (Kind::Tools, "files__delete", "delete", ["files__read"]),
        (Kind::Prompts, "files__secret", "secret", ["files__greet"]),
        (Kind::Resources, "doc://secret", "doc://secret", ["doc://public"]),
        (Kind::Templates, "admin://{id}", "admin://{id}", ["user://{id}"]),
    ] {
        let setting = crate::rules::setting(kind);
        for (allow, deny, why) in [
            (vec![], vec![key], format!("{key:?} in {setting}.deny keeps it from clients")),
            (vec!["*"], vec![key], format!("{key:?} in {setting}.deny keeps it from clients")),
            (
                vec!["read", "greet", "doc://p*", "user:*"],
                vec![],
                format!("nothing in {setting}.allow lets it through"),
            ),
        ] {
            let catalogue = merge([files().ruled(kind, &allow, &deny)]);

            assert_eq!(public(&catalogue, kind), others, "{name}");
            assert_eq!(way(&catalogue, kind, name), Some(Err(why.clone())), "{name}");
            assert_eq!(catalogue.withheld(kind, name).unwrap().upstream, "files".into());
            assert!(catalogue.route(kind, name).is_none());
            let told = catalogue.explain(name).reasons.join("; ");
            assert!(told.contains(&why), "{told}");
        }
    }
}

#[test]
fn names_that_nobody_has_stay_unknown_whatever_the_rules_say() {
    let catalogue =
        merge([files().ruled(Kind::Tools, &["read"], &["*x*"]), given("other").resources(&["a://1"])]);

    for name in ["files__x", "delete", "read", "other__delete"] {
        assert_eq!(way(&catalogue, Kind::Tools, name), None, "{name}");
    }
    assert_eq!(way(&catalogue, Kind::Resources, "nobody://1"), None);
}

#[test]
fn a_rule_gives_no_other_tool_another_name_and_no_uri_to_another_upstream() {
    let two = |deny: &[&str]| {
        let b = given("b").prefix("").tools(&["search"]).resources(&["x://1"]).templates(&["t://{id}"]);
        let b = b.ruled(Kind::Tools, &[], deny).ruled(Kind::Resources, &[], deny).ruled(
            Kind::Templates,
            &[],
            deny,
        );
        let c = given("c").prefix("").tools(&["search"]).resources(&["x://1"]).templates(&["t://{name}"]);
        merge([b, c])
    };
    let (without, with) = (two(&[]), two(&["*"]));

    let names = public(&without, Kind::Tools);
    assert_eq!(public(&with, Kind::Tools), &names[1..]);
    assert!(is_refused(&with, Kind::Tools, names[0]));
    assert_eq!(public(&with, Kind::Resources), ["mcp-c+x://1"]);
    for uri in ["x://1", "t://5", "mcp-b+x://1", "mcp-b+any://thing"] {
        assert!(is_refused(&with, Kind::Resources, uri), "{uri}");
    }
    assert_eq!(way(&with, Kind::Resources, "mcp-c+x://1"), Some(Ok("c x://1".to_owned())));
}

#[test]
fn a_refused_uri_is_refused_by_every_way_that_leads_to_it() {
    let ruled = given("a")
        .resources(&["file:///secret/key", "file:///open"])
        .templates(&["file:///{+path}"])
        .ruled(Kind::Resources, &[], &["file:///secret/*"]);
    let alone = merge([ruled.clone()]);
    let beside = merge([ruled, given("b").resources(&["file:///open"])]);

    for catalogue in [&alone, &beside] {
        for uri in [
            "file:///secret/key",
            "file:///secret/never/listed",
            "mcp-a+file:///secret/key",
            "mcp-a+file:///%73ecret/key",
            "FILE:///secret/key",
            "file:///x/../secret/key",
        ] {
            assert!(!matches!(way(catalogue, Kind::Resources, uri), Some(Ok(_))), "{uri}");
        }
        assert!(is_refused(catalogue, Kind::Resources, "file:///secret/never/listed"));
        assert!(matches!(way(catalogue, Kind::Resources, "file:///other"), Some(Ok(_))));
        assert!(catalogue.refusal("a", "file:///secret/x").is_some());
        assert!(catalogue.refusal("a", "file:///open").is_none());
        assert!(catalogue.refusal("b", "file:///secret/x").is_none());
    }
    assert!(is_refused(&beside, Kind::Resources, "mcp-a+file:///secret/key"));
}

#[test]
fn what_only_a_refused_template_leads_to_is_refused_too() {
    let catalogue = merge([given("a")
        .resources(&["db://admins/1"])
        .templates(&["db://users/{id}", "db://admins/{id}"])
        .ruled(Kind::Templates, &[], &["db://admins/*"])]);
    let allowed = merge([given("a")
        .templates(&["db://users/{id}", "db://admins/{id}", "db://{table}/{id}"])
        .ruled(Kind::Templates, &["db://{table}/*"], &["db://admins/*"])]);

    let long = format!("db://admins/2?{}", "x".repeat(9_000));
    for uri in [
        "db://admins/2",
        "DB://admins/2",
        "db://admins/%32",
        "db://users/../admins/2",
        "db://admins/2/",
        &long,
    ] {
        assert!(is_refused(&catalogue, Kind::Resources, uri), "{uri}");
    }
    for uri in ["db://users/2", "db://admins/1", "db://no/template/at/all"] {
        assert!(!is_refused(&catalogue, Kind::Resources, uri), "{uri}");
    }
    assert!(is_refused(&allowed, Kind::Resources, "db://admins/2"), "deny wins");
    assert!(!is_refused(&allowed, Kind::Resources, "db://users/2"), "another template leads there");
}

#[test]
fn what_is_refused_cannot_be_completed() {
    let catalogue =
        merge([files().ruled(Kind::Prompts, &[], &["secret"]).ruled(Kind::Templates, &[], &["admin:*"])]);
    let asked =
        |reference: Value| catalogue.reference(&Raw::of(&reference).unwrap()).map(|(way, _)| way.is_ok());

    assert_eq!(asked(json!({ "type": "ref/prompt", "name": "files__greet" })), Some(true));
    assert_eq!(asked(json!({ "type": "ref/prompt", "name": "files__secret" })), Some(false));
    assert_eq!(asked(json!({ "type": "ref/resource", "uri": "user://{id}" })), Some(true));
    assert_eq!(asked(json!({ "type": "ref/resource", "uri": "admin://{id}" })), Some(false));
    assert_eq!(asked(json!({ "type": "ref/resource", "uri": "mcp-files+admin://{id}" })), Some(false));
    assert_eq!(asked(json!({ "type": "ref/prompt", "name": "files__none" })), None);
}

#[test]
fn a_refused_template_cannot_be_completed_by_its_mark_either() {
    let operators = ["", "+", "#", ".", "/", ";", "?", "&"];
    for template in operators.map(|operator| format!("db://secret{{{operator}q,r}}")) {
        for renamed in [None, Some(template.replace("secret", "other"))] {
            let mut given = given("db").templates(&[&template, "db://open/{id}"]);
            if let Some(other) = &renamed {
                given = given.renamed(Kind::Templates, &template, other);
            }
            let catalogue = merge([given.ruled(Kind::Templates, &[], &["db://secret*"])]);
            let is_sent = |uri: &str| {
                let reference = Raw::of(&json!({ "type": "ref/resource", "uri": uri })).unwrap();
                catalogue.reference(&reference).is_some_and(|(way, _)| way.is_ok())
            };

            let other_names = template.replacen("{q", "{name", 1);
            for text in [&template, &other_names, &template.replace("db:", "DB:")] {
                assert!(!is_sent(text), "{text}");
                assert!(!is_sent(&format!("mcp-db+{text}")), "marked {text}");
            }
            assert!(is_sent("db://open/{id}"));
            assert!(is_sent("mcp-db+db://open/{id}"));
        }
    }
}

#[test]
fn a_refused_template_is_found_however_it_or_the_uri_is_spelled() {
    for (template, pattern, uris) in [
        (
            "file:///secret%20docs/{name}",
            "file:///secret*",
            &["file:///secret docs/a", "file:///secret%20docs/a"][..],
        ),
        (
            "file://localhost/priv/{name}",
            "file://localhost/*",
            &["file:///priv/a", "file:/priv/a", "file:priv/a"],
        ),
        ("DB://Secret/{id}", "DB:*", &["db://secret/1", "DB://secret/1/"]),
        ("https://HOST:443/priv/{id}", "https://HOST*", &["https://host/priv/1", "https:host/priv/1"]),
        ("db://x/{id}", "*", &["db://y", "other://z"]),
    ] {
        let catalogue = merge([given("u").templates(&[template]).ruled(Kind::Templates, &[], &[pattern])]);
        for uri in uris {
            assert!(is_refused(&catalogue, Kind::Resources, uri), "{uri} by {template}");
        }
    }
}

#[test]
fn with_allowed_templates_only_they_and_lists_lead_to_resources() {
    let catalogue = merge([given("u")
        .resources(&["doc://listed"])
        .templates(&["db://users/{id}", "db://admins/{id}"])
        .ruled(Kind::Templates, &["db://users/{id}", "note:*"], &[])]);

    for uri in ["doc://listed", "db://users/1", "db://users/a%20b", "note://1"] {
        assert!(!is_refused(&catalogue, Kind::Resources, uri), "{uri}");
    }
    for uri in ["doc://other", "db://admins/1", "db://users/1/2", "NOTE://1"] {
        assert!(is_refused(&catalogue, Kind::Resources, uri), "{uri}");
    }
}

#[test]
fn completions_may_tell_of_folders_on_the_way_to_what_is_allowed() {
    let given =
        || given("u").templates(&["file:///{+path}"]).ruled(Kind::Resources, &["file:///public/*"], &[]);
    let catalogue = merge([given()]);
    for (uri, is_told) in [
        ("file:///public", true),
        ("file:///public/a", true),
        ("file:///private", false),
        ("file:///pub", false),
    ] {
        assert_eq!(catalogue.is_on_the_way("u", uri), is_told, "{uri}");
    }
    assert!(is_refused(&catalogue, Kind::Resources, "file:///public"), "told of, but not read");
    let by_no_template = merge([given().ruled(Kind::Templates, &[], &["file:*"])]);
    assert!(!by_no_template.is_on_the_way("u", "file:///public"));
}

#[test]
fn patterns_and_renames_that_fit_nothing_are_noted_once_the_upstream_has_told() {
    let ruled = |given: Given| {
        given
            .ruled(Kind::Tools, &["read"], &["*delte*"])
            .renamed(Kind::Prompts, "gret", "hello")
            .renamed(Kind::Templates, "user://{id}", "member://{name}")
            .ruled(Kind::Resources, &[], &["user://7"])
    };

    assert_eq!(
        merge([ruled(files())]).notes(),
        [
            "\"user://{id}\" of upstream \"files\" keeps its text, whatever templates.rename says: \"member://{name}\" must have \
             the same expressions in braces as \"user://{id}\", in the same order",
            "\"*delte*\" in tools.deny fits nothing that upstream \"files\" lists",
            "upstream \"files\" lists no \"gret\" that prompts.rename could give another name",
        ]
    );
    let late = ruled(given("files").offer(|offer| offer.is_known = false));
    assert_eq!(merge([late]).notes(), Vec::<String>::new());
}

#[test]
fn what_is_withheld_is_counted() {
    let catalogue = merge([
        files().ruled(Kind::Tools, &[], &["*e*"]).ruled(Kind::Templates, &["user:*"], &[]),
        given("other").tools(&["t"]).ruled(Kind::Tools, &["t"], &[]),
    ]);
    let count = |kind, by_rules| WithheldCount { upstream: "files".to_owned(), kind, by_rules, by_pins: 0 };

    assert_eq!(catalogue.withheld_counts(), [count("tools", 2), count("templates", 1)]);
}

proptest! {
    #[test]
    fn lists_show_exactly_what_can_be_used(
        keys in prop::collection::hash_set("[ab]{1,3}", 0..6),
        allow in prop::collection::vec("[ab*]{1,3}", 0..2),
        deny in prop::collection::vec("[ab*]{1,3}", 0..2),
    ) {
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort_unstable();
        let uris: Vec<_> = keys.iter().map(|key| format!("x://{key}")).collect();
        let text = |all: &[String]| all.iter().map(|text| format!("x://{text}")).collect::<Vec<_>>();
        fn slices(all: &[String]) -> Vec<&str> { all.iter().map(String::as_str).collect() }
        let given = given("u").tools(&slices(&keys)).prompts(&slices(&keys)).resources(&slices(&uris));
        let plain = merge([given.clone()]);
        let ruled = merge([given
            .ruled(Kind::Tools, &slices(&allow), &slices(&deny))
            .ruled(Kind::Prompts, &slices(&allow), &slices(&deny))
            .ruled(Kind::Resources, &slices(&text(&allow)), &slices(&text(&deny)))]);

        for kind in [Kind::Tools, Kind::Prompts, Kind::Resources] {
            let shown = public(&ruled, kind);
            for name in public(&plain, kind) {
                let leads = ruled.way(kind, name).unwrap().is_ok();
                prop_assert_eq!(leads, shown.contains(&name), "{}", name);
            }
        }
        if allow.is_empty() && deny.is_empty() {
            prop_assert_eq!(all_lists(&plain), all_lists(&ruled));
        }
    }
}
