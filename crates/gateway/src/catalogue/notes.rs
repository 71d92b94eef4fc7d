//! Lines for people about what had to be changed or left out.

/// More lines are only counted: an upstream with thousands of odd names should not fill a screen.
const MAX: usize = 200;

/// Lines for people, in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    lines: Vec<String>,
    more: usize,
}

impl Notes {
    pub(super) fn add(&mut self, line: String) {
        if self.lines.len() < MAX {
            self.lines.push(line);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("and {} more", self.more));
        self.lines.iter().cloned().chain(more).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_bound_are_counted() {
        let mut notes = Notes::default();
        for number in 0..MAX + 3 {
            notes.add(number.to_string());
        }

        let lines = notes.lines();

        assert_eq!(lines.len(), MAX + 1);
        assert_eq!(lines.last().unwrap(), "and 3 more");
    }
}
