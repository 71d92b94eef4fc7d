//! Reads what a server offers: lists of several pages.

use std::{borrow::Cow, collections::HashSet, time::Duration};

use futures_util::future::join_all;
use json_rpc::{Error, Members, Raw};
use mcp_transport::{Line, Outgoing, RequestError};

use crate::catalogue::{Item, Kind, Listing, Offer};

const MAX_PAGES: usize = 256;
const MAX_ITEMS: usize = 20_000;
/// Longest time that a list is believed to stay the same.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest text that a server says of itself to models, in bytes: it goes to every client.
const MAX_INSTRUCTIONS: usize = 16 << 10;
/// As JSON.
const MAX_BYTES: usize = 64 << 20;

/// What was read.
pub(super) struct Reading {
    pub(super) offer: Offer,
    /// What could not be read; of that `offer` has what was known before.
    pub(super) problem: Option<String>,
}

/// The member of `capabilities` that says whether there are any.
pub(super) fn capability(kind: Kind) -> &'static str {
    match kind {
        Kind::Tools => "tools",
        Kind::Prompts => "prompts",
        Kind::Resources | Kind::Templates => "resources",
    }
}

/// Reads these lists and what the server says of itself; `offer` is what is known so far.
pub(super) async fn read(line: &Line, mut offer: Offer, kinds: &[Kind]) -> Reading {
    let introduction = Members::of(line.introduction()).unwrap_or_default();
    offer.capabilities = introduction.get("capabilities").filter(|known| known.is_object()).cloned();
    offer.instructions = introduction.get("instructions").and_then(|text| text.parse().ok()).map(cut);
    let capabilities =
        offer.capabilities.as_ref().and_then(|known| Members::of(known).ok()).unwrap_or_default();
    let lists = kinds.iter().map(|&kind| {
        let is_offered = capabilities.get(capability(kind)).is_some();
        async move {
            let listed = if is_offered { list(line, kind).await } else { Ok(Listing::default()) };
            (kind, is_offered, listed)
        }
    });
    let mut problem = None;
    let mut any = false;
    for (kind, is_offered, listed) in join_all(lists).await {
        let place = match kind {
            Kind::Tools => &mut offer.tools,
            Kind::Prompts => &mut offer.prompts,
            Kind::Resources => &mut offer.resources,
            Kind::Templates => &mut offer.templates,
        };
        match listed {
            Ok(listing) => {
                any |= is_offered; // that there is no list says nothing of one that could not be read
                *place = listing;
            }
            Err(reason) => problem = Some(format!("{} cannot be read: {reason}", Pages::new(kind).method())),
        }
    }
    offer.is_known |= any || problem.is_none();
    Reading { offer, problem }
}

/// Instructions of a length that clients can be given.
fn cut(mut instructions: String) -> String {
    if instructions.len() > MAX_INSTRUCTIONS {
        let whole = instructions.len();
        let end = (0..=MAX_INSTRUCTIONS).rev().find(|end| instructions.is_char_boundary(*end));
        instructions.truncate(end.unwrap_or_default());
        instructions.push_str(&format!("\n[The gateway left out the rest: there are {whole} bytes.]"));
    }
    instructions
}

async fn list(line: &Line, kind: Kind) -> Result<Listing, String> {
    let mut pages = Pages::new(kind);
    let mut cursor = None;
    loop {
        let params = cursor.map(|cursor| [("cursor", cursor)].into_iter().collect::<Members>().to_raw());
        let request =
            Outgoing { method: pages.method().into(), params: line.stamp(params), mirrored: Vec::new() };
        let page = match line.request(request, None).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => {
                let code = error.parse::<Error>().ok().map(|error| error.code);
                if code == Some(Error::METHOD_NOT_FOUND) {
                    return Ok(Listing::default()); // it has none after all
                }
                let code = code.map(|code| code.to_string()).unwrap_or_default();
                return Err(format!("it answered with error {code}"));
            }
            Err(
                RequestError::NotDelivered { reason, .. }
                | RequestError::Unacceptable { reason }
                | RequestError::TooLarge { reason }
                | RequestError::Lost { reason }
                | RequestError::Refused { reason },
            ) => return Err(reason),
        };
        cursor = pages.add(&page)?;
        if cursor.is_none() {
            return Ok(pages.listing);
        }
    }
}

/// The pages of a list, as far as they have come.
struct Pages {
    kind: Kind,
    listing: Listing,
    seen: HashSet<Raw>,
    bytes: usize,
}

impl Pages {
    fn new(kind: Kind) -> Self {
        Self { kind, listing: Listing::default(), seen: HashSet::new(), bytes: 0 }
    }

