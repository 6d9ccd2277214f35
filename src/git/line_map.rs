//! Which line of the old text is this line of the new one? (Myers, "An O(ND) Difference Algorithm", 1986.)

/// The most edits that are looked through; two texts further apart share nothing worth tracing. Bounds the memory to
/// 4 MiB.
const EDITS_MAX: usize = 1000;

/// The old number of the line that has the number `line` in `new`, both counted from 0; `None` where the line is new
/// or was changed.
pub(super) fn old_line(old: &[u8], new: &[u8], line: usize) -> Option<usize> {
    let old: Vec<&[u8]> = old.split(|&byte| byte == b'\n').collect();
    let new: Vec<&[u8]> = new.split(|&byte| byte == b'\n').collect();
    if line >= new.len() {
        return None;
    }
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    if line < head {
        return Some(line);
    }
    let old_rest = old.get(head..)?;
    let new_rest = new.get(head..)?;
    let tail = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    if line >= new.len() - tail {
        return Some(line + old.len() - new.len());
    }
    let old_middle = old_rest.get(..old_rest.len() - tail)?;
    let new_middle = new_rest.get(..new_rest.len() - tail)?;
    matching(old_middle, new_middle, line - head).map(|at| at + head)
}

/// The partner of `new[line]` in a shortest edit script.
fn matching(old: &[&[u8]], new: &[&[u8]], line: usize) -> Option<usize> {
    let trace = furthest_by_edits(old, new)?;
    // Back from the end, along the diagonals, until the line is passed.
    let (mut x, mut y) = (old.len(), new.len());
    for (edits, row) in trace.iter().enumerate().rev() {
        let diagonal = signed(x) - signed(y);
        let edits = signed(edits);
        let comes_down =
            diagonal == -edits || (diagonal != edits && reach(row, diagonal - 1) < reach(row, diagonal + 1));
        let before = if comes_down { diagonal + 1 } else { diagonal - 1 };
        let before_x = if edits == 0 {
            0
        } else {
            usize::try_from(reach(row, before)).ok()?
        };
        let start_x = match (edits, comes_down) {
            (0, _) => 0,
            (_, true) => before_x,
            (_, false) => before_x + 1,
        };
        // The matching run on this diagonal: from (start_x, …) to (x, y).
        let run = x.checked_sub(start_x)?;
        let start_y = y.checked_sub(run)?;
        if (start_y..y).contains(&line) {
            return Some(start_x + (line - start_y));
        }
        if edits == 0 || line >= y {
            return None;
        }
        (x, y) = (before_x, usize::try_from(signed(before_x) - before).ok()?);
    }
    None
}

/// For each number of edits, how far every diagonal was reached before it; `None` beyond [`EDITS_MAX`].
fn furthest_by_edits(old: &[&[u8]], new: &[&[u8]]) -> Option<Vec<Vec<i64>>> {
    let mut trace = Vec::new();
    let mut row = vec![0_i64; 3];
    for edits in 0..=EDITS_MAX.min(old.len() + new.len()) {
        trace.push(row.clone());
        let edits = signed(edits);
        let mut next = vec![-1; row.len() + 2];
        let mut diagonal = -edits;
        while diagonal <= edits {
            let mut x = if edits == 0 {
                0
            } else if diagonal == -edits
                || (diagonal != edits && reach(&row, diagonal - 1) < reach(&row, diagonal + 1))
            {
                reach(&row, diagonal + 1)
            } else {
                reach(&row, diagonal - 1) + 1
            };
            while let (Some(a), Some(b)) = (at(old, x), at(new, x - diagonal)) {
                if a != b {
                    break;
                }
                x += 1;
            }
            let middle = signed(next.len() / 2);
            if let Some(cell) = usize::try_from(middle + diagonal)
                .ok()
                .and_then(|cell| next.get_mut(cell))
            {
                *cell = x;
            }
            if x >= signed(old.len()) && x - diagonal >= signed(new.len()) {
                return Some(trace);
            }
            diagonal += 2;
        }
        row = next;
    }
    None
}

/// How far `diagonal` was reached; the row's middle is diagonal 0.
fn reach(row: &[i64], diagonal: i64) -> i64 {
    let middle = signed(row.len() / 2);
    usize::try_from(middle + diagonal)
        .ok()
        .and_then(|cell| row.get(cell))
        .copied()
        .unwrap_or(-1)
}

fn at<'a>(lines: &[&'a [u8]], index: i64) -> Option<&'a [u8]> {
    usize::try_from(index)
        .ok()
        .and_then(|index| lines.get(index))
        .copied()
}

/// Line counts of files that fit into memory fit into an `i64`.
fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::old_line;

    #[test]
    fn a_line_is_followed_through_edits_around_it() {
        let old = b"a\nb\nc\nd\ne";
        for (new, line, expected) in [
            ("a\nb\nc\nd\ne", 2, Some(2)),
            ("x\na\nb\nc\nd\ne", 3, Some(2)),
            ("a\nc\nd\ne", 1, Some(2)),
            ("a\nb\nC\nd\ne", 2, None),
            ("x\na\nC\nd\nz\ne", 3, Some(3)),
            ("x\ny\nc\nz\nw", 2, Some(2)),
            ("e\nd\nc\nb\na", 9, None),
            ("", 0, None),
        ] {
            assert_eq!(old_line(old, new.as_bytes(), line), expected, "{new:?} {line}");
        }
    }

    /// The length of a longest common subsequence, by the textbook's table.
    fn common(old: &[&str], new: &[&str]) -> usize {
        let mut table = vec![vec![0; new.len() + 1]; old.len() + 1];
        for (i, a) in old.iter().enumerate() {
            for (j, b) in new.iter().enumerate() {
                table[i + 1][j + 1] = if a == b {
                    table[i][j] + 1
                } else {
                    table[i][j + 1].max(table[i + 1][j])
                };
            }
        }
        table[old.len()][new.len()]
    }

    proptest! {
        #[test]
        fn matches_are_equal_lines_in_order_and_as_many_as_can_be(
            old in prop::collection::vec("[abc]", 1..20), new in prop::collection::vec("[abc]", 1..20)
        ) {
            let (a, b) = (old.join("\n"), new.join("\n"));
            let pairs: Vec<(usize, usize)> = (0..new.len())
                .filter_map(|line| Some((old_line(a.as_bytes(), b.as_bytes(), line)?, line)))
                .collect();
            prop_assert!(pairs.iter().all(|&(i, j)| old[i] == new[j]));
            prop_assert!(pairs.windows(2).all(|pair| pair[0].0 < pair[1].0));
            let (old, new): (Vec<&str>, Vec<&str>) =
                (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
            prop_assert_eq!(pairs.len(), common(&old, &new));
        }
    }
}
