//! The picture of an app that has no icon: a pattern drawn from its name, alike on every node.
//!
//! The algorithm is bc_gitops' (MD5 of the name; nothing secret about it), so that an app keeps its face.

use std::fmt::Write;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};

/// Cells in a row and in a column.
const GRID: usize = 5;
/// Columns that are drawn from the hash; the rest mirrors them.
const HALF: usize = 3;

/// An SVG of about `size` pixels square. `None` for an empty name or a size that has no room for five cells: bc_gitops
/// draws a picture of nothing there.
#[must_use]
pub fn svg(name: &str, size: u32) -> Option<String> {
    let cell = size.checked_div(GRID as u32).filter(|cell| *cell > 0)?;
    if name.is_empty() {
        return None;
    }
    let hash: [u8; 16] = Md5::digest(name.as_bytes()).into();
    let [first, second, third, pattern @ ..] = hash;
    let hue = u32::from(first) * 360 / 256;
    let saturation = 50 + u32::from(second) * 30 / 256;
    let lightness = 40 + u32::from(third) * 20 / 256;
    let (paper, paper_light) = (saturation / 2, (lightness + 40).min(95));
    let (side, radius, margin) = (cell * GRID as u32, cell / 4, cell / 8);
    let square = cell - 2 * margin;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{side}\" height=\"{side}\" viewBox=\"0 0 {side} {side}\">\
         <rect width=\"100%\" height=\"100%\" fill=\"hsl({hue}, {paper}%, {paper_light}%)\" rx=\"{radius}\"/>"
    );
    for (row, column) in cells(&pattern) {
        let (x, y) = (column * cell + margin, row * cell + margin);
        // Writing to a String cannot fail.
        let _ = write!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{square}\" height=\"{square}\" \
             fill=\"hsl({hue}, {saturation}%, {lightness}%)\" rx=\"{margin}\"/>"
        );
    }
    svg.push_str("</svg>");
    Some(svg)
}

/// The same as a `data:` URI.
#[must_use]
pub fn data_uri(name: &str, size: u32) -> Option<String> {
    svg(name, size).map(|svg| {
        format!(
            "data:image/svg+xml;base64,{}",
            BASE64_STANDARD.encode(svg.as_bytes())
        )
    })
}

/// Row and column of each cell that is drawn: 15 bits, the highest first, as five rows of three, mirrored.
fn cells(pattern: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let bits: Vec<bool> = pattern
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
        .take(GRID * HALF)
        .collect();
    (0..GRID)
        .flat_map(|row| (0..GRID).map(move |column| (row, column)))
        .filter(move |(row, column)| {
            let mirrored = (*column).min(GRID - 1 - column);
            bits.get(row * HALF + mirrored).copied().unwrap_or(false)
        })
        .map(|(row, column)| (row as u32, column as u32))
}
