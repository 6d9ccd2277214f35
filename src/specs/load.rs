//! From a commit's tree to the desired state of one node.
//!
//! Each folder of the apps directory is read on its own ([`folder`], [`search`]), with `osier.yaml` beneath ([`settings`]); then the
//! apps are checked against each other ([`across`]). A folder whose object id is the one of last time is not read again.

mod across;
mod assembly;
mod folder;
mod search;
mod settings;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use self::folder::FolderOutcome;
pub use self::settings::Settings;
use super::desired::{Desired, SpecError};
use super::facts::NodeFacts;
use super::tree::{Entry, EntryKind, Tree, TreeError};
use crate::names::{AppName, ObjectId, shown};

/// The most apps of one repository.
pub const APPS_MAX: usize = 10_000;

/// The file at the repository's root that holds defaults for all apps.
pub const SETTINGS_FILE: &str = "osier.yaml";

/// Why nothing of a commit is used. What ran goes on as it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RepositoryError {
    /// The tree is one that git itself would refuse, or cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// `osier.yaml` has mistakes; it concerns every app.
    #[error("{}", first_of(.0))]
    Settings(Vec<SpecError>),
    /// The apps directory is no directory.
    #[error("{path} is {found}, not a folder of apps")]
    NotAFolder {
        /// The apps directory.
        path: String,
        /// What is there.
        found: &'static str,
    },
    /// There are more apps than [`APPS_MAX`].
    #[error("{path} has {found} apps, more than the {APPS_MAX} that are allowed")]
    TooManyApps {
        /// The apps directory.
        path: String,
        /// How many there are.
        found: usize,
    },
}

/// The first mistake with its place and its fix, and how many more there are.
fn first_of(mistakes: &[SpecError]) -> String {
    let Some((first, others)) = mistakes.split_first() else {
        return format!("{SETTINGS_FILE} has a mistake");
    };
    let more = match others.len() {
        0 => String::new(),
        1 => " (and 1 more mistake)".to_owned(),
        count => format!(" (and {count} more mistakes)"),
    };
    format!("{}: {}; {}{more}", first.place(), first.message, first.help)
}

/// What was read last time. It makes an unchanged repository free, and remembers for which app each folder stood.
#[derive(Debug, Default)]
pub struct SpecCache {
    facts: Option<NodeFacts>,
    settings: Option<(ObjectId, Arc<Settings>)>,
    apps_dir: String,
    apps_id: Option<ObjectId>,
    desired: Option<Arc<Desired>>,
    folders: HashMap<Arc<str>, (ObjectId, Arc<FolderOutcome>)>,
    /// By the folder's path from the repository's root.
    names: BTreeMap<String, AppName>,
    read_count: u64,
}

impl SpecCache {
    /// A cache that knows for which app each folder ("apps/web") last stood: after a restart, from what the store
    /// has kept of the apps ([`super::DesiredApp::folder`]).
    #[must_use]
    pub fn with_names(names: BTreeMap<String, AppName>) -> Self {
        Self {
            names,
            ..Self::default()
        }
    }

    /// For which app each folder last stood.
    #[must_use]
    pub fn names(&self) -> &BTreeMap<String, AppName> {
        &self.names
    }

    /// How many folders have been read and parsed so far: a load without change adds none.
    #[must_use]
    pub fn read_count(&self) -> u64 {
        self.read_count
    }
}

/// Reads the desired state of the node that `facts` describe from `tree`.
///
/// The same `Arc` comes back as long as nothing changed; an app that did not change keeps its `Arc` in a new one.
///
/// # Errors
/// When nothing of the commit can be used. Mistakes of single apps are in [`Desired::invalid`] instead.
pub fn load(
    tree: &dyn Tree,
    apps_dir: &str,
    facts: &NodeFacts,
    cache: &mut SpecCache,
) -> Result<Arc<Desired>, RepositoryError> {
    let apps_dir = apps_dir.trim_matches('/');
    let settings = read_settings(tree, facts, cache)?;
    let is_same_ground = cache.facts.as_ref() == Some(facts)
        && cache.settings.as_ref().map(|(id, _)| id) == settings.as_ref().map(|(id, _)| id)
        && cache.apps_dir == apps_dir;
    if !is_same_ground {
        cache.folders.clear();
        cache.desired = None;
        cache.facts = Some(facts.clone());
        cache.settings.clone_from(&settings);
        apps_dir.clone_into(&mut cache.apps_dir);
    }
    let (apps_id, entries) = list_apps(tree, apps_dir, cache)?;
    if let (Some(desired), None) = (&cache.desired, &entries) {
        return Ok(desired.clone());
    }
    let entries = entries.unwrap_or_default();
    let settings = settings.map(|(_, settings)| settings);
    let outcomes = read_folders(tree, apps_dir, &entries, settings.as_deref(), facts, cache)?;
    let desired = Arc::new(assembly::assemble(
        &outcomes,
        settings.as_deref(),
        facts,
        &mut cache.names,
    ));
    cache.apps_id = apps_id;
    cache.desired = Some(desired.clone());
    Ok(desired)
}

