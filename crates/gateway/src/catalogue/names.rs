//! Names that clients see: an upstream's prefix, the separator, and the name there, at most 64 characters long.
//!
//! What a name becomes depends on all that is offered together, never on which upstream told first. A name that two
//! could mean is nobody's: each gets a name of its own, so that a name never leads to one upstream today and to
//! another tomorrow. What the rules of an upstream refuse does not count where they give its name to something else.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use super::notes::Notes;

/// Longest name in characters: what the common model providers take.
const MAX_NAME: usize = 64;

/// Digits of the hash in a changed name, and what is tried when that is taken.
const DIGITS: [usize; 3] = [8, 16, 32];

/// What the names of one upstream begin with.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) upstream: String,
    /// Prefix and separator; empty when names stay as they are.
    pub(super) text: String,
}

/// Something that an upstream offers, as far as names are concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own<'a> {
    /// The upstream's place among the heads.
    pub(super) place: usize,
    /// The name there.
    pub(super) key: &'a str,
    /// The name that it is to have instead, if the rules say so.
    pub(super) renamed: Option<&'a str>,
    /// Whether the rules keep it from clients.
    pub(super) is_refused: bool,
}

impl<'a> Own<'a> {
    /// What its public name is made of.
    pub(super) fn wanted(&self) -> &'a str {
        self.renamed.unwrap_or(self.key)
    }
}

/// What is named, as far as it matters for the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Tools: models see the names, and take only some characters.
    Tool,
    Prompt,
}

/// Why a name is not simply prefix and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change<'h> {
    TooLong,
    Characters,
    /// It begins like all the names of this upstream.
    LooksLike(&'h str),
    /// The gateway's own tools come first.
    Reserved,
    Taken,
}

impl Head {
    /// What an upstream's names begin with. Characters that no name may have become `_`.
    pub(super) fn new(upstream: &str, prefix: &str, separator: &str, notes: &mut Notes) -> Self {
        if prefix.is_empty() {
            return Self { upstream: upstream.to_owned(), text: String::new() };
        }
        let wanted = format!("{prefix}{separator}");
        let text = clean(&wanted);
        if text != wanted {
            notes.add(format!(
                "the names of upstream {upstream:?} begin with {text:?}: names have letters, digits, _ - . and / only"
            ));
        }
        Self { upstream: upstream.to_owned(), text }
    }

    /// The name under which clients know `name`, unless something is in the way.
    pub(super) fn join(&self, name: &str) -> String {
        format!("{}{name}", self.text)
    }
}

