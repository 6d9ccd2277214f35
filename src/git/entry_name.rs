//! Names that a tree may not hold: git itself refuses them at checkout, because a file system somewhere would take them
//! for `.git` or leave the folder (CVE-2014-9390, CVE-2024-35186 and their kin).

use std::borrow::Cow;

/// The name, if it is one that may stand in a tree. What is not UTF-8 in it is replaced: git takes such names, and one
/// odd file must not keep a node from its commit.
pub(super) fn checked(name: &[u8]) -> Option<Cow<'_, str>> {
    let name = String::from_utf8_lossy(name);
    let is_bad = name.is_empty()
        || name == "."
        || name == ".."
        || name.contains(['/', '\\', '\0'])
        || looks_like_dot_git(&name);
    (!is_bad).then_some(name)
}

/// `.git` as any file system may spell it: other case, NTFS short name and trailing dots, spaces and streams, and the
/// characters that HFS+ ignores.
fn looks_like_dot_git(name: &str) -> bool {
    let visible: String = name
        .chars()
        .filter(|c| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'))
        .collect();
    let stem = visible
        .split(':')
        .next()
        .unwrap_or_default()
        .trim_end_matches(['.', ' ']);
    stem.eq_ignore_ascii_case(".git") || stem.eq_ignore_ascii_case("git~1")
}

#[cfg(test)]
mod tests {
    use super::checked;

    #[test]
    fn names_that_git_refuses_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            ".git",
            ".GIT",
            ".Git",
            "git~1",
            "GIT~1",
            ".git ",
            ".git.",
            ".git. .",
            ".git::$INDEX_ALLOCATION",
            "a/b",
            "/",
            "a\\b",
            "\\",
            "a\0b",
            ".g\u{200c}it",
            "\u{feff}.git",
        ] {
            assert_eq!(checked(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(checked(b"\xffa").as_deref(), Some("\u{fffd}a"));
        for good in [
            "a",
            ".github",
            ".gitignore",
            ".gitmodules",
            "git",
            "...",
            "app.yaml",
            "ä b",
            "-rf",
            "git~2",
            "a\nb",
            "\u{1b}[31m",
        ] {
            assert_eq!(checked(good.as_bytes()).as_deref(), Some(good));
        }
    }
}
