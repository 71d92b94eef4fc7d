//! Tables without lines: columns, of which the last takes the room that is left.

use super::{paint::Ink, plain};

const GAP: usize = 2;
/// Narrowest column that is worth it.
const MIN: usize = 12;

/// Lines of one cell, each in its ink.
#[derive(Default)]
pub(crate) struct Cell(Vec<(String, Ink)>);

impl Cell {
    /// One text; it must be visible already.
    pub(crate) fn new(text: impl Into<String>, ink: Ink) -> Self {
        Self(vec![(text.into(), ink)])
    }

    /// One more text below.
    pub(crate) fn push(&mut self, text: impl Into<String>, ink: Ink) {
        self.0.push((text.into(), ink));
    }

    fn width(&self) -> usize {
        self.0.iter().flat_map(|(text, _)| text.lines()).map(plain::width).max().unwrap_or(0)
    }

    fn lines(&self, width: usize) -> Vec<(String, Ink)> {
        self.0
            .iter()
            .flat_map(|(text, ink)| plain::wrap(text, width).into_iter().map(|line| (line, *ink)))
            .collect()
    }
}

/// Rows of cells below their titles.
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
    columns: usize,
}

impl Table {
    pub(crate) fn new<const COLUMNS: usize>(titles: [&str; COLUMNS]) -> Self {
        let titles = titles.map(|title| Cell::new(title.to_uppercase(), Ink::Dim));
        Self { rows: vec![titles.into()], columns: COLUMNS }
    }

    pub(crate) fn row<const COLUMNS: usize>(&mut self, cells: [Cell; COLUMNS]) {
        debug_assert_eq!(COLUMNS, self.columns, "as many cells as titles");
        self.rows.push(cells.into());
    }

    /// The table, no wider than `width` if that is possible. It ends without a line feed.
    pub(crate) fn show(&self, width: usize, color: bool) -> String {
        let widths = self.widths(width);
        let mut out = Vec::new();
        for row in &self.rows {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| cell.lines(*width)).collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or(0);
            out.extend((0..height).map(|at| line(&cells, &widths, at, color)));
        }
        out.join("\n")
    }

    /// The natural widths if there is room; else each column gets what the narrower ones leave.
    fn widths(&self, room: usize) -> Vec<usize> {
        let natural: Vec<usize> = (0..self.columns)
            .map(|column| self.rows.iter().map(|row| row[column].width()).max().unwrap_or(0))
            .collect();
        let mut room = room.saturating_sub(GAP * (self.columns - 1)).max(MIN);
        let mut order: Vec<usize> = (0..self.columns).collect();
        order.sort_by_key(|column| natural[*column]);
        let mut widths = vec![0; self.columns];
        for (done, column) in order.into_iter().enumerate() {
            let share = (room / (self.columns - done)).max(MIN);
            widths[column] = natural[column].min(share).max(1);
            room = room.saturating_sub(widths[column]);
        }
        widths
    }
}

fn line(cells: &[Vec<(String, Ink)>], widths: &[usize], at: usize, color: bool) -> String {
    let mut out = String::new();
    let mut padding = 0;
    for (lines, width) in cells.iter().zip(widths) {
        if let Some((text, ink)) = lines.get(at).filter(|(text, _)| !text.is_empty()) {
            out.extend(std::iter::repeat_n(' ', padding));
            out.push_str(&ink.paint(text, color));
            padding = width.saturating_sub(plain::width(text)) + GAP;
        } else {
            padding += width + GAP;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_long_texts_are_broken() {
        let mut table = Table::new(["name", "what"]);
        table.row([Cell::new("日本", Ink::Bold), Cell::new("one two three four", Ink::Plain)]);
        table.row([Cell::new("b", Ink::Bold), Cell::new("x", Ink::Plain)]);
        assert_eq!(table.show(20, false), "NAME  WHAT\n日本  one two three\n      four\nb     x");
    }

    #[test]
    fn nothing_is_painted_without_colours_and_everything_is_reset_with_them() {
        let mut table = Table::new(["name"]);
        table.row([Cell::new("a", Ink::Red)]);
        assert_eq!(table.show(80, true), "\x1b[2mNAME\x1b[0m\n\x1b[31ma\x1b[0m");
    }
}
