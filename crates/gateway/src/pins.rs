//! Definitions of tools as somebody approved them.

mod changes;
mod lock_file;

use std::collections::BTreeMap;

use json_rpc::Raw;

pub(crate) use changes::compare;
pub use changes::{PinChange, PinComparison};

use crate::canonical;

/// Longest definition of a tool, as the lock file has it.
const MAX_DEFINITION: usize = 1 << 20;

/// Definitions of tools that somebody approved, by upstream and by the tool's name there. A tool that is not in it, or is defined
/// otherwise now, is withheld.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    /// As [`definition`] writes them.
    approved: BTreeMap<String, BTreeMap<String, String>>,
}

impl Pins {
    /// Largest lock file, in bytes.
    pub const MAX_BYTES: u64 = 32 << 20;

    /// Reads the text of a lock file.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn read(text: &str) -> Result<Self, String> {
        lock_file::read(text).map(|approved| Self { approved })
    }

    /// The text of the lock file: the same for the same pins, one member a line.
    #[must_use]
    pub fn to_text(&self) -> String {
        lock_file::write(&self.approved)
    }

    /// How many tools are approved.
    #[must_use]
    pub fn tools(&self) -> usize {
        self.approved.values().map(BTreeMap::len).sum()
    }

    /// Takes over a change: the tool as it is now, or none.
    pub fn approve(&mut self, change: &PinChange) {
        let PinChange { upstream, tool, present, .. } = change;
        match present {
            Some(present) => {
                let tools = self.approved.entry(upstream.clone()).or_default();
                tools.insert(tool.clone(), present.clone());
            }
            None => {
                if let Some(tools) = self.approved.get_mut(upstream) {
                    tools.remove(tool);
                    if tools.is_empty() {
                        self.approved.remove(upstream);
                    }
                }
            }
        }
    }

    /// Why this tool is withheld, if it is. Its definition is the whole object as the upstream gives it.
    pub(crate) fn withholds(&self, upstream: &str, tool: &str, definition: &Raw) -> Option<&'static str> {
        let approved = self.approved(upstream, tool);
        match (self::definition(definition), approved) {
            (None, _) => Some("its definition is too long or too deeply nested to be approved"),
            (Some(_), None) => Some("it is not approved: see `mcp-gateway pins diff`"),
            (Some(present), Some(approved)) if present == *approved => None,
            _ => Some("it is defined otherwise than it was approved: see `mcp-gateway pins diff`"),
        }
    }

    fn approved(&self, upstream: &str, tool: &str) -> Option<&String> {
        self.approved.get(upstream)?.get(tool)
    }
}

/// A tool's definition as it is compared and shown: all of it, in one way of writing. `None` when it is too long or too deep.
fn definition(tool: &Raw) -> Option<String> {
    canonical::pretty(tool, MAX_DEFINITION).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw {
        Raw::read(text.to_owned()).unwrap()
    }

    fn change(upstream: &str, tool: &str, present: Option<&str>) -> PinChange {
        PinChange {
            upstream: upstream.to_owned(),
            tool: tool.to_owned(),
            name: None,
            approved: None,
            present: present.map(|text| definition(&raw(text)).unwrap()),
        }
    }

    fn pins(tools: &[(&str, &str, &str)]) -> Pins {
        let mut pins = Pins::default();
        for (upstream, tool, text) in tools {
            pins.approve(&change(upstream, tool, Some(text)));
        }
        pins
    }

    const READ: &str = r#"{"name":"read","title":"Read","description":"Reads","inputSchema":{"type":"object","properties":{"n":{"maximum":1.50}}},"outputSchema":{"type":"object"},"annotations":{"readOnlyHint":true},"icons":[{"src":"a:b"}],"_meta":{"v":1}}"#;

    #[test]
    fn a_tool_is_withheld_when_anything_of_it_changed_and_not_when_only_the_order_did() {
        let pins = pins(&[("files", "read", READ)]);
        assert_eq!(pins.withholds("files", "read", &raw(READ)), None);
        let turned = r#"{"_meta":{"v":1},"icons":[{"src":"a:b"}],"annotations":{"readOnlyHint":true},"outputSchema":{"type":"object"},"inputSchema":{"properties":{"n":{"maximum":1.50}},"type":"object"},"description":"Re\u0061ds","title":"Read","name":"read"}"#;
        assert_eq!(pins.withholds("files", "read", &raw(turned)), None);
        for (old, new) in [
            ("Reads", "Reads\u{200b}"),
            (r#""title":"Read","#, ""),
            ("1.50", "1.5"),
            (r#""outputSchema":{"type":"object"}"#, r#""outputSchema":{"type":"object","x":1}"#),
            ("true", "false"),
            ("a:b", "a:c"),
            (r#"{"v":1}"#, r#"{"v":2}"#),
            (r#"{"v":1}"#, r#"{"v":1,"w":null}"#),
        ] {
            let changed = READ.replacen(old, new, 1);
            assert_ne!(changed, READ);
            let why = pins.withholds("files", "read", &raw(&changed)).unwrap();
            assert!(why.contains("otherwise") && why.contains("pins diff"), "{new}: {why}");
        }
    }

    #[test]
    fn a_tool_that_nobody_approved_is_withheld() {
        let pins = pins(&[("files", "read", READ)]);
        for (upstream, tool) in [("files", "other"), ("others", "read")] {
            assert!(pins.withholds(upstream, tool, &raw(READ)).unwrap().contains("not approved"));
        }
    }

    #[test]
    fn a_tool_that_is_too_large_to_be_compared_is_withheld() {
        let large = format!(r#"{{"name":"read","description":"{}"}}"#, "x".repeat(MAX_DEFINITION));
        assert!(pins(&[]).withholds("files", "read", &raw(&large)).unwrap().contains("too long"));
    }

    #[test]
    fn an_upstream_of_which_nothing_is_left_is_left_out() {
        let mut pins = pins(&[("files", "read", READ), ("others", "read", READ)]);
        pins.approve(&change("files", "read", None));
        pins.approve(&change("nobody", "read", None));
        assert!(pins.tools() == 1 && !pins.to_text().contains("files"), "{}", pins.to_text());
    }
}
