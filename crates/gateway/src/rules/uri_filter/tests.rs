//! One URI in many spellings.

use proptest::prelude::*;
use url::Url;

use super::*;

fn filter(allow: &[&str], deny: &[&str]) -> UriFilter {
    let owned = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    UriFilter::new(&Filter { allow: owned(allow), deny: owned(deny), ..Filter::default() })
}

fn judge<'f>(filter: &'f UriFilter, uri: &str) -> Verdict<'f> {
    filter.judge(&Address::of(uri))
}

#[test]
fn a_denied_uri_stays_denied_however_it_is_spelled() {
    let filter =
        filter(&[], &["file:///secret/*", "file:///key", "https://host/secret*", "http://127.0.0.1/*"]);

    for uri in [
        "file:///secret/a",
        "FILE:///secret/a",
        "file:///%73ecret/a",
        "file:///secret%2Fa",
        "file:///secret%5Ca",
        "file://localhost/secret/a",
        "file://LOCALHOST/secret/a",
        "file:/secret/a",
        "file:secret/a",
        "file:///secret//a",
        "file:////secret/a",
        "file:\\\\\\secret\\a",
        "file:///sec\tret/a",
        " file:///secret/a",
        "file:///key",
        "file:///key#top",
        "file:///key?x=1",
        "file:///key/",
        "file:///x/../secret/a",
        "file:///x/%2e%2e/secret/a",
        "file:///x?/../../secret/a",
        "https:host/secret",
        "https:///host/secret",
        "https://host:443/secret",
        "https://user@host/secret",
        "https%3A//host:443/secret",
        "http://0x7f.1/",
    ] {
        assert!(matches!(judge(&filter, uri), Verdict::Denied(_)), "{uri:?}");
    }
}

#[test]
fn what_servers_may_read_in_more_ways_than_one_is_refused_where_there_are_rules() {
    let long = format!("file:///open?{}", "x".repeat(9_000));
    for uri in [
        "file:///public/.\t./secret/a",
        "file:///public/.\r./secret/a",
        "file:///public/.%09./secret/a",
        "file:///public/..\t/secret/a",
        "file:///public/..%20/secret/a",
        "file:///public/..;/secret/a",
        "file:///public/%2e./secret/a",
        "file:///public/%3F/../secret",
        "file:///public/%252e%252e/secret/a",
        "file:///public/\u{2028}a",
        "file:///public/a b",
        "file://anyhost/public/a",
        "https://user:key@host/public/a",
        "https://@host/public/a",
        "https://host\\@other/public/a",
        "https://host./public/a",
        "https://ho%73t:port/public/a",
        "https://",
        &long,
    ] {
        for rules in [filter(&[], &["file:///secret/*"]), filter(&["*"], &[])] {
            assert!(judge(&rules, uri).refuses(), "{uri:?}");
        }
        assert_eq!(judge(&filter(&[], &[]), uri), Verdict::Unruled, "{uri:?}");
    }
}

#[test]
fn what_is_like_something_denied_but_is_something_else_is_let_through() {
    let rules = filter(&[], &["file:///secret/*", "file:///key"]);
    for uri in [
        "file:///secrets",
        "file:///public/a",
        "file:///public/b%20c",
        "file:///100%25",
        "file://localhost/a",
        "note://a..b/c",
        "git://repo/diff?range=main/../x",
        "web://get?u=http://a/./b",
        "postgres://user@host/table",
        "urn:isbn:1",
        "greeting",
    ] {
        assert_eq!(judge(&rules, uri), Verdict::Unruled, "{uri}");
    }
}

#[test]
fn a_pattern_is_spelled_as_one_likes() {
    for (pattern, uri) in [
        ("https://HOST:443/a*", "https://host/a/b"),
        ("file:/secret/*", "file:///secret/a"),
        ("file://localhost/secret/*", "file:///secret/a"),
        ("file:///my docs/*", "file:///my%20docs/a"),
        ("*secret*", "https://host/secret"),
        ("https://host*", "https://host"),
    ] {
        assert!(matches!(judge(&filter(&[], &[pattern]), uri), Verdict::Denied(_)), "{pattern} {uri}");
    }
}

