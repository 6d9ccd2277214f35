//! Rules of the project that no compiler checks.

use std::path::{Path, PathBuf};

/// Lines of a source file before its tests begin; more means that it has more than one reason to exist.
const FILE_LINES_MAX: usize = 500;

/// The repository's folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files with this ending below a folder of the repository, sorted.
pub fn files_below(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests") || path.iter().any(|part| part == "tests")
}

/// The lines before the module of tests.
fn product_lines(text: &str) -> usize {
    text.lines()
        .take_while(|line| !line.starts_with("mod tests {"))
        .count()
}

#[test]
fn every_profile_unwinds_because_supervision_catches_panics() {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let profiles = manifest["profile"].as_table().unwrap();
    for name in ["dev", "release"] {
        assert_eq!(profiles[name]["panic"].as_str(), Some("unwind"), "profile {name}");
    }
    for (name, profile) in profiles {
        let panic = profile.get("panic").and_then(|value| value.as_str());
        assert_ne!(panic, Some("abort"), "profile {name}");
    }
}

#[test]
fn no_file_has_grown_past_what_a_reader_takes_in() {
    let sources = files_below("src", "rs");
    assert!(sources.len() > 10, "src/ was not found");
    let long = |path: &&PathBuf| product_lines(&std::fs::read_to_string(path).unwrap()) > FILE_LINES_MAX;
    let long: Vec<String> = sources
        .iter()
        .filter(|path| !is_test_file(path))
        .filter(long)
        .map(|path| shown(path))
        .collect();
    assert_eq!(
        long,
        Vec::<String>::new(),
        "more than {FILE_LINES_MAX} lines before the tests"
    );
}

#[test]
fn a_module_with_rooms_is_a_file_beside_its_folder() {
    let heads = files_below("src", "rs")
        .into_iter()
        .filter(|path| path.ends_with("mod.rs"));
    assert_eq!(
        heads.map(|path| shown(&path)).collect::<Vec<_>>(),
        Vec::<String>::new()
    );
}

#[test]
fn every_source_file_says_what_it_is() {
    let mut silent = files_below("src", "rs");
    silent.retain(|path| !is_test_file(path) && !std::fs::read_to_string(path).unwrap().starts_with("//!"));
    assert_eq!(
        silent.iter().map(|path| shown(path)).collect::<Vec<_>>(),
        Vec::<String>::new()
    );
}

#[test]
fn nothing_is_left_half_done() {
    // Written in two parts, so that this file does not find itself.
    let marks = [
        ["todo", "!("],
        ["unimplemented", "!("],
        ["dbg", "!("],
        ["FIX", "ME"],
        ["#[ign", "ore"],
    ];
    let parts_of_tests = ["#[ign", "ore = \"a part of "].concat();
    let mut found = Vec::new();
    for folder in ["src", "tests", "examples", "benches"] {
        for path in files_below(folder, "rs") {
            // A test that another one runs as a process of its own is no test by itself.
            let text = std::fs::read_to_string(&path)
                .unwrap()
                .replace(&parts_of_tests, "");
            let marked = marks
                .iter()
                .map(|parts| parts.concat())
                .filter(|mark| text.contains(mark));
            found.extend(marked.map(|mark| format!("{}: {mark}", shown(&path))));
        }
    }
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn unsafe_code_stays_in_its_two_rooms() {
    let allowed = ["src/runtime/keeper/spawn.rs", "src/runtime/keeper/sockets.rs"];
    let marks = [
        "unsafe {",
        "unsafe fn",
        "unsafe impl",
        "allow(unsafe_code",
        "expect(unsafe_code",
    ];
    let holds = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(str::trim_start)
            .any(|line| !line.starts_with("//") && marks.iter().any(|mark| line.contains(mark)))
    };
    let strangers: Vec<String> = files_below("src", "rs")
        .iter()
        .filter(|path| holds(path))
        .map(|path| shown(path))
        .filter(|path| !allowed.contains(&path.as_str()) && !path.starts_with("src/runtime/keeper/spawn/"))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn every_decision_stands_in_the_index() {
    let index = std::fs::read_to_string(root().join("docs/decisions/README.md")).unwrap();
    for path in files_below("docs/decisions", "md") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(
            name == "README.md" || index.contains(&name),
            "docs/decisions/README.md lacks {name}"
        );
    }
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let mut documents = files_below("docs", "md");
    documents.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name)));
    let mut broken = Vec::new();
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let is_local = !target.is_empty() && !target.contains("://") && !target.contains(' ');
            if is_local && !document.parent().unwrap().join(target).exists() {
                broken.push(format!("{}: {link}", shown(&document)));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}
