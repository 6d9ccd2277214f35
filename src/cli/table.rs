//! Columns without borders: aligned by display width, and the last column cut to the terminal.

use unicode_width::UnicodeWidthStr;

use super::look::{Look, Tone};

/// Between two columns.
const GAP: usize = 2;

/// The narrowest that the last column is cut to; beyond that the terminal may wrap.
const LAST_COLUMN_MIN: usize = 12;

/// One cell: what it says and what that means.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
    is_right: bool,
}

impl Cell {
    /// A plain cell.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            tone: Tone::Plain,
            is_right: false,
        }
    }

    /// A number, aligned to the right.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a number at hand is passed as it is"
    )]
    pub(crate) fn number(text: impl ToString) -> Self {
        Self {
            is_right: true,
            ..Self::new(text.to_string())
        }
    }

    /// The same in a tone.
    pub(crate) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// A table with a head.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty one.
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self {
            head: head.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table as text, each line ended.
    pub(crate) fn draw(&self, look: &Look) -> String {
        let widths = self.widths();
        let numbers: Vec<bool> = (0..self.head.len())
            .map(|column| {
                self.rows
                    .first()
                    .and_then(|row| row.get(column))
                    .is_some_and(|cell| cell.is_right)
            })
            .collect();
        let head = self.head.iter().zip(numbers).map(|(text, is_right)| Cell {
            is_right,
            ..Cell::new(*text).tone(Tone::Dim)
        });
        let mut text = draw_row(look, &widths, &head.collect::<Vec<_>>());
        for row in &self.rows {
            text.push_str(&draw_row(look, &widths, row));
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let column = |(index, head): (usize, &&'static str)| {
            let cells = self
                .rows
                .iter()
                .filter_map(|row| row.get(index))
                .map(|cell| cell.text.width());
            cells.max().unwrap_or(0).max(head.width())
        };
        self.head.iter().enumerate().map(column).collect()
    }
}

fn draw_row(look: &Look, widths: &[usize], cells: &[Cell]) -> String {
    let mut line = String::new();
    let mut at = 0;
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let is_last = index + 1 == cells.len();
        let text = match look.width {
            Some(columns) if is_last => {
                cut(look, &cell.text, columns.saturating_sub(at).max(LAST_COLUMN_MIN))
            }
            _ => cell.text.clone(),
        };
        let pad = " ".repeat(width.saturating_sub(text.width()));
        let painted = look.paint(cell.tone, &text);
        if cell.is_right {
            line.push_str(&pad);
            line.push_str(&painted);
        } else {
            line.push_str(&painted);
            if !is_last {
                line.push_str(&pad);
            }
        }
        if !is_last {
            line.push_str(&" ".repeat(GAP));
        }
        at += width + GAP;
    }
    let mut line = line.trim_end().to_owned();
    line.push('\n');
    line
}

/// `text` in at most `columns`, with a sign where something is missing.
pub(crate) fn cut(look: &Look, text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let more = look.pick("…", "...");
    let mut kept = String::new();
    for c in text.chars() {
        let mut longer = kept.clone();
        longer.push(c);
        if longer.width() + more.width() > columns {
            break;
        }
        kept = longer;
    }
    kept.push_str(more);
    kept
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::PLAIN;
    use super::*;

    #[test]
    fn columns_align_by_what_is_seen() {
        let mut table = Table::new(&["APP", "N", "WHAT"]);
        table.row(vec![Cell::new("日本"), Cell::number(7), Cell::new("x")]);
        table.row(vec![Cell::new("a"), Cell::number(1234), Cell::new("")]);
        assert_eq!(
            table.draw(&PLAIN),
            "APP      N  WHAT\n日本     7  x\na     1234\n"
        );
    }

    #[test]
    fn only_the_last_column_is_cut_and_colour_is_no_width() {
        let look = Look {
            width: Some(24),
            is_coloured: true,
            ..PLAIN
        };
        let mut table = Table::new(&["A", "B"]);
        table.row(vec![
            Cell::new("0123456").tone(Tone::Bad),
            Cell::new("the end of this is cut off"),
        ]);
        let text = table.draw(&look);
        assert!(
            text.ends_with("\u{1b}[31m0123456\u{1b}[0m  the end of thi…\n"),
            "{text:?}"
        );
    }
}
