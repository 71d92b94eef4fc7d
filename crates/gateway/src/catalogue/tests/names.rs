use std::collections::HashSet;

use json_rpc::Members;
use proptest::{prelude::*, sample::subsequence};
use serde_json::json;

use super::*;

#[test]
fn names_are_prefix_separator_and_name() {
    let catalogue = merge([
        given("weather").tools(&["forecast", "admin.list", "user/get"]),
        given("files").prefix("fs").tools(&["read"]).prompts(&["ask me"]),
        given("plain").prefix("").tools(&["echo", "odd name"]),
    ]);

    assert_eq!(
        public(&catalogue, Kind::Tools),
        ["fs__read", "echo", "odd name", "weather__forecast", "weather__admin.list", "weather__user/get"]
    );
    assert_eq!(public(&catalogue, Kind::Prompts), ["fs__ask me"]);
    assert_eq!(there(catalogue.route(Kind::Tools, "fs__read")), Some(("files", "read")));
    assert!(catalogue.route(Kind::Tools, "read").is_none());
    assert!(catalogue.route(Kind::Prompts, "fs__read").is_none());
    assert_eq!(catalogue.notes(), Vec::<String>::new());
}

#[test]
fn overlong_and_odd_names_get_a_hash_that_is_always_the_same() {
    let long = "x".repeat(70);
    let catalogue = merge([given("weather").tools(&[&long, "für heute"])]);

    assert_eq!(
        public(&catalogue, Kind::Tools),
        [&format!("weather__{}_df554df7", "x".repeat(46)), "weather__f_r_heute_90843b7b"]
    );
    assert_eq!(
        there(catalogue.route(Kind::Tools, "weather__f_r_heute_90843b7b")),
        Some(("weather", "für heute"))
    );
    assert_eq!(catalogue.notes().len(), 2);
}

#[test]
fn a_name_that_two_have_is_nobodys() {
    let both = || [given("a").prefix("").tools(&["search", "one"]), given("b").prefix("").tools(&["search"])];

    let catalogue = merge(both());

    let names = public(&catalogue, Kind::Tools);
    assert!(catalogue.route(Kind::Tools, "search").is_none());
    assert!(names[0].starts_with("search_") && names[2].starts_with("search_"), "{names:?}");
    assert_eq!(there(catalogue.route(Kind::Tools, names[0])), Some(("a", "search")));
    assert_eq!(there(catalogue.route(Kind::Tools, names[2])), Some(("b", "search")));
    assert_eq!(names[1], "one");
    assert_eq!(catalogue.notes().len(), 2);
    let reasons = catalogue.explain("search").reasons.join("; ");
    assert!(reasons.contains(names[0]) && reasons.contains(names[2]), "{reasons}");
}

#[test]
fn an_upstream_cannot_take_names_that_look_like_anothers_even_before_that_one_is_known() {
    let other = given("a__b").offer(|offer| offer.is_known = false);
    let plain = given("evil").prefix("").tools(&["a__b__pay", "own"]);

    let catalogue = merge([given("a").tools(&["b__pay"]), other, plain]);

    assert!(catalogue.route(Kind::Tools, "a__b__pay").is_none());
    let names = public(&catalogue, Kind::Tools);
    assert!(names[0].starts_with("a__b__pay_") && names[1].starts_with("a__b__pay_"), "{names:?}");
    assert_eq!(names[2], "own");
}

#[test]
fn what_looks_like_a_changed_name_gives_way_to_it() {
    let long = "x".repeat(70);
    let changed = public(&merge([given("w").tools(&[&long])]), Kind::Tools)[0].to_owned();
    let copied = changed.strip_prefix("w__").unwrap();

    let catalogue = merge([given("w").tools(&[copied, &long])]);

    assert_eq!(there(catalogue.route(Kind::Tools, &changed)), Some(("w", long.as_str())));
    assert_eq!(public(&catalogue, Kind::Tools).len(), 2);
}

#[test]
fn prefixes_have_only_what_names_may_have() {
    let catalogue = merge([given("Brave Search").tools(&["web"])]);

    assert_eq!(public(&catalogue, Kind::Tools), ["Brave_Search__web"]);
    assert_eq!(catalogue.notes().len(), 1);
}

