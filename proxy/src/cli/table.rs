//! Tables for people: aligned, coloured where the terminal is.

use anstyle::Style;

/// A cell: its text, and how it looks.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(super) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

/// Rows under a head; every column is as wide as its widest cell.
pub(super) fn table<const COLUMNS: usize>(head: [&str; COLUMNS], rows: &[[Cell; COLUMNS]]) -> String {
    let mut widths = head.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.chars().count());
        }
    }
    let head = head.map(|title| Cell::styled(title, Style::new().dimmed()));
    std::iter::once(&head).chain(rows).map(|row| line(row, widths)).collect()
}

fn line<const COLUMNS: usize>(row: &[Cell; COLUMNS], widths: [usize; COLUMNS]) -> String {
    let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
    let mut out = String::new();
    for (index, (cell, width)) in row.iter().zip(widths).enumerate().take(last + 1) {
        let style = cell.style;
        out.push_str(&format!("{style}{}{style:#}", cell.text));
        if index < last {
            out.extend(std::iter::repeat_n(' ', width - cell.text.chars().count() + 2));
        }
    }
    out.push('\n');
    out
}

/// One line of CSV (RFC 4180). What a spreadsheet would take for a formula is made a text.
pub(super) fn csv<'c>(cells: impl IntoIterator<Item = &'c str>) -> String {
    let cells: Vec<String> = cells.into_iter().map(quoted).collect();
    format!("{}\r\n", cells.join(","))
}

fn quoted(cell: &str) -> String {
    let guard = if cell.starts_with(['=', '+', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !cell.contains([',', '"', '\n', '\r']) {
        return cell.to_owned();
    }
    format!("\"{guard}{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let bold = Style::new().bold();
        let text = table(["A", "LONG"], &[[Cell::styled("grün", bold), "x".into()], ["b".into(), "".into()]]);
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), "A     LONG\ngrün  x\nb\n");
        assert!(text.contains("\u{1b}[1mgrün"));
    }

    #[test]
    fn a_cell_of_csv_is_one_text_whatever_it_holds() {
        assert_eq!(csv(["a", "b,c", "say \"hi\"", "=1+1", ""]), "a,\"b,c\",\"say \"\"hi\"\"\",\"'=1+1\",\r\n");
    }
}
