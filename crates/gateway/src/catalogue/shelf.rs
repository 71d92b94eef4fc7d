//! One list as clients get it: its items under their public names, page by page.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{BufMut as _, BytesMut};
use json_rpc::Raw;

use super::{Kind, Route, UnknownCursor, names::digest};

/// Most items on one page.
const MAX_ITEMS: usize = 200;

/// Most bytes of items on one page, unless a single item is larger.
const MAX_BYTES: usize = 256 << 10;

/// One item as clients get it.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its public name, URI or template.
    pub(super) name: Arc<str>,
    /// The whole object.
    pub(super) raw: Raw,
    /// Where it leads.
    pub(super) route: Route,
}

/// How long a list may be kept, and by whom: what servers of the newer era say with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CacheHints {
    pub(super) time_to_live: Duration,
    pub(super) is_private: bool,
}

/// One list.
pub(super) struct Shelf {
    kind: Kind,
    entries: Vec<Entry>,
    /// How many of them lists show: the first ones.
    shown: usize,
    places: HashMap<Arc<str>, usize>,
    hints: CacheHints,
    pages: Vec<Page>,
    /// Where the items are that cursors name; made when the first cursor comes.
    anchors: OnceLock<HashMap<String, usize>>,
}

/// A part of the list that was asked for from its start. Each text is made once, when it is first wanted.
struct Page {
    items: Range<usize>,
    legacy: OnceLock<Raw>,
    modern: OnceLock<Raw>,
}

impl Shelf {
    /// A list of these items. Of several with one name the first counts.
    pub(super) fn new(kind: Kind, mut entries: Vec<Entry>, hints: CacheHints) -> Self {
        let mut places = HashMap::with_capacity(entries.len());
        entries.retain(|entry| {
            let place = places.len();
            let is_new = !places.contains_key(&entry.name);
            if is_new {
                places.insert(entry.name.clone(), place);
            }
            is_new
        });
        let (shown, pages) = (entries.len(), Vec::new());
        let mut shelf = Self { kind, entries, shown, places, hints, pages, anchors: OnceLock::new() };
        shelf.pages = shelf.cut();
        shelf
    }

    /// The same, of which lists show only the first ones.
    pub(super) fn showing(mut self, count: usize) -> Self {
        self.shown = count.min(self.entries.len());
        self.pages = self.cut();
        self
    }

    fn shown(&self) -> &[Entry] {
        &self.entries[..self.shown]
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The item of this public name.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.places.get(name).map(|place| &self.entries[*place])
    }

    /// Whether lists show the item of this public name.
    pub(super) fn shows(&self, name: &str) -> bool {
        self.places.get(name).is_some_and(|place| *place < self.shown)
    }

    /// One page: the first, or the one after the item that the cursor names. So a cursor stays good while other items come
    /// and go.
    pub(super) fn page(&self, cursor: Option<&str>, is_modern: bool) -> Result<Raw, UnknownCursor> {
        let start = cursor.map_or(Ok(0), |cursor| self.after(cursor))?;
        let Ok(place) = self.pages.binary_search_by_key(&start, |page| page.items.start) else {
            return Ok(self.render(&self.page_from(start), is_modern));
        };
        let page = &self.pages[place];
        let text = if is_modern { &page.modern } else { &page.legacy };
        Ok(text.get_or_init(|| self.render(&page.items, is_modern)).clone())
    }

    /// Whether clients see the same items in both.
    pub(super) fn looks_like(&self, other: &Self) -> bool {
        let same = |(a, b): (&Entry, &Entry)| a.name == b.name && a.raw == b.raw;
        self.shown == other.shown && self.shown().iter().zip(other.shown()).all(same)
    }

    fn cut(&self) -> Vec<Page> {
        let mut pages = Vec::new();
        let mut start = 0;
        while start < self.shown || start == 0 {
            let items = self.page_from(start);
            let is_last = items.end == self.shown;
            start = items.end;
            pages.push(Page { items, legacy: OnceLock::new(), modern: OnceLock::new() });
            if is_last {
                break;
            }
        }
        pages
    }

    fn page_from(&self, start: usize) -> Range<usize> {
        let mut bytes = 0;
        let fitting = self.shown()[start..].iter().take(MAX_ITEMS).take_while(|entry| {
            let is_first = bytes == 0;
            bytes += entry.raw.as_bytes().len() + 1;
            is_first || bytes <= MAX_BYTES
        });
        start..start + fitting.count()
    }

    fn render(&self, items: &Range<usize>, is_modern: bool) -> Raw {
        let entries = &self.entries[items.clone()];
        let size: usize = entries.iter().map(|entry| entry.raw.as_bytes().len() + 1).sum();
        let mut text = BytesMut::with_capacity(size + 160);
        text.put_slice(if is_modern { br#"{"resultType":"complete",""# } else { b"{\"" });
        text.put_slice(member(self.kind).as_bytes());
        text.put_slice(b"\":[");
        for (place, entry) in entries.iter().enumerate() {
            if place > 0 {
                text.put_u8(b',');
            }
            text.put_slice(entry.raw.as_bytes());
        }
        text.put_u8(b']');
        if let Some(last) = entries.last().filter(|_| items.end < self.shown) {
            text.put_slice(format!(r#","nextCursor":"{}""#, self.cursor(last)).as_bytes());
        }
        if is_modern {
            let CacheHints { time_to_live, is_private } = self.hints;
            let scope = if is_private { "private" } else { "public" };
            let hints = format!(r#","ttlMs":{},"cacheScope":"{scope}""#, time_to_live.as_millis());
            text.put_slice(hints.as_bytes());
        }
        text.put_u8(b'}');
        Raw::read(text.freeze()).expect("it is made of JSON values")
    }

    /// What leads to the items after this one.
    fn cursor(&self, last: &Entry) -> String {
        digest(&[member(self.kind), &last.name])
    }

    fn after(&self, cursor: &str) -> Result<usize, UnknownCursor> {
        let anchors = self.anchors.get_or_init(|| {
            self.shown().iter().enumerate().map(|(place, entry)| (self.cursor(entry), place)).collect()
        });
        anchors.get(cursor).map(|place| place + 1).ok_or(UnknownCursor)
    }
}

/// The member of a result that holds the list.
fn member(kind: Kind) -> &'static str {
    match kind {
        Kind::Tools => "tools",
        Kind::Prompts => "prompts",
        Kind::Resources => "resources",
        Kind::Templates => "resourceTemplates",
    }
}
