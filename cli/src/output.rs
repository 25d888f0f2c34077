//! Results on stdout. Unlike `println!`, a full disk or a closed pipe is an error, not a panic.

use std::fmt::Display;
use std::io::Write;

use anyhow::{Context, Result};
use serde::Serialize;

/// Writes one line of result.
pub fn line(text: impl Display) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).context("stdout")
}

/// Writes `value` as one line of JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    line(serde_json::to_string(value)?)
}

/// Lays out `rows` under `heads`, columns of figures to the right.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> Result<()> {
    line(aligned(heads, rows))
}

fn aligned(heads: &[&str], rows: &[Vec<String>]) -> String {
    let length = |text: &str| text.chars().count();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| length(cell));
        cells.chain([length(heads[column])]).max().unwrap_or(0)
    };
    let is_figure =
        |text: &String| text.starts_with(|c: char| c.is_ascii_digit() || "-−".contains(c));
    let has_figures = |column: usize| rows.iter().filter_map(|row| row.get(column)).all(is_figure);
    let layout: Vec<(usize, bool)> =
        (0..heads.len()).map(|column| (width(column), has_figures(column))).collect();
    let lay_out = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&layout)
            .map(|(cell, &(width, figures))| match figures {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            })
            .collect();
        padded.join("  ").trim_end().to_string()
    };
    let mut lines = vec![lay_out(&mut heads.iter().copied())];
    lines.extend(rows.iter().map(|row| lay_out(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["näme".to_string(), "1.25".into()], vec!["b".to_string(), "12.5".into()]];
        assert_eq!(aligned(&["", "RTF"], &rows), "       RTF\nnäme  1.25\nb     12.5");
    }
}