#[test]
fn only_what_is_allowed_in_every_reading_is_allowed() {
    let rules = filter(&["file:///public/*", "file:///my%20docs/*", "git://repo/*", "https://host*"], &[]);

    for uri in [
        "file:///public/a",
        "file:///public/b%20c",
        "file:///my%20docs/a",
        "git://repo/diff?range=main/../x",
        "https://host",
        "https://host/a?b=c",
    ] {
        assert!(matches!(judge(&rules, uri), Verdict::Allowed(_)), "{uri}");
    }
    for uri in [
        "file:///other",
        "FILE:///public/a",
        "file:///public",
        "file:///public/../secret",
        "file:///public/%2e%2e/secret",
        "file:///public/?/../../secret",
        "git://repo/diff?/../../../other/x",
        "https://host@other/",
    ] {
        assert!(judge(&rules, uri).refuses(), "{uri}");
    }
}

#[test]
fn a_folder_on_the_way_to_what_is_allowed_leads_on() {
    let rules = filter(&["file:///srv/public/*", "file:///one"], &["file:///srv/public/x*"]);
    for (uri, leads_on) in [
        ("file:///srv", true),
        ("file:///srv/", true),
        ("file:///srv/public", true),
        ("file:///srv/pub", false),
        ("file:///other", false),
        ("file:///srv/../srv", false),
    ] {
        assert_eq!(rules.leads_on(uri), leads_on, "{uri}");
    }
    assert!(!filter(&[], &["file:///srv/*"]).leads_on("file:///srv"));
}

/// A URI, spelled in one of the ways that are the same to browsers, and in some that are not.
fn spelled() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec![
        "file:///",
        "file:/",
        "file:",
        "FILE:////",
        "file:\\\\\\",
        "file://localhost/",
        "file://LocalHost\\",
        "file://other/",
        "https://host/",
        "https:host/",
        "https:///host/",
        "https:\\\\HOST\\",
        "https://host:443/",
        "https://host:/",
        "https://me@host/",
        "https://me:you@host/",
        "https://@host/",
        "https://h%6fst/",
        "https://ho\u{ad}st/",
        "HTTPS:/host//",
        "https://\u{ff48}ost/",
    ]);
    let step =
        prop::sample::select(vec!["", "./", "x/../", "x/%2E%2e/", "x\\..\\", "../", "x/..;/", "%2F", "/"]);
    let folder = prop::sample::select(vec!["secret", "public", "%73ecret", "publi%63"]);
    let end = prop::sample::select(vec![
        "/a",
        "\\a",
        "/a?q",
        "/a#f",
        "/x/../a",
        "/../secret/a",
        "//a",
        "/%61",
        "/?/../../secret/a",
    ]);
    let noise = prop::collection::vec(
        (any::<prop::sample::Index>(), prop::sample::select(vec!['\t', '\r', '\n', ' '])),
        0..3,
    );
    (start, step, folder, end, noise).prop_map(|(start, step, folder, end, noise)| {
        let mut text = format!("{start}{step}{folder}{end}");
        for (place, blank) in noise {
            let places: Vec<usize> =
                text.char_indices().map(|(place, _)| place).chain([text.len()]).collect();
            text.insert(places[place.index(places.len())], blank);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, max_global_rejects: 8192, ..ProptestConfig::default() })]

    #[test]
    fn what_a_browser_maps_to_a_denied_uri_is_refused(uri in spelled()) {
        let url = Url::parse(&uri);
        prop_assume!(url.is_ok());
        let mut url = url.unwrap();
        let _ = (url.set_username(""), url.set_password(None));
        prop_assume!(["file:///secret/", "https://host/secret/"].iter().any(|start| url.as_str().starts_with(start)));

        let denied = filter(&[], &["file:///secret/*", "https://host/secret/*"]);
        prop_assert!(judge(&denied, &uri).refuses(), "{:?}", uri);
    }

    #[test]
    fn what_is_allowed_is_what_a_browser_maps_to_something_allowed(uri in spelled()) {
        let allowed = filter(&["file:///public/*", "https://host/public/*"], &[]);
        let is_allowed = !judge(&allowed, &uri).refuses();
        let url = Url::parse(&uri);

        prop_assert!(!is_allowed || url.is_ok_and(|url| url.path().starts_with("/public/")), "{:?}", uri);
    }
}
