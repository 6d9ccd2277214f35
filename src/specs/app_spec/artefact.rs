//! What an app is made of: its artefact, its secrets, its configuration files.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::specs::values::Span;

/// Where an artefact comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", tag = "type", deny_unknown_fields)]
pub enum Source {
    /// Nothing is fetched: `command` names what is installed.
    None {},
    /// A folder beside the spec, written out from the commit's tree, or an absolute one that `[sources] paths` allows.
    Path {
        /// The folder.
        path: String,
    },
    /// An archive or executable by URL.
    Release {
        /// The address.
        url: String,
        /// 64 lower-case hex digits, or one digest for each target.
        sha256: Sha256,
    },
    /// A git repository, built on the node.
    Git {
        /// The repository.
        url: String,
        /// Commit, tag or branch.
        #[serde(rename = "ref")]
        reference: String,
        /// The command that builds it, run as an app is run.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        build: Vec<String>,
        /// How long that may take; default 30 m.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        build_timeout: Option<Span>,
    },
    /// A crate, installed with cargo.
    Crate {
        /// The crate; default the app's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Which binaries; default all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        bins: Vec<String>,
    },
    /// A container image.
    Oci {
        /// Its name.
        image: String,
        /// Its digest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
    },
    /// Content by id: any peer that holds it serves it.
    Mesh {
        /// The content id.
        mcid: String,
    },
}

impl Source {
    /// The word in the spec.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None {} => "none",
            Self::Path { .. } => "path",
            Self::Release { .. } => "release",
            Self::Git { .. } => "git",
            Self::Crate { .. } => "crate",
            Self::Oci { .. } => "oci",
            Self::Mesh { .. } => "mesh",
        }
    }
}

/// A release's digest, or one for each target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Sha256 {
    /// For all targets.
    One(String),
    /// By target triple.
    ByTarget(BTreeMap<String, String>),
}

/// An encrypted file in the spec's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Relative to the spec's folder.
    pub path: String,
    /// Hand over a path in place of the value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub file: bool,
}

/// A file from the spec's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Relative to the spec's folder.
    pub from: String,
    /// What a change does; default a new process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Reload>,
}

/// How an app takes a changed config file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reload {
    /// It gets the signal HUP.
    Signal,
}

/// Is this a digest as [`Sha256`] holds it: 64 lower-case hex digits?
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