    fn method(&self) -> &'static str {
        match self.kind {
            Kind::Tools => "tools/list",
            Kind::Prompts => "prompts/list",
            Kind::Resources => "resources/list",
            Kind::Templates => "resources/templates/list",
        }
    }

    /// Where a page has its items, and what items are known by.
    fn names(&self) -> (&'static str, &'static str) {
        match self.kind {
            Kind::Tools => ("tools", "name"),
            Kind::Prompts => ("prompts", "name"),
            Kind::Resources => ("resources", "uri"),
            Kind::Templates => ("resourceTemplates", "uriTemplate"),
        }
    }

    /// Adds a page. Gives the cursor of the next one, if there is one.
    fn add(&mut self, page: &Raw) -> Result<Option<Raw>, String> {
        let members = Members::of(page).map_err(|error| format!("a page is broken: {error}"))?;
        let (items, key) = self.names();
        let items: Vec<Raw> = members
            .get(items)
            .and_then(|items| items.parse().ok())
            .ok_or_else(|| format!("a page has no \"{items}\""))?;
        self.bytes += page.as_bytes().len();
        if self.bytes > MAX_BYTES || self.listing.items.len() + items.len() > MAX_ITEMS {
            return Err(format!("there are more than {MAX_ITEMS}, or more than {} MiB", MAX_BYTES >> 20));
        }
        // What has no name cannot be called; the others can.
        self.listing.items.extend(items.into_iter().filter_map(|raw| {
            let name = Members::of(&raw).ok()?.get(key)?.parse::<Cow<'_, str>>().ok()?.into_owned();
            Some(Item { key: name, raw })
        }));
        self.hints(&members);
        let Some(cursor) = members.get("nextCursor").filter(|cursor| !cursor.is_null()) else {
            return Ok(None);
        };
        // The bytes of a page are kept alive by each part of it.
        let cursor = Raw::read(cursor.as_str().to_owned()).map_err(|_| "a cursor is broken".to_owned())?;
        if !self.seen.insert(cursor.clone()) || self.seen.len() >= MAX_PAGES {
            return Err(format!("the pages go round in circles, or are more than {MAX_PAGES}"));
        }
        Ok(Some(cursor))
    }

    /// Of several pages the shortest time and the strictest scope count.
    fn hints(&mut self, page: &Members) {
        let listing = &mut self.listing;
        if let Some(time) = page.get("ttlMs").and_then(|time| time.parse::<f64>().ok()) {
            let time = Duration::try_from_secs_f64(time.max(0.0) / 1_000.0).unwrap_or(A_DAY).min(A_DAY);
            listing.time_to_live = Some(listing.time_to_live.map_or(time, |known| known.min(time)));
        }
        listing.is_private |= page.get("cacheScope").is_some_and(|scope| scope.as_bytes() == br#""private""#);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Raw {
        Raw::read(text.to_owned()).unwrap()
    }

    #[test]
    fn pages_are_put_together_with_the_strictest_hints() {
        let mut pages = Pages::new(Kind::Tools);
        let first = page(
            r#"{"tools":[{"name":"a","x":1.50},{"title":"no name"}],"nextCursor":"2","ttlMs":5000,"cacheScope":"public"}"#,
        );
        assert_eq!(pages.add(&first).unwrap(), Some(Raw::text("2")));
        let last = page(r#"{"tools":[{"name":"b"}],"nextCursor":null,"ttlMs":1000,"cacheScope":"private"}"#);
        assert_eq!(pages.add(&last).unwrap(), None);
        let listing = pages.listing;
        let items: Vec<_> = listing.items.iter().map(|item| (item.key.as_str(), item.raw.as_str())).collect();
        assert_eq!(items, [("a", r#"{"name":"a","x":1.50}"#), ("b", r#"{"name":"b"}"#)]);
        assert_eq!((listing.time_to_live, listing.is_private), (Some(Duration::from_secs(1)), true));
    }

    #[test]
    fn no_list_stays_the_same_for_longer_than_a_day() {
        for time in ["1e300", "86400001"] {
            let mut pages = Pages::new(Kind::Tools);
            pages.add(&page(&format!(r#"{{"tools":[],"ttlMs":{time}}}"#))).unwrap();
            assert_eq!(pages.listing.time_to_live, Some(A_DAY));
        }
    }

    #[test]
    fn long_instructions_are_cut() {
        assert_eq!(cut("short".to_owned()), "short");
        let long = cut("ü".repeat(MAX_INSTRUCTIONS));
        assert!(long.len() < MAX_INSTRUCTIONS + 100 && long.contains("32768 bytes"), "{}", long.len());
    }

    #[test]
    fn pages_without_end_are_noticed() {
        let mut pages = Pages::new(Kind::Prompts);
        let same = page(r#"{"prompts":[],"nextCursor":"x"}"#);
        assert!(pages.add(&same).is_ok());
        assert!(pages.add(&same).unwrap_err().contains("circles"));
        let mut pages = Pages::new(Kind::Prompts);
        let count = (0..).take_while(|number| {
            pages.add(&page(&format!(r#"{{"prompts":[],"nextCursor":{number}}}"#))).is_ok()
        });
        assert_eq!(count.count(), MAX_PAGES - 1);
    }

    #[test]
    fn a_list_that_is_too_long_is_refused() {
        let mut pages = Pages::new(Kind::Resources);
        let items = vec![r#"{"uri":"a:b"}"#; 10_001].join(",");
        let page = page(&format!(r#"{{"resources":[{items}],"nextCursor":"2"}}"#));
        assert!(pages.add(&page).is_ok());
        assert!(pages.add(&page).unwrap_err().contains("20000"));
    }

    #[test]
    fn a_page_that_is_none_is_refused() {
        for broken in ["[]", "{}", r#"{"tools":7}"#, r#"{"tools":[],"tools":[]}"#] {
            assert!(Pages::new(Kind::Tools).add(&page(broken)).is_err(), "{broken}");
        }
    }
}
