//! The table of `docs/explanation/bad-input.md` is never a lie: each test and each case that it names exists.

use std::collections::BTreeSet;

use crate::project::{files_below, root};

#[test]
fn every_test_that_the_table_of_bad_input_names_exists() {
    let page = std::fs::read_to_string(root().join("docs/explanation/bad-input.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut tests = BTreeSet::new();
    for file in files_below("tests/it", "rs")
        .into_iter()
        .chain(files_below("src", "rs"))
    {
        let code = std::fs::read_to_string(file).unwrap();
        let names = code.lines().filter_map(|line| {
            line.trim()
                .split_once("fn ")?
                .1
                .split('(')
                .next()
                .map(str::to_owned)
        });
        tests.extend(names);
    }
    let mut count = 0;
    for row in rows {
        let shown_by = row.rsplit(" | ").next().unwrap();
        let named: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "nothing shows it: {row}");
        for name in named {
            let case = root().join(format!("tests/blackbox/cases/{name}.sh"));
            assert!(
                tests.contains(name) || case.exists(),
                "there is no `{name}`: {row}"
            );
        }
        count += 1;
    }
    assert!(count >= 19, "{count} rows");
}
