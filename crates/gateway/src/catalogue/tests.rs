//! The catalogue as a whole.

mod lists;
mod names;
mod own;
mod renames;
mod rules;
mod uris;

use serde_json::{Value, json};

use super::*;
use crate::Filter;

/// What one upstream offers, in the making.
#[derive(Debug, Clone)]
pub(super) struct Given {
    upstream: String,
    prefix: String,
    offer: Offer,
    rules: Rules,
}

pub(super) fn given(upstream: &str) -> Given {
    let offer = Offer { is_known: true, ..Offer::default() };
    let rules = Rules::default();
    Given { upstream: upstream.to_owned(), prefix: upstream.to_owned(), offer, rules }
}

pub(super) fn items(member: &str, values: &[Value]) -> Vec<Item> {
    let item = |value: &Value| Item {
        key: value[member].as_str().unwrap().to_owned(),
        raw: Raw::of(value).unwrap(),
    };
    values.iter().map(item).collect()
}

impl Given {
    pub(super) fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    pub(super) fn offer(mut self, change: impl FnOnce(&mut Offer)) -> Self {
        change(&mut self.offer);
        self
    }

    pub(super) fn tools(self, names: &[&str]) -> Self {
        let values: Vec<_> = names.iter().map(|name| json!({ "name": name, "inputSchema": {} })).collect();
        self.offer(|offer| offer.tools.items = items("name", &values))
    }

    pub(super) fn prompts(self, names: &[&str]) -> Self {
        let values: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        self.offer(|offer| offer.prompts.items = items("name", &values))
    }

    pub(super) fn resources(self, uris: &[&str]) -> Self {
        let values: Vec<_> = uris.iter().map(|uri| json!({ "uri": uri, "name": "n" })).collect();
        self.offer(|offer| offer.resources.items = items("uri", &values))
    }

    pub(super) fn templates(self, templates: &[&str]) -> Self {
        let values: Vec<_> = templates.iter().map(|uri| json!({ "uriTemplate": uri, "name": "n" })).collect();
        self.offer(|offer| offer.templates.items = items("uriTemplate", &values))
    }

    /// With patterns for this kind.
    pub(super) fn ruled(self, kind: Kind, allow: &[&str], deny: &[&str]) -> Self {
        let owned = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        self.filtered(kind, |filter| (filter.allow, filter.deny) = (owned(allow), owned(deny)))
    }

    /// With another name for something of this kind.
    pub(super) fn renamed(self, kind: Kind, from: &str, to: &str) -> Self {
        self.filtered(kind, |filter| drop(filter.rename.insert(from.to_owned(), to.to_owned())))
    }

    fn filtered(mut self, kind: Kind, change: impl FnOnce(&mut Filter)) -> Self {
        change(match kind {
            Kind::Tools => &mut self.rules.tools,
            Kind::Prompts => &mut self.rules.prompts,
            Kind::Resources => &mut self.rules.resources,
            Kind::Templates => &mut self.rules.templates,
        });
        self
    }

    fn part(self) -> Part {
        let (offer, rules) = (Arc::new(self.offer), Arc::new(self.rules));
        Part { upstream: self.upstream.into(), prefix: self.prefix, offer, others: Vec::new(), rules }
    }
}

pub(super) fn merge(given: impl IntoIterator<Item = Given>) -> Catalogue {
    merge_with(given, &OwnTools::default(), Expose::All)
}

pub(super) fn merge_with(
    given: impl IntoIterator<Item = Given>,
    own: &OwnTools,
    expose: Expose,
) -> Catalogue {
    let parts: Vec<Part> = given.into_iter().map(Given::part).collect();
    Catalogue::merge(&parts, &Manner { separator: "__", own, expose, pins: None })
}

/// The public names of all items of a kind.
pub(super) fn public(catalogue: &Catalogue, kind: Kind) -> Vec<&str> {
    catalogue.shelf(kind).entries().iter().map(|entry| &*entry.name).collect()
}

/// Upstream and name there.
pub(super) fn there(route: Option<&Route>) -> Option<(&str, &str)> {
    route.map(|route| (&*route.upstream, &*route.name))
}

/// The upstream that a URI leads to, and the URI there.
pub(super) fn read(catalogue: &Catalogue, uri: &str) -> Option<(String, String)> {
    catalogue
        .way(Kind::Resources, uri)?
        .ok()
        .map(|route| (route.upstream.to_string(), route.name.to_string()))
}

