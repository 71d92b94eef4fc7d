use std::time::Duration;

use serde_json::json;

use super::*;

fn many(count: usize) -> Given {
    let names: Vec<String> = (0..count).map(|number| format!("t{number:04}")).collect();
    given("a").tools(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// All names, page by page.
fn all_pages(catalogue: &Catalogue, is_modern: bool) -> Vec<Vec<String>> {
    let (mut pages, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page: Value = catalogue.list(Kind::Tools, cursor.as_deref(), is_modern).unwrap().parse().unwrap();
        pages.push(names(&page));
        let Some(next) = page["nextCursor"].as_str() else { return pages };
        cursor = Some(next.to_owned());
    }
}

fn names(page: &Value) -> Vec<String> {
    page["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn next(catalogue: &Catalogue) -> String {
    let page: Value = catalogue.list(Kind::Tools, None, true).unwrap().parse().unwrap();
    page["nextCursor"].as_str().unwrap().to_owned()
}

#[test]
fn an_item_keeps_every_byte_but_its_name() {
    let text = r#"{"vendor":{"z":1.50,"a":[ 1, 2 ]},"name":"t","title":"T \u00e9","execution":{"taskSupport":"optional"},"big":12345678901234567890123}"#;
    let item = Item { key: "t".to_owned(), raw: Raw::read(text).unwrap() };
    let with = |prefix: &str| given("a").prefix(prefix).offer(|offer| offer.tools.items = vec![item.clone()]);
    let list = |given| merge([given]).list(Kind::Tools, None, false).unwrap();

    assert_eq!(list(with("")).as_str(), format!(r#"{{"tools":[{text}]}}"#));
    let renamed = text.replace(r#""name":"t""#, r#""name":"a__t""#);
    assert_eq!(list(with("a")).as_str(), format!(r#"{{"tools":[{renamed}]}}"#));
}

#[test]
fn an_empty_list_is_a_list() {
    let catalogue = merge([]);

    assert_eq!(catalogue.list(Kind::Templates, None, false).unwrap().as_str(), r#"{"resourceTemplates":[]}"#);
    assert_eq!(
        catalogue.list(Kind::Resources, None, true).unwrap().as_str(),
        r#"{"resultType":"complete","resources":[],"ttlMs":0,"cacheScope":"private"}"#
    );
}

#[test]
fn two_hundred_tools_are_one_page_that_is_made_once() {
    let catalogue = merge([many(200)]);

    let first = catalogue.list(Kind::Tools, None, true).unwrap();
    let second = catalogue.list(Kind::Tools, None, true).unwrap();

    assert_eq!(all_pages(&catalogue, true).len(), 1);
    assert_eq!(
        first.as_bytes().as_ptr(),
        second.as_bytes().as_ptr(),
        "it is the same text in the same place"
    );
}

#[test]
fn longer_lists_come_page_by_page() {
    let catalogue = merge([many(401)]);

    for is_modern in [false, true] {
        let pages = all_pages(&catalogue, is_modern);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [200, 200, 1]);
        assert_eq!(pages.concat(), public(&catalogue, Kind::Tools));
    }
}

#[test]
fn a_page_is_no_larger_than_its_bound_unless_one_item_is() {
    let sized = |name: &str, size: usize| json!({ "name": name, "description": "d".repeat(size) });
    let tools = [sized("a", 200 << 10), sized("b", 50 << 10), sized("c", 10 << 10), sized("d", 300 << 10)];
    let catalogue = merge([given("s").offer(|offer| offer.tools.items = items("name", &tools))]);

    let sizes: Vec<usize> = all_pages(&catalogue, true).iter().map(Vec::len).collect();

    assert_eq!(sizes, [2, 1, 1]);
}

#[test]
fn a_cursor_stays_good_while_other_items_come_and_go() {
    let before = merge([many(300)]);
    let cursor = next(&before);
    let after = merge([many(300), given("0").tools(&["new"]), given("z").tools(&["new"])]);

    let rest: Value = after.list(Kind::Tools, Some(&cursor), true).unwrap().parse().unwrap();

    let rest = names(&rest);
    assert_eq!(rest.first().unwrap(), "a__t0200", "nothing is left out and nothing comes twice");
    assert_eq!(rest.last().unwrap(), "z__new");
}

#[test]
fn a_cursor_of_another_list_or_of_an_item_that_is_gone_is_refused() {
    let catalogue = merge([many(300)]);
    let cursor = next(&catalogue);

    assert_eq!(catalogue.list(Kind::Prompts, Some(&cursor), true), Err(UnknownCursor));
    assert_eq!(catalogue.list(Kind::Tools, Some("1"), true), Err(UnknownCursor));
    assert_eq!(merge([many(100)]).list(Kind::Tools, Some(&cursor), true), Err(UnknownCursor));
}

#[test]
fn a_cursor_at_what_is_the_end_by_now_gives_an_empty_page() {
    let cursor = next(&merge([many(300)]));

    let page: Value = merge([many(200)]).list(Kind::Tools, Some(&cursor), false).unwrap().parse().unwrap();

    assert_eq!(page, json!({ "tools": [] }));
}

#[test]
fn lists_may_be_kept_as_long_as_the_strictest_upstream_says() {
    let kept = |name: &str, seconds: Option<u64>, is_private| {
        given(name).tools(&["t"]).offer(|offer| {
            offer.tools.time_to_live = seconds.map(Duration::from_secs);
            offer.tools.is_private = is_private;
        })
    };
    let hints = |given: &[Given]| {
        let page: Value = merge(given.to_vec()).list(Kind::Tools, None, true).unwrap().parse().unwrap();
        (page["ttlMs"].as_u64().unwrap(), page["cacheScope"].as_str().unwrap().to_owned())
    };
    let (short, long) = (kept("a", Some(5), false), kept("b", Some(60), false));
    let public = |seconds: u64| (seconds * 1000, "public".to_owned());
    let private = |seconds: u64| (seconds * 1000, "private".to_owned());

    assert_eq!(hints(&[short.clone(), long.clone()]), public(5));
    assert_eq!(hints(&[short.clone(), kept("c", Some(60), true)]), private(5));
    assert_eq!(hints(&[long.clone(), kept("c", None, false)]), private(0), "one says nothing");
    assert_eq!(hints(&[long.clone(), given("c")]), public(60), "one has no tools");
    let unknown = given("c").offer(|offer| offer.is_known = false);
    assert_eq!(hints(&[long, unknown]), private(0), "one is not known yet");
}

#[test]
fn only_lists_that_clients_see_differently_have_changed() {
    let before = || given("a").tools(&["t"]).resources(&["x://1"]);

    assert_eq!(merge([before()]).changed(&merge([before()])), []);
    assert_eq!(merge([before()]).changed(&merge([before().tools(&["t", "u"])])), [Kind::Tools]);
    let described = items("uri", &[json!({ "uri": "x://1", "name": "other" })]);
    let after = before().offer(|offer| offer.resources.items = described);
    assert_eq!(merge([before()]).changed(&merge([after])), [Kind::Resources]);
    assert_eq!(merge([before()]).changed(&merge([before().prefix("b")])), [Kind::Tools]);
}
