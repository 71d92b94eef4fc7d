//! Rules that speak of nothing: most are spelled wrong.

use super::{Kind, Part, notes::Notes};
use crate::{rules::setting, settings::matches};

/// Notes the patterns and renames of an upstream that fit nothing of what it lists, once it has told.
pub(super) fn note(part: &Part, notes: &mut Notes) {
    if !part.offer.is_known {
        return;
    }
    for kind in [Kind::Tools, Kind::Prompts, Kind::Resources, Kind::Templates] {
        let (filter, items) = (part.rules.of(kind), &part.offer.listing(kind).items);
        let (upstream, of) = (&part.upstream, setting(kind));
        for name in filter.rename.keys().filter(|name| !items.iter().any(|item| item.key == **name)) {
            notes.add(format!(
                "upstream {upstream:?} lists no {name:?} that {of}.rename could give another name"
            ));
        }
        // Patterns for resources may speak of what no list names.
        if kind == Kind::Resources && !part.offer.templates.items.is_empty() {
            continue;
        }
        for (list, patterns) in [("allow", &filter.allow), ("deny", &filter.deny)] {
            let fits_nothing = |pattern: &&String| !items.iter().any(|item| matches(pattern, &item.key));
            for pattern in patterns.iter().filter(fits_nothing) {
                notes
                    .add(format!("{pattern:?} in {of}.{list} fits nothing that upstream {upstream:?} lists"));
            }
        }
    }
}