/// What [`read`] gives for this one.
pub(super) fn at(upstream: &str, uri: &str) -> Option<(String, String)> {
    Some((upstream.to_owned(), uri.to_owned()))
}

#[test]
fn what_the_only_upstream_says_about_its_use_stays_as_it_is() {
    let told = |name: &str, text: &str| given(name).offer(|offer| offer.instructions = Some(text.to_owned()));

    assert_eq!(merge([told("a", " Use it.\n")]).instructions().unwrap(), " Use it.\n");
    assert_eq!(
        merge([told("b", "Then b."), told("a", " First a.\n"), given("c")]).instructions().unwrap(),
        "# a (names that begin with a__)\n\nFirst a.\n\n# b (names that begin with b__)\n\nThen b."
    );
    assert_eq!(merge([given("a"), given("b")]).instructions(), None);
}

#[test]
fn unknown_methods_go_to_the_only_upstream() {
    assert_eq!(merge([given("a")]).sole().as_deref(), Some("a"));
    assert_eq!(merge([given("a"), given("b")]).sole(), None);
    assert_eq!(merge([]).sole(), None);
}

#[test]
fn capabilities_are_those_of_all_and_lists_always_tell_that_they_change() {
    let can = |name: &str, what: Value| {
        given(name).offer(|offer| offer.capabilities = Some(Raw::of(&what).unwrap()))
    };

    let catalogue =
        merge([can("a", json!({ "tools": {} })), can("b", json!({ "logging": {}, "x": { "y": 1.50 } }))]);

    assert_eq!(
        catalogue.capabilities(true).parse::<Value>().unwrap(),
        json!({ "tools": { "listChanged": true }, "logging": {}, "x": { "y": 1.5 } })
    );
    let nobody: Value = merge([]).capabilities(false).parse().unwrap();
    assert_eq!(nobody["tools"]["listChanged"], true, "upstreams may come with the next configuration");
}

#[test]
fn completions_go_where_the_prompt_or_template_is() {
    let catalogue =
        merge([given("a").prompts(&["ask"]).templates(&["x://{id}"]), given("b").templates(&["x://{name}"])]);
    let sent_on = |reference: Value| {
        let (way, raw) = catalogue.reference(&Raw::of(&reference).unwrap())?;
        let route = way.unwrap();
        Some((route.upstream.to_string(), raw.parse::<Value>().unwrap()))
    };

    assert_eq!(
        sent_on(json!({ "type": "ref/prompt", "name": "a__ask", "title": "T", "more": 1 })),
        Some(("a".to_owned(), json!({ "type": "ref/prompt", "name": "ask", "title": "T", "more": 1 })))
    );
    assert_eq!(
        sent_on(json!({ "type": "ref/resource", "uri": "x://{id}" })),
        Some(("a".to_owned(), json!({ "type": "ref/resource", "uri": "x://{id}" })))
    );
    assert_eq!(
        sent_on(json!({ "type": "ref/resource", "uri": "mcp-b+x://{name}" })),
        Some(("b".to_owned(), json!({ "type": "ref/resource", "uri": "x://{name}" })))
    );
    for unknown in [json!({ "type": "ref/prompt", "name": "ask" }), json!({ "type": "ref/more" }), json!([])]
    {
        assert_eq!(sent_on(unknown.clone()), None, "{unknown}");
    }
}

#[test]
fn it_is_told_why_a_name_is_there_or_is_not() {
    let late = given("late").offer(|offer| offer.is_known = false);
    let catalogue = merge([
        given("weather").tools(&["forecast"]).resources(&["sky://now"]).templates(&["sky://{day}"]),
        late,
    ]);
    let reason = |name: &str| {
        let explanation = catalogue.explain(name);
        (explanation.kind, explanation.name_there, explanation.reasons.join("; "))
    };

    assert_eq!(
        reason("weather__forecast"),
        (Some("tool".into()), Some("forecast".to_owned()), "it is listed".to_owned())
    );
    assert_eq!(reason("sky://now").0.as_deref(), Some("resource"));
    assert_eq!(reason("sky://monday").0.as_deref(), Some("resource"));
    assert!(
        reason("forecast").2.contains("is called \"weather__forecast\" here"),
        "{:?}",
        reason("forecast")
    );
    assert!(reason("weather__forcast").2.contains("names like it: weather__forecast"));
    assert!(reason("late__tool").2.contains("has not told yet"));
    assert!(reason("what").2.contains("names begin with late__, weather__"), "{:?}", reason("what"));
}
