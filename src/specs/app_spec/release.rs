//! What a release's address says about the file behind it.

use crate::names::ArtefactId;

/// How an artefact is packed, by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// `.tar`
    Tar,
    /// `.tar.gz`, `.tgz`
    TarGz,
    /// `.tar.zst`, `.tzst`
    TarZst,
    /// `.zip`
    Zip,
    /// Anything else: one executable.
    Executable,
}

impl Packing {
    /// That of a file with this name.
    #[must_use]
    pub fn of(file_name: &str) -> Self {
        let name = file_name.to_ascii_lowercase();
        let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        if ends(&[".tar.gz", ".tgz"]) {
            Self::TarGz
        } else if ends(&[".tar.zst", ".tzst"]) {
            Self::TarZst
        } else if ends(&[".tar"]) {
            Self::Tar
        } else if ends(&[".zip"]) {
            Self::Zip
        } else {
            Self::Executable
        }
    }
}

impl std::fmt::Display for Packing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tar => "a tar archive",
            Self::TarGz => "a gzipped tar archive",
            Self::TarZst => "a tar archive packed by zstd",
            Self::Zip => "a zip archive",
            Self::Executable => "an executable",
        })
    }
}

/// The last step of the path of a release's address, as far as it may be a file's name; else `app`.
#[must_use]
pub fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let name = path
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
        .and_then(|(_, path)| path.rsplit('/').next())
        .unwrap_or_default();
    let is_plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._+~-".contains(&byte));
    let is_name = !name.is_empty() && name.len() <= 128 && !name.starts_with(['.', '-']);
    if is_plain && is_name { name } else { "app" }
}

/// Under what a release is kept. An archive: its digest. Of a bare executable the name counts as well, because a spec may
/// call it by that.
#[must_use]
pub fn artefact_id(url: &str, sha256: &str) -> Option<ArtefactId> {
    let name = file_name(url);
    if Packing::of(name) != Packing::Executable {
        return sha256.parse().ok();
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(sha256.as_bytes());
    hasher.update(name.as_bytes());
    hasher.finalize().to_hex().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_says_how_it_is_packed() {
        for (name, packing) in [
            ("web-1.4.2.tar.gz", Packing::TarGz),
            ("web.TGZ", Packing::TarGz),
            ("web.tar.zst", Packing::TarZst),
            ("web.tar", Packing::Tar),
            ("web.zip", Packing::Zip),
            ("web", Packing::Executable),
            ("web-1.4.2", Packing::Executable),
            ("web.gz", Packing::Executable),
        ] {
            assert_eq!(Packing::of(name), packing, "{name}");
        }
    }

    #[test]
    fn the_name_of_a_file_is_the_last_step_of_its_address_if_it_may_be_one() {
        for (url, name) in [
            ("https://h/a/web-1.0.tar.gz", "web-1.0.tar.gz"),
            ("https://h/a/web?token=x/y", "web"),
            ("https://h/web#x", "web"),
            ("https://h/", "app"),
            ("https://h", "app"),
            ("https://h/..", "app"),
            ("https://h/.ssh", "app"),
            ("https://h/-rf", "app"),
            ("https://h/a%2fb", "app"),
        ] {
            assert_eq!(file_name(url), name, "{url}");
        }
    }

    #[test]
    fn an_archive_is_kept_under_its_digest_and_an_executable_under_digest_and_name() {
        let digest = "a".repeat(64);
        assert_eq!(artefact_id("https://h/x.tar", &digest).unwrap().as_str(), digest);
        assert_eq!(
            artefact_id("https://other/y.tar", &digest).unwrap().as_str(),
            digest
        );
        let named = |url: &str| artefact_id(url, &digest).unwrap();
        assert_eq!(named("https://h/1/web"), named("https://h/2/web"));
        assert_ne!(named("https://h/web"), named("https://h/api"));
        assert_eq!(artefact_id("https://h/web.tar", "no digest"), None);
    }
}