#[test]
fn what_is_listed_twice_or_cannot_be_read_is_left_out() {
    let broken =
        Item { key: "broken".to_owned(), raw: Raw::read(r#"{"name":"broken","name":"b"}"#).unwrap() };

    let catalogue = merge([given("a").tools(&["t", "t"]).offer(|offer| offer.tools.items.push(broken))]);

    assert_eq!(public(&catalogue, Kind::Tools), ["a__t"]);
    assert_eq!(catalogue.notes().len(), 2);
}

#[test]
fn tools_bring_along_what_matters_on_the_way_to_them() {
    let tool = json!({
        "name": "t", "annotations": { "readOnlyHint": true },
        "inputSchema": { "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } },
    });
    let catalogue = merge([given("a").offer(|offer| offer.tools.items = items("name", &[tool]))]);

    let route = catalogue.route(Kind::Tools, "a__t").unwrap();

    assert_eq!(route.hints, Hints { read_only: true, ..Hints::default() });
    assert_eq!(route.mirrored[0].header, "Region");
}

/// A few upstreams whose names are likely to be in each other's way.
fn upstreams() -> impl Strategy<Value = Vec<Given>> {
    let name = prop_oneof![
        4 => "[ab_]{1,4}",
        1 => "[a-c]{60,70}",
        1 => "\\PC{0,5}",
        1 => Just("a__b".to_owned()),
    ];
    let names = prop::collection::hash_set(name, 0..6);
    let prefixes = prop::sample::select(vec!["", "a", "a__b", "b", "ä"]);
    prop::collection::vec((prefixes, names.clone(), names), 0..5).prop_map(|all| {
        let given = |(place, (prefix, tools, prompts)): (usize, (&str, HashSet<String>, HashSet<String>))| {
            let (mut tools, mut prompts): (Vec<_>, Vec<_>) =
                (tools.iter().map(String::as_str).collect(), prompts.iter().map(String::as_str).collect());
            tools.sort_unstable();
            prompts.sort_unstable();
            given(&format!("u{place}")).prefix(prefix).tools(&tools).prompts(&prompts)
        };
        all.into_iter().enumerate().map(given).collect()
    })
}

proptest! {
    #[test]
    fn every_item_has_one_name_of_its_own_that_leads_to_it(given in upstreams()) {
        let catalogue = merge(given.clone());

        for kind in [Kind::Tools, Kind::Prompts] {
            let names = public(&catalogue, kind);
            let all: usize = given.iter().map(|one| one.offer.listing(kind).items.len()).sum();
            prop_assert_eq!(names.len(), all);
            prop_assert_eq!(names.iter().collect::<HashSet<_>>().len(), all);
            for entry in catalogue.shelf(kind).entries() {
                prop_assert!(entry.name.chars().count() <= 64);
                let route = catalogue.route(kind, &entry.name).unwrap();
                let home = given.iter().find(|one| one.upstream == *route.upstream).unwrap();
                let item = home.offer.listing(kind).items.iter().find(|item| item.key == *route.name).unwrap();
                let mut members = Members::of(&entry.raw).unwrap();
                prop_assert_eq!(members.get("name").unwrap().parse::<String>().unwrap(), &*entry.name);
                members.set("name", Raw::text(&item.key));
                prop_assert_eq!(&members.to_raw(), &item.raw);
            }
        }
    }

    #[test]
    fn the_order_in_which_upstreams_come_does_not_matter(
        (given, shuffled) in upstreams().prop_flat_map(|given| (Just(given.clone()), Just(given).prop_shuffle())),
    ) {
        let (one, other) = (merge(given), merge(shuffled));

        prop_assert_eq!(one.changed(&other), []);
        prop_assert_eq!(one.notes(), other.notes());
        prop_assert_eq!(one.list(Kind::Tools, None, true), other.list(Kind::Tools, None, true));
    }

    #[test]
    fn a_name_never_leads_elsewhere_because_another_upstream_came(
        (all, some) in upstreams().prop_flat_map(|all| (Just(all.clone()), 0..=all.len()).prop_flat_map(
            |(all, count)| (Just(all.clone()), subsequence(all, count)))),
    ) {
        // Upstreams that have not told anything yet are there nevertheless: they are configured.
        let is_there = |one: &Given| some.iter().any(|other| other.upstream == one.upstream);
        let early = all.iter().map(|one| {
            if is_there(one) { one.clone() } else { given(&one.upstream).prefix(&one.prefix) }
        });
        let (early, late) = (merge(early), merge(all.clone()));

        for kind in [Kind::Tools, Kind::Prompts] {
            for name in public(&early, kind) {
                if let Some(late) = late.route(kind, name) {
                    prop_assert_eq!(there(early.route(kind, name)), there(Some(late)));
                }
            }
        }
    }
}