type KnownSettings = Option<(ObjectId, Arc<Settings>)>;

fn read_settings(
    tree: &dyn Tree,
    facts: &NodeFacts,
    cache: &SpecCache,
) -> Result<KnownSettings, RepositoryError> {
    let Some(entry) = tree.entry(SETTINGS_FILE)? else {
        return Ok(None);
    };
    if let Some((id, settings)) = &cache.settings
        && *id == entry.id
        && cache.facts.as_ref() == Some(facts)
    {
        return Ok(Some((id.clone(), settings.clone())));
    }
    let settings = settings::read(tree, &entry, facts)?;
    Ok(Some((entry.id, Arc::new(settings))))
}

/// The entries of the apps directory; `None` when they are those of last time.
fn list_apps(
    tree: &dyn Tree,
    apps_dir: &str,
    cache: &SpecCache,
) -> Result<(Option<ObjectId>, Option<Vec<Entry>>), RepositoryError> {
    if apps_dir.is_empty() || apps_dir == "." {
        return Ok((None, Some(tree.folder("")?.unwrap_or_default())));
    }
    let Some(entry) = tree.entry(apps_dir)? else {
        return Ok((None, Some(Vec::new())));
    };
    if entry.kind != EntryKind::Folder {
        return Err(RepositoryError::NotAFolder {
            path: shown(apps_dir),
            found: search::kind_in_words(entry.kind),
        });
    }
    if cache.desired.is_some() && cache.apps_id.as_ref() == Some(&entry.id) {
        return Ok((Some(entry.id), None));
    }
    let entries = tree.folder_of(&entry, apps_dir)?;
    Ok((Some(entry.id), Some(entries)))
}

/// A folder of the apps directory and what came of it.
type Outcomes = Vec<(Arc<str>, Arc<FolderOutcome>)>;

fn read_folders(
    tree: &dyn Tree,
    apps_dir: &str,
    entries: &[Entry],
    settings: Option<&Settings>,
    facts: &NodeFacts,
    cache: &mut SpecCache,
) -> Result<Outcomes, RepositoryError> {
    let candidates: Vec<&Entry> = entries
        .iter()
        // Hidden folders hold no apps: they are editors' and tools'.
        .filter(|entry| !entry.name.starts_with('.'))
        .collect();
    let folder_count = candidates
        .iter()
        .filter(|entry| entry.kind == EntryKind::Folder)
        .count();
    if folder_count > APPS_MAX {
        return Err(RepositoryError::TooManyApps {
            path: shown(apps_dir),
            found: folder_count,
        });
    }
    let mut before = std::mem::take(&mut cache.folders);
    let mut outcomes = Outcomes::with_capacity(candidates.len());
    let mut folders = HashMap::with_capacity(candidates.len());
    let mut path = String::new();
    for entry in candidates {
        path.clear();
        if !apps_dir.is_empty() && apps_dir != "." {
            path.push_str(apps_dir);
            path.push('/');
        }
        path.push_str(&entry.name);
        let known = before
            .remove_entry(path.as_str())
            .filter(|(_, (id, _))| *id == entry.id && entry.kind == EntryKind::Folder);
        let (path, outcome) = match known {
            Some((path, (_, outcome))) => (path, outcome),
            None => {
                let is_known = cache.names.contains_key(&path);
                cache.read_count = cache.read_count.saturating_add(1);
                match folder::read(tree, entry, &path, is_known, settings, facts)? {
                    Some(outcome) => (Arc::from(path.as_str()), Arc::new(outcome)),
                    None => continue,
                }
            }
        };
        folders.insert(path.clone(), (entry.id.clone(), outcome.clone()));
        outcomes.push((path, outcome));
    }
    cache.folders = folders;
    Ok(outcomes)
}
