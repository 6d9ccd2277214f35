//! The map is never a lie: what `src/` imports is held against the table in `docs/architecture.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::project::{files_below, root};

/// Floor by top-level module, from the table whose first column is `floor`.
fn floors_of(document: &str) -> BTreeMap<String, u8> {
    let mut floors = BTreeMap::new();
    let rows = document
        .lines()
        .skip_while(|line| !line.starts_with("| floor |"))
        .skip(2);
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let floor: u8 = cells[1].parse().expect("the first column is the floor");
        for place in cells[2].split('`').skip(1).step_by(2) {
            let module = place.trim_end_matches('/').trim_end_matches(".rs").to_owned();
            let twice = floors.insert(module.clone(), floor);
            assert_eq!(twice, None, "{module} stands twice in the table");
        }
    }
    floors
}

/// `src/runtime/keeper/spawn.rs` is `["runtime", "keeper", "spawn"]`.
fn module_path(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(root().join("src")).unwrap().with_extension("");
    inside
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect()
}

/// The text without line comments, so that documentation may point wherever it likes.
fn without_comments(text: &str) -> String {
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// The first name of every path that starts at the crate's root: of `crate::{a::X, b}` it is `a` and `b`.
fn names_from_root(code: &str, start: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(start) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$' || c == ':') {
            continue;
        }
        let rest = &code[at + start.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(first_names_of_group(group)),
            None => names.extend(first_name(rest)),
        }
    }
    names
}

fn first_name(path: &str) -> Option<String> {
    let path = path.trim_start();
    let end = path
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_owned())
}

fn first_names_of_group(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut item) = (0, String::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => names.extend(first_name(&std::mem::take(&mut item))),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                item.push(c);
            }
        }
    }
    names.extend(first_name(&item));
    names
}

/// What is wrong with one file's imports, one line each.
fn upward_imports(module: &[String], code: &str, floors: &BTreeMap<String, u8>) -> Vec<String> {
    let own = module.first().map_or("", String::as_str);
    let Some(own_floor) = floors.get(own) else {
        return vec![format!(
            "module `{own}` is missing in the table of docs/architecture.md"
        )];
    };
    let mut named = names_from_root(code, "crate::");
    if own == "main" {
        named.extend(names_from_root(code, "osier::"));
    }
    // `super::` repeated reaches the root as well, or from within `mod tests` a sibling.
    let climb = "super::".repeat(module.len());
    let is_sibling =
        |name: &String| module.len() > 1 && root().join("src").join(own).join(format!("{name}.rs")).exists();
    let climbed = names_from_root(code, &climb);
    named.extend(
        climbed
            .into_iter()
            .filter(|name| floors.contains_key(name) && !is_sibling(name)),
    );
    let complaint = |name: &String| match floors.get(name) {
        Some(floor) if floor > own_floor => Some(format!(
            "floor {own_floor} `{own}` imports from floor {floor} `{name}`"
        )),
        Some(_) => None,
        None => Some(format!(
            "`crate::{name}` hides its floor: name the module, and the table must know it"
        )),
    };
    named.iter().filter_map(complaint).collect()
}

fn sources() -> Vec<PathBuf> {
    let mut files = files_below("src", "rs");
    files.retain(|file| file.file_name().is_some_and(|name| name != "lib.rs"));
    files
}

#[test]
fn every_module_stands_on_a_floor_and_imports_only_downwards() {
    let floors = floors_of(&std::fs::read_to_string(root().join("docs/architecture.md")).unwrap());
    assert!(floors.len() > 5, "the table was not found: {floors:?}");
    let mut wrong = Vec::new();
    for file in sources() {
        let code = without_comments(&std::fs::read_to_string(&file).unwrap());
        for complaint in upward_imports(&module_path(&file), &code, &floors) {
            wrong.push(format!(
                "{}: {complaint}",
                file.strip_prefix(root()).unwrap().display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_upward_import_is_found_in_every_way_to_write_it() {
    let floors = BTreeMap::from([
        ("low".to_owned(), 0),
        ("high".to_owned(), 3),
        ("main".to_owned(), 5),
    ]);
    let low = ["low".to_owned()];
    let below = ["low".to_owned(), "inner".to_owned()];
    let complaints = |module: &[String], code: &str| upward_imports(module, code, &floors).len();
    assert_eq!(complaints(&low, "use crate::high::X;"), 1);
    assert_eq!(complaints(&low, "use crate::{low::{A, B}, high::X};"), 1);
    assert_eq!(complaints(&low, "fn f() { crate::high::f() }"), 1);
    assert_eq!(complaints(&below, "use super::super::high::X;"), 1);
    assert_eq!(
        complaints(&low, "use crate::Facade;"),
        1,
        "a re-export hides the floor"
    );
    assert_eq!(complaints(&["new".to_owned()], ""), 1, "a module without a floor");
    assert_eq!(complaints(&["main".to_owned()], "use osier::high::X;"), 0);
    assert_eq!(
        complaints(&["high".to_owned()], "use crate::low::X; pub(crate) fn f() {}"),
        0
    );
    assert_eq!(
        complaints(&below, &without_comments("/// See [`crate::high::X`].")),
        0
    );
}
