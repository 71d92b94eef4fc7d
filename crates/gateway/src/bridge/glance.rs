//! A look into a message for one thing only.

use json_rpc::{Members, Raw};

/// Whether a text occurs in it, wherever: what it means there only its members can say. This is much quicker than reading them.
pub(super) fn mentions(value: &Raw, text: &str) -> bool {
    memchr::memmem::find(value.as_bytes(), text.as_bytes()).is_some()
}

/// The value at the end of this path, where there is one: from member to member.
pub(super) fn at(object: &Raw, path: &[&str]) -> Option<Raw> {
    let mut value = object.clone();
    for name in path {
        value = Members::of(&value).ok()?.remove(name)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_a_value_or_nowhere() {
        let object = Raw::read(r#"{"a":{"b":1.50},"n":[1]}"#).unwrap();
        assert_eq!(at(&object, &["a", "b"]).unwrap().as_str(), "1.50");
        for nowhere in [&["a", "c"][..], &["n", "0"], &["a", "b", "c"], &["x"]] {
            assert_eq!(at(&object, nowhere), None);
        }
    }
}
