//! The ids of what we ask, as they come back.

use json_rpc::Id;

/// Our number, which some give back as a text.
pub(crate) fn number(id: &Id) -> Option<u64> {
    let text = || id.as_raw().as_str().strip_prefix('"')?.strip_suffix('"')?.parse().ok();
    id.number().or_else(text)
}

#[cfg(test)]
mod tests {
    use json_rpc::Raw;

    use super::*;

    #[test]
    fn a_number_is_known_again_as_a_text_too() {
        for (id, ours) in [
            ("7", Some(7)),
            ("7.0", Some(7)),
            ("\"7\"", Some(7)),
            ("\"x7\"", None),
            ("-7", None),
            ("\"\"", None),
        ] {
            assert_eq!(number(&Id::new(Raw::read(id).unwrap()).unwrap()), ours, "{id}");
        }
    }
}
