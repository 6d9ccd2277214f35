//! Asking a repository for its head, and fetching what is new: into `refs/osier/fetched`, without tags, without checkout.
//!
//! One connection does both: references are listed first, and only if the branch moved is a pack asked for. (A fetch
//! of gix that brings nothing still reports a change, with an empty pack: ids are compared, never its status.)

use std::num::NonZeroU32;
use std::sync::Arc;

use gix::bstr::ByteSlice as _;
use gix::remote::Direction;
use gix::remote::fetch::{Shallow, Tags};
use gix::remote::ref_map;

use super::clone::{FETCHED_REF, commit_id, read_ref};
use super::error::{GitError, from_gix, said};
use super::settings::GitSettings;
use super::transport;
use super::watch::Watch;
use crate::names::CommitId;

/// What one look at the repository brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The branch is where it was, and everything is here.
    Unchanged {
        /// Its head.
        head: CommitId,
    },
    /// The branch has moved, and its head with everything below was fetched.
    Fetched {
        /// Its head now.
        head: CommitId,
        /// Its head before; `None` at the first fetch.
        previous: Option<CommitId>,
    },
}

impl Update {
    /// The branch's head.
    #[must_use]
    pub fn head(&self) -> &CommitId {
        match self {
            Self::Unchanged { head } | Self::Fetched { head, .. } => head,
        }
    }
}

/// What the server's branch points to, and what happened then.
pub(super) enum Step {
    /// It is where it was.
    Unchanged(gix::ObjectId),
    /// It was fetched.
    Fetched(gix::ObjectId),
    /// The server names objects by another hash than the clone does.
    OtherHash(gix::hash::Kind),
}

/// How far back a fetch reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// As configured; nothing is asked for if the branch has not moved.
    New(Option<NonZeroU32>),
    /// That many commits, also where the branch has not moved.
    Deepen(NonZeroU32),
    /// All of history.
    Everything,
}

/// One connection: list the branch, and fetch it if need be.
pub(super) fn fetch(
    repository: &gix::Repository,
    settings: &GitSettings,
    reach: Reach,
    watch: &Arc<Watch>,
) -> Result<Step, GitError> {
    let failed = |error: gix::Error| explain(&error, settings, repository, watch);
    let refspec = format!("+refs/heads/{}:{FETCHED_REF}", settings.branch);
    let remote = repository
        .remote_at_without_url_rewrite(settings.url.without_credentials().as_str())
        .and_then(|remote| remote.with_refspecs([refspec.as_str()], Direction::Fetch))
        .map_err(failed)?
        .with_fetch_tags(Tags::None);
    let connection = remote.to_connection_with_transport(transport::connect(settings, watch)?);
    let mut connection = connection.with_credentials(|_| Ok(None));
    connection.set_transport_options(Box::new(()));
    let prepared = connection
        .prepare_fetch(gix::progress::Discard, ref_map::Options::default())
        .map_err(failed)?;

    let listed = prepared.ref_map();
    let Some(mapping) = listed.mappings.first() else {
        return Err(absent_branch(repository, settings, watch));
    };
    let Some(head) = mapping.remote.as_id().map(ToOwned::to_owned) else {
        return Err(absent_branch(repository, settings, watch));
    };
    if listed.object_hash != repository.object_hash() {
        return Ok(Step::OtherHash(listed.object_hash));
    }
    if matches!(reach, Reach::New(_))
        && read_ref(repository, FETCHED_REF)? == Some(head)
        && repository.has_object(head)
    {
        return Ok(Step::Unchanged(head));
    }

    watch.expect_pack(settings.fetch_bytes_max);
    let prepared = match reach {
        Reach::New(None) => prepared,
        Reach::New(Some(depth)) | Reach::Deepen(depth) => {
            prepared.with_shallow(Shallow::DepthAtRemote(depth))
        }
        Reach::Everything => prepared.with_shallow(Shallow::undo()),
    };
    prepared
        .receive(gix::progress::Discard, &watch.interrupted)
        .map_err(failed)?;
    Ok(Step::Fetched(head))
}

/// The head of the branch on the server. Nothing is fetched.
pub(super) fn remote_head(
    repository: &gix::Repository,
    settings: &GitSettings,
    watch: &Arc<Watch>,
) -> Result<CommitId, GitError> {
    let refs = list(
        repository,
        settings,
        &format!("+refs/heads/{}:{FETCHED_REF}", settings.branch),
        watch,
    )?;
    match refs.mappings.first().and_then(|mapping| mapping.remote.as_id()) {
        Some(id) => commit_id(id.to_owned()).ok_or_else(|| GitError::Broken {
            url: settings.url.clone(),
            reason: "it names no valid object id".to_owned(),
        }),
        None => Err(absent_branch(repository, settings, watch)),
    }
}

fn list(
    repository: &gix::Repository,
    settings: &GitSettings,
    refspec: &str,
    watch: &Arc<Watch>,
) -> Result<gix::remote::fetch::RefMap, GitError> {
    let failed = |error: gix::Error| explain(&error, settings, repository, watch);
    let remote = repository
        .remote_at_without_url_rewrite(settings.url.without_credentials().as_str())
        .and_then(|remote| remote.with_refspecs([refspec], Direction::Fetch))
        .map_err(failed)?
        .with_fetch_tags(Tags::None);
    let connection = remote.to_connection_with_transport(transport::connect(settings, watch)?);
    let mut connection = connection.with_credentials(|_| Ok(None));
    connection.set_transport_options(Box::new(()));
    let (refs, _handshake) = connection
        .ref_map(gix::progress::Discard, ref_map::Options::default())
        .map_err(failed)?;
    Ok(refs)
}

/// How many other branches an error names.
const OTHERS_MAX: usize = 8;

/// The branch was not listed: is it gone, or is there nothing at all?
fn absent_branch(repository: &gix::Repository, settings: &GitSettings, watch: &Arc<Watch>) -> GitError {
    let refs = match list(repository, settings, "+refs/heads/*:refs/osier/others/*", watch) {
        Ok(refs) => refs,
        Err(error) => return error,
    };
    let mut others: Vec<String> = refs
        .mappings
        .iter()
        .filter_map(|mapping| mapping.remote.as_name())
        .filter_map(|name| name.strip_prefix(b"refs/heads/"))
        .take(OTHERS_MAX)
        .map(|name| format!("`{}`", said(&name.as_bstr().to_string())))
        .collect();
    others.sort();
    if others.is_empty() {
        GitError::EmptyRepository {
            url: settings.url.clone(),
        }
    } else {
        GitError::BranchGone {
            url: settings.url.clone(),
            branch: settings.branch.clone(),
            others,
        }
    }
}

/// The transport knows better than gix why a read failed.
fn explain(
    error: &gix::Error,
    settings: &GitSettings,
    repository: &gix::Repository,
    watch: &Watch,
) -> GitError {
    watch
        .failure()
        .unwrap_or_else(|| from_gix(error, &settings.url, repository.path()))
}
