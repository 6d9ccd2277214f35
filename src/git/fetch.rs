//! Asking a repository for its head, and fetching what is new: into `refs/osier/fetched`, without tags, without checkout.
//!
//! One connection does both: references are listed first, and only if the branch moved is a pack asked for. (A fetch
//! of gix that brings nothing still reports a change, with an empty pack: ids are compared, never its status.)

use std::num::NonZeroU32;
use std::sync::Arc;

use gix::bstr::ByteSlice as _;
use gix::remote::Direction;
use gix::remote::fetch::{RefMap, Shallow, Tags};
use gix::remote::ref_map;

use super::clone::{FETCHED_REF, commit_id, read_ref};
use super::error::{GitError, from_gix};
use super::foreign_text::said;
use super::peek;
use super::settings::GitSettings;
use super::transport::{self, AnyTransport, HttpClient};
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
    /// What is new, and nothing if the branch has not moved. The depth counts for an empty clone: later fetches bring
    /// everything since, so that the way back to the accepted commit has no gap.
    New(Option<NonZeroU32>),
    /// That many commits, also where the branch has not moved.
    Deepen(NonZeroU32),
    /// All of history.
    Everything,
}

/// All that it takes to talk to the server about a clone.
pub(super) struct Contact<'a> {
    pub(super) repository: &'a gix::Repository,
    pub(super) settings: &'a GitSettings,
    pub(super) http: &'a HttpClient,
    pub(super) watch: &'a Arc<Watch>,
}

impl Contact<'_> {
    /// One connection: lists the branch, and fetches it if need be.
    pub(super) fn fetch(&self, reach: Reach) -> Result<Step, GitError> {
        let fetched = read_ref(self.repository, FETCHED_REF)?;
        let is_here = |head: gix::ObjectId| {
            matches!(reach, Reach::New(_)) && fetched == Some(head) && self.repository.has_object(head)
        };
        if let Some(head) = self.peek().filter(|&head| is_here(head)) {
            return Ok(Step::Unchanged(head));
        }
        let remote = self.remote(&self.refspec())?;
        let prepared = self
            .connection(&remote)?
            .prepare_fetch(gix::progress::Discard, ref_map::Options::default())
            .map_err(|error| self.explain(&error))?;

        let listed = prepared.ref_map();
        let Some(head) = first_id(listed) else {
            return Err(self.absent_branch());
        };
        if listed.object_hash != self.repository.object_hash() {
            return Ok(Step::OtherHash(listed.object_hash));
        }
        if is_here(head) {
            return Ok(Step::Unchanged(head));
        }

        self.watch.expect_pack(self.settings.fetch_bytes_max);
        let prepared = match reach {
            Reach::New(Some(depth)) if fetched.is_none() => {
                prepared.with_shallow(Shallow::DepthAtRemote(depth))
            }
            Reach::New(_) => prepared,
            Reach::Deepen(depth) => prepared.with_shallow(Shallow::DepthAtRemote(depth)),
            Reach::Everything => prepared.with_shallow(Shallow::undo()),
        };
        prepared
            .receive(gix::progress::Discard, &self.watch.interrupted)
            .map_err(|error| self.explain(&error))?;
        Ok(Step::Fetched(head))
    }

    /// The head of the branch on the server. Nothing is fetched.
    pub(super) fn remote_head(&self) -> Result<CommitId, GitError> {
        let head = match self.peek() {
            Some(head) => Some(head),
            None => first_id(&self.list(&self.refspec())?),
        };
        match head {
            Some(id) => commit_id(id).ok_or_else(|| GitError::Broken {
                url: self.settings.url.clone(),
                reason: "it names no valid object id".to_owned(),
            }),
            None => Err(self.absent_branch()),
        }
    }

    /// The branch's head, where it can be had without a conversation.
    fn peek(&self) -> Option<gix::ObjectId> {
        peek::branch_head(self.settings.url.local_path()?, &self.settings.branch)
    }

    fn refspec(&self) -> String {
        format!("+refs/heads/{}:{FETCHED_REF}", self.settings.branch)
    }

    fn list(&self, refspec: &str) -> Result<RefMap, GitError> {
        let remote = self.remote(refspec)?;
        let (refs, _handshake) = self
            .connection(&remote)?
            .ref_map(gix::progress::Discard, ref_map::Options::default())
            .map_err(|error| self.explain(&error))?;
        Ok(refs)
    }

    fn remote(&self, refspec: &str) -> Result<gix::Remote<'_>, GitError> {
        // gix never learns the credentials, so it cannot say them.
        self.repository
            .remote_at_without_url_rewrite(self.settings.url.without_credentials().as_str())
            .and_then(|remote| remote.with_refspecs([refspec], Direction::Fetch))
            .map(|remote| remote.with_fetch_tags(Tags::None))
            .map_err(|error| self.explain(&error))
    }

    fn connection<'a>(&self, remote: &'a gix::Remote<'a>) -> Result<Connection<'a>, GitError> {
        self.watch.expect_references();
        let transport = transport::connect(self.settings, self.http, self.watch)?;
        let mut connection = remote.to_connection_with_transport(transport);
        // No helper is asked for credentials, and nothing is configured from files.
        connection.set_credentials(|_| Ok(None));
        connection.set_transport_options(Box::new(()));
        Ok(connection)
    }

    /// The branch was not listed: is it gone, or is there nothing at all?
    fn absent_branch(&self) -> GitError {
        let refs = match self.list("+refs/heads/*:refs/osier/others/*") {
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
        let url = self.settings.url.clone();
        if others.is_empty() {
            GitError::EmptyRepository { url }
        } else {
            GitError::BranchGone {
                url,
                branch: self.settings.branch.clone(),
                others,
            }
        }
    }

    /// The transport knows better than gix why a read failed.
    fn explain(&self, error: &gix::Error) -> GitError {
        self.watch
            .failure()
            .unwrap_or_else(|| from_gix(error, &self.settings.url, self.repository.path()))
    }
}

type Connection<'a> = gix::remote::Connection<'a, 'static, 'a, AnyTransport>;

fn first_id(refs: &RefMap) -> Option<gix::ObjectId> {
    refs.mappings.first()?.remote.as_id().map(ToOwned::to_owned)
}

/// How many other branches an error names.
const OTHERS_MAX: usize = 8;
