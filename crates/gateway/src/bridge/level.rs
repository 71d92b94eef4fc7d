//! How grave a log message is.

use std::borrow::Cow;

use json_rpc::Raw;

/// How grave a log message is, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

/// The levels by their names, in their order.
const LEVELS: [(&str, Level); 8] = [
    ("debug", Level::Debug),
    ("info", Level::Info),
    ("notice", Level::Notice),
    ("warning", Level::Warning),
    ("error", Level::Error),
    ("critical", Level::Critical),
    ("alert", Level::Alert),
    ("emergency", Level::Emergency),
];

impl Level {
    /// The level that this value names.
    pub(crate) fn read(value: &Raw) -> Option<Self> {
        let name = value.parse::<Cow<'_, str>>().ok()?;
        LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        LEVELS[self as usize].0
    }

    /// The level at this place, counted from the least.
    pub(crate) fn at(place: u8) -> Option<Self> {
        LEVELS.get(usize::from(place)).map(|(_, level)| *level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_by_name_and_ordered_by_how_grave_they_are() {
        for (place, (name, level)) in (0_u8..).zip(LEVELS) {
            assert_eq!(Level::read(&Raw::text(name)), Some(level));
            assert_eq!(Level::at(place), Some(level));
            assert_eq!(level.name(), name);
        }
        assert!(Level::Debug < Level::Emergency);
        assert_eq!(Level::read(&Raw::text("loud")), None);
        assert_eq!(Level::at(8), None);
    }
}
