//! Where an artefact comes from.

use std::collections::BTreeMap;

use super::environment::Variables;
use super::fields::{Decoder, Fields};
use crate::names::shown;
use crate::specs::app_spec::{Sha256, Source, is_sha256};
use crate::specs::mistake::{codes, did_you_mean};
use crate::specs::node::{Node, Value};
use crate::specs::values::Span;

const KINDS: &[&str] = &["none", "path", "release", "git", "crate", "oci", "mesh"];

pub(super) const SPAN_HELP: &str = "write a duration such as 30s, 5m or 2h; a number alone is milliseconds";

/// The keys of each kind beside `type`.
pub const SOURCE_KEYS: &[(&str, &[&str])] = &[
    ("none", &[]),
    ("path", &["path"]),
    ("release", &["url", "sha256"]),
    ("git", &["url", "ref", "build", "build_timeout"]),
    ("crate", &["name", "bins"]),
    ("oci", &["image", "digest"]),
    ("mesh", &["mcid"]),
];

impl Decoder<'_> {
    pub(super) fn source(&mut self, fields: &Fields<'_>, variables: &Variables<'_>) -> Option<Source> {
        let node = fields.get("source")?;
        let map = self.map(node, &"source")?;
        let at = fields.key_at("source");
        let inner = Fields::new(map, at);
        let kind = match inner.get("type") {
            Some(kind) => self.text(kind, &"source.type")?,
            None => {
                self.missing(&inner, "source.type", format!("one of {}", KINDS.join(", ")));
                return None;
            }
        };
        let kind_node = inner.get("type").unwrap_or(node);
        if kind == "hex" {
            self.mistake(
                kind_node.at,
                codes::UNSUPPORTED_SOURCE,
                "`hex` packages are run inside a BEAM, which Osier does not have",
                "build a release of the app and name it: `source: {type: release, url: …, sha256: …}`",
            );
            return None;
        }
        let Some((_, keys)) = SOURCE_KEYS.iter().find(|(known, _)| *known == kind) else {
            let why = format!("`{}` is none of {}", shown(&kind), KINDS.join(", "));
            self.bad_value(kind_node, &"source.type", why, did_you_mean(&kind, KINDS));
            return None;
        };
        let known: Vec<&str> = ["type"].iter().chain(*keys).copied().collect();
        self.check_keys(map, &format_args!("a source of type `{kind}`"), &known);
        match kind.as_str() {
            "none" => Some(Source::None {}),
            "path" => self.path_source(&inner),
            "release" => self.release(&inner, variables),
            "git" => self.git(&inner, fields, variables),
            "crate" => self.crate_source(&inner),
            "oci" => self.oci(&inner),
            _ => self.mesh(&inner),
        }
    }

    fn path_source(&mut self, source: &Fields<'_>) -> Option<Source> {
        let node = self.required(source, "path", "source.path", "name a folder beside the spec")?;
        let path = self.any_path(node, &"source.path")?;
        Some(Source::Path { path })
    }

    fn release(&mut self, source: &Fields<'_>, variables: &Variables<'_>) -> Option<Source> {
        let url = self.url(source, variables);
        let sha256 = self
            .required(
                source,
                "sha256",
                "source.sha256",
                "add the digest that `sha256sum FILE` prints",
            )
            .and_then(|node| self.sha256(node));
        Some(Source::Release {
            url: url?,
            sha256: sha256?,
        })
    }

    fn git(&mut self, source: &Fields<'_>, app: &Fields<'_>, variables: &Variables<'_>) -> Option<Source> {
        let url = self.url(source, variables);
        let reference = self
            .required(source, "ref", "source.ref", "name a commit, tag or branch")
            .and_then(|node| self.text(node, &"source.ref"))
            .and_then(|reference| {
                let is_plain = !reference.is_empty()
                    && !reference.starts_with('-')
                    && !reference.chars().any(|c| c.is_control() || c.is_whitespace());
                if !is_plain {
                    let node_at = source.key_at("ref");
                    self.mistake(
                        node_at,
                        codes::BAD_VALUE,
                        "`source.ref` is no commit, tag or branch",
                        "it must not be empty, begin with a dash or hold spaces",
                    );
                }
                is_plain.then_some(reference)
            });
        let build = self.command(source, "build", variables);
        let build_timeout = source
            .get("build_timeout")
            .and_then(|node| self.measured::<Span>(node, &"source.build_timeout", SPAN_HELP));
        if source.get("build").is_none() && app.get("command").is_none() {
            self.mistake(
                source.at,
                codes::UNSUPPORTED_SOURCE,
                "a git source without `build` and `command` would need a BEAM build, which Osier does not do",
                "add how it is built and started: `source.build: [\"make\"]` and `command: [\"bin/app\"]`",
            );
        }
        Some(Source::Git {
            url: url?,
            reference: reference?,
            build,
            build_timeout,
        })
    }

    fn crate_source(&mut self, source: &Fields<'_>) -> Option<Source> {
        let name = source.get("name").and_then(|node| {
            let name = self.text(node, &"source.name")?;
            let is_valid = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
                && name.len() <= 64;
            if !is_valid {
                self.bad_value(
                    node,
                    &"source.name",
                    "it is not a crate's name",
                    "write the name of a crate",
                );
            }
            is_valid.then_some(name)
        });
        let bins = self.names(source, "bins", "source.bins");
        Some(Source::Crate { name, bins })
    }

    fn oci(&mut self, source: &Fields<'_>) -> Option<Source> {
        let node = self.required(source, "image", "source.image", "name an image")?;
        let image = self.text(node, &"source.image")?;
        let is_valid = !image.is_empty()
            && !image.starts_with('-')
            && image
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b));
        if !is_valid {
            self.bad_value(
                node,
                &"source.image",
                "it is not an image's name",
                "write registry/name:tag",
            );
        }
        let digest = source.get("digest").and_then(|node| {
            let digest = self.text(node, &"source.digest")?;
            let is_digest = digest.strip_prefix("sha256:").is_some_and(is_sha256);
            if !is_digest {
                self.bad_value(
                    node,
                    &"source.digest",
                    "it is not a digest",
                    "write sha256: and 64 lower-case hex digits",
                );
            }
            is_digest.then_some(digest)
        });
        is_valid.then_some(Source::Oci { image, digest })
    }

    fn mesh(&mut self, source: &Fields<'_>) -> Option<Source> {
        let node = self.required(source, "mcid", "source.mcid", "name the content's id")?;
        let mcid = self.text(node, &"source.mcid")?;
        let is_valid = !mcid.is_empty()
            && mcid.len() <= 256
            && mcid
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !is_valid {
            self.bad_value(
                node,
                &"source.mcid",
                "it is not a content id",
                "copy it from `osier content`",
            );
        }
        is_valid.then_some(Source::Mesh { mcid })
    }

    fn url(&mut self, source: &Fields<'_>, variables: &Variables<'_>) -> Option<String> {
        let node = self.required(source, "url", "source.url", "add the address")?;
        let url = variables.text(self, node, &"source.url")?;
        let has_scheme = url.split_once(':').is_some_and(|(scheme, rest)| {
            !rest.is_empty() && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        });
        let why = if url.starts_with('-') {
            "it begins with a dash"
        } else if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            "a space or control character stands in it"
        } else if url.starts_with("ext::") || url.starts_with("fd::") {
            "this transport runs commands"
        } else if !has_scheme {
            "it is no address"
        } else {
            return Some(url);
        };
        self.bad_value(
            node,
            &"source.url",
            why,
            "write for example https://example.com/app.tar.gz",
        );
        None
    }

    fn sha256(&mut self, node: &Node) -> Option<Sha256> {
        const HELP: &str = "write the 64 lower-case hex digits that `sha256sum FILE` prints";
        if let Value::Map(map) = &node.value {
            let mut by_target = BTreeMap::new();
            for (target, entry) in &map.0 {
                let key = format_args!("source.sha256.{target}");
                let digest = self.text(&entry.node, &key)?;
                if is_sha256(&digest) {
                    by_target.insert(target.clone(), digest);
                } else {
                    self.bad_value(&entry.node, &key, "it is not a sha256", HELP);
                }
            }
            return Some(Sha256::ByTarget(by_target));
        }
        let digest = self.text(node, &"source.sha256")?;
        if is_sha256(&digest) {
            Some(Sha256::One(digest))
        } else {
            self.bad_value(node, &"source.sha256", "it is not a sha256", HELP);
            None
        }
    }

    /// A list of plain file names.
    fn names(&mut self, fields: &Fields<'_>, key: &str, path: &'static str) -> Vec<String> {
        let items = fields
            .get(key)
            .and_then(|node| self.list(node, &path))
            .unwrap_or_default();
        items
            .iter()
            .filter_map(|item| {
                let name = self.text(item, &path)?;
                let is_plain =
                    !name.is_empty() && !name.starts_with('-') && !name.contains('/') && name != "..";
                if !is_plain {
                    self.bad_value(
                        item,
                        &path,
                        "it is not a file's name",
                        "write the name of a binary",
                    );
                }
                is_plain.then_some(name)
            })
            .collect()
    }

    /// The value of a key that must be there.
    pub(super) fn required<'n>(
        &mut self,
        fields: &Fields<'n>,
        key: &str,
        path: &str,
        help: &str,
    ) -> Option<&'n Node> {
        let node = fields.get(key);
        if node.is_none() {
            self.missing(fields, path, help);
        }
        node
    }
}
