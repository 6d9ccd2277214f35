//! The table of `docs/explanation/otp-conformance.md` is never a lie: what it names exists, and what exists it names.

use std::collections::{BTreeMap, BTreeSet};

use crate::project::{files_below, root};

/// How many rows OTP's suite has in the table, and which of them are not taken over.
const ROWS: usize = 87;
const NOT_TAKEN_OVER: [&str; 3] = ["C08", "C19", "R04"];

struct Row {
    tests: Vec<String>,
    remark: String,
}

fn table() -> BTreeMap<String, Row> {
    let page = std::fs::read_to_string(root().join("docs/explanation/otp-conformance.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line
            .split(" | ")
            .map(|cell| cell.trim_matches(['|', ' ']))
            .collect();
        let [id, _, tests, remark] = cells[..] else {
            continue;
        };
        if !is_row_id(id) {
            continue;
        }
        let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let twice = rows.insert(
            id.to_owned(),
            Row {
                tests,
                remark: remark.to_owned(),
            },
        );
        assert!(twice.is_none(), "{id} stands twice in the table");
    }
    rows
}

fn is_row_id(cell: &str) -> bool {
    cell.len() == 3 && cell.starts_with(|c: char| "STCRXGUE".contains(c)) && cell[1..].parse::<u8>().is_ok()
}

/// Every function of the tests and of the supervisor's own unit tests that is named after a row, and is a test.
fn tests_named_after_rows() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["tests/it", "src/supervisor"] {
        for file in files_below(folder, "rs") {
            let code = std::fs::read_to_string(file).unwrap();
            let mut is_test = false;
            for line in code.lines().map(str::trim) {
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                let Some((_, name)) = line.split_once("fn ") else {
                    continue;
                };
                let name = name.split('(').next().unwrap_or_default();
                let is_named_so = name.get(..3).is_some_and(|id| is_row_id(&id.to_uppercase()))
                    && name.as_bytes().get(3) == Some(&b'_');
                if is_named_so && std::mem::take(&mut is_test) {
                    names.insert(name.to_owned());
                }
                is_test = false;
            }
        }
    }
    names
}

#[test]
fn every_row_of_otps_suite_is_in_the_table_and_tested() {
    let table = table();
    let suite: Vec<_> = table.iter().filter(|(id, _)| !id.starts_with('E')).collect();
    assert_eq!(suite.len(), ROWS);
    for (id, row) in suite {
        if NOT_TAKEN_OVER.contains(&id.as_str()) {
            assert!(
                row.tests.is_empty() && row.remark.starts_with("not taken over"),
                "{id}"
            );
        } else {
            assert!(!row.tests.is_empty(), "{id} has no test");
        }
        for test in &row.tests {
            assert!(
                test.starts_with(&format!("{}_", id.to_lowercase())),
                "{test} is not named after {id}"
            );
        }
    }
    for (id, row) in table.iter().filter(|(id, _)| id.starts_with('E')) {
        assert!(
            !row.tests.is_empty() || !row.remark.is_empty(),
            "{id} has neither a test nor a word"
        );
    }
}

#[test]
fn every_test_in_the_table_exists_and_every_test_named_after_a_row_is_in_it() {
    let listed: BTreeSet<String> = table().into_values().flat_map(|row| row.tests).collect();
    let found = tests_named_after_rows();
    let missing: Vec<_> = listed.difference(&found).collect();
    assert!(missing.is_empty(), "in the table, but not a test: {missing:?}");
    let unlisted: Vec<_> = found.difference(&listed).collect();
    assert!(unlisted.is_empty(), "not in the table: {unlisted:?}");
}
