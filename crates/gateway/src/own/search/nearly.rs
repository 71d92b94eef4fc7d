//! Words that are written nearly the same.

/// Longest word that is compared letter by letter.
const MOST_LETTERS: usize = 32;

/// Whether one may be the other with a slip of the pen, or its beginning.
pub(super) fn nearly(one: &str, other: &str) -> bool {
    let shorter = one.len().min(other.len());
    if shorter >= 4 && (one.starts_with(other) || other.starts_with(one)) {
        return true;
    }
    if shorter < 4 || one.len().abs_diff(other.len()) > 2 || one.len().max(other.len()) > MOST_LETTERS {
        return false;
    }
    let slips = if shorter < 7 { 1 } else { 2 };
    distance(one.as_bytes(), other.as_bytes()) <= slips
}

/// How many letters must be put in, left out, changed or exchanged with their neighbour.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let width = other.len() + 1;
    let mut rows = [(0..width).collect(), vec![0; width], vec![0; width]];
    for (i, a) in one.iter().enumerate() {
        let [before, last, row] = &mut rows;
        // `before` is the row above; `last` the one above that.
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = before[j] + usize::from(a != b);
            row[j + 1] = changed.min(before[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                row[j + 1] = row[j + 1].min(last[j - 1] + 1);
            }
        }
        rows.rotate_right(1);
    }
    rows[0][width - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_nearly_the_same() {
        for (one, other, is_near) in [
            ("directori", "direcotri", true),
            ("weather", "wether", true),
            ("file", "fiel", true),
            ("calend", "calendar", true),
            ("screenshot", "screenshot", true),
            ("file", "mile", true),
            ("file", "male", false),
            ("cat", "bat", false),
            ("weather", "feather", true),
            ("graph", "gzip", false),
            ("ä", "ö", false),
        ] {
            assert_eq!(nearly(one, other), is_near, "{one} {other}");
            assert_eq!(nearly(other, one), is_near, "{other} {one}");
        }
    }
}