/// The names for all of `owned`, in their order. No two are the same, as long as no two in `owned` are; and none is reserved.
pub(super) fn assign(
    heads: &[Head],
    sort: Sort,
    reserved: &HashSet<&str>,
    owned: &[Own<'_>],
    notes: &mut Notes,
) -> Vec<String> {
    let mut changes: Vec<_> = owned.iter().map(|own| inevitable(heads, sort, *own)).collect();
    // The rules of an upstream refuse a name and give it to something else: that is meant to take its place.
    let given: HashSet<_> = owned
        .iter()
        .filter(|own| !own.is_refused)
        .filter_map(|own| Some((own.place, own.renamed?)))
        .collect();
    let is_replaced = |own: &Own<'_>| own.is_refused && given.contains(&(own.place, own.wanted()));
    let first_level =
        |(own, change): (&Own<'_>, &Option<_>)| usize::from(change.is_some() || is_replaced(own));
    let mut levels: Vec<usize> = owned.iter().zip(&changes).map(first_level).collect();
    let mut names: Vec<String> =
        owned.iter().zip(&levels).map(|(own, level)| name_at(heads, *own, *level)).collect();
    loop {
        let clashing = clashing(&names, &levels, reserved);
        if clashing.is_empty() {
            break;
        }
        for place in clashing {
            levels[place] += 1;
            let is_reserved = reserved.contains(names[place].as_str());
            changes[place].get_or_insert(if is_reserved { Change::Reserved } else { Change::Taken });
            names[place] = name_at(heads, owned[place], levels[place]);
        }
    }
    for ((own, name), change) in owned.iter().zip(&names).zip(changes) {
        if let Some(change) = change {
            notes.add(note(heads, sort, *own, name, change));
        }
    }
    names
}

/// Those that have a name in common with others and must give way: of each such group the ones that are changed least, and all of
/// them where the name is reserved.
fn clashing(names: &[String], levels: &[usize], reserved: &HashSet<&str>) -> Vec<usize> {
    let mut groups: HashMap<&str, Vec<usize>> = HashMap::with_capacity(names.len());
    for (place, name) in names.iter().enumerate() {
        groups.entry(name).or_default().push(place);
    }
    let mut found: Vec<usize> = groups
        .into_iter()
        .map(|(name, group)| (reserved.contains(name), group))
        .filter(|(is_reserved, group)| *is_reserved || group.len() > 1)
        .flat_map(|(is_reserved, group)| {
            let least = group.iter().map(|place| levels[*place]).min().unwrap_or(0);
            let gives_way = move |level: usize| (is_reserved || level == least) && level < DIGITS.len();
            group.into_iter().filter(move |place| gives_way(levels[*place]))
        })
        .collect();
    found.sort_unstable();
    found
}

/// Why this name cannot stay as it is, whatever else is offered.
fn inevitable<'h>(heads: &'h [Head], sort: Sort, own: Own<'_>) -> Option<Change<'h>> {
    let head = &heads[own.place];
    let name = head.join(own.wanted());
    if name.chars().count() > MAX_NAME {
        return Some(Change::TooLong);
    }
    // Without a prefix an upstream's names stay as they are, odd characters too: that is what was asked for.
    if sort == Sort::Tool && !head.text.is_empty() && !name.chars().all(is_allowed) {
        return Some(Change::Characters);
    }
    let longer = |other: &&Head| other.text.len() > head.text.len() && name.starts_with(&other.text);
    heads.iter().find(longer).map(|other| Change::LooksLike(&other.upstream))
}

/// The name after so many attempts to find another: 0 is the plain one.
fn name_at(heads: &[Head], own: Own<'_>, level: usize) -> String {
    let head = &heads[own.place];
    let plain = head.join(own.wanted());
    let Some(level) = level.checked_sub(1) else { return plain };
    let digits = DIGITS[level];
    let mut name: String = clean(&plain).chars().take(MAX_NAME - digits - 1).collect();
    name.push('_');
    name.push_str(&digest(&[&head.upstream, own.key])[..digits]);
    name
}

fn note(heads: &[Head], sort: Sort, own: Own<'_>, name: &str, change: Change<'_>) -> String {
    let what = match sort {
        Sort::Tool => "tool",
        Sort::Prompt => "prompt",
    };
    let (upstream, key) = (&heads[own.place].upstream, own.key);
    let why = match change {
        Change::TooLong => format!("its name would be longer than {MAX_NAME} characters"),
        Change::Characters => "names have letters, digits, _ - . and / only".to_owned(),
        Change::LooksLike(other) => format!("its name would look like one of upstream {other:?}"),
        Change::Reserved => "a tool of the gateway itself has its name".to_owned(),
        Change::Taken => "another one would have the same name".to_owned(),
    };
    format!("{what} {key:?} of upstream {upstream:?} is called {name:?}: {why}")
}

/// Whether tools may have it in their names: what SEP-986 allows.
fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | '/')
}

fn clean(name: &str) -> String {
    name.chars().map(|character| if is_allowed(character) { character } else { '_' }).collect()
}

/// 32 hexadecimal digits of the SHA-256 of these texts: the same in every build, on every machine.
pub(super) fn digest(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    let hash: [u8; 32] = hash.finalize().into();
    let half = hash.first_chunk().expect("a SHA-256 has 32 bytes");
    format!("{:032x}", u128::from_be_bytes(*half))
}
