//! Colours, if they are wanted.

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Ink {
    /// As it is.
    #[default]
    Plain,
    /// What counts: names.
    Bold,
    /// What matters less.
    Dim,
    /// What is wrong.
    Red,
    /// What is good, and texts of JSON.
    Green,
    /// What deserves attention, and numbers of JSON.
    Yellow,
    /// Names in JSON, and links.
    Cyan,
    /// `true`, `false` and `null`.
    Magenta,
}

impl Ink {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Red => "\x1b[31m",
            Self::Green => "\x1b[32m",
            Self::Yellow => "\x1b[33m",
            Self::Cyan => "\x1b[36m",
            Self::Magenta => "\x1b[35m",
        }
    }

    /// The text in this ink.
    pub(crate) fn paint(self, text: &str, color: bool) -> String {
        if !color || self == Self::Plain || text.is_empty() {
            return text.to_owned();
        }
        // Every line for itself: what shows lines may put something of its own in between.
        let lines: Vec<_> = text.split('\n').map(|line| format!("{}{line}\x1b[0m", self.code())).collect();
        lines.join("\n")
    }
}
