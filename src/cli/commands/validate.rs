//! `osier validate`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::super::context::Context;
use super::super::look::Look;
use super::super::outcome::{Exit, Outcome, Trouble};
use super::super::render;
use super::super::screen::{document, line};
use crate::git::{FolderTree, open_revision};
use crate::specs::app_file::read_app;
use crate::specs::load::{RepositoryError, SETTINGS_FILE, SpecCache, load};
use crate::specs::render::Severity;
use crate::specs::tree::{Entry, Tree, TreeError};
use crate::specs::{NodeFacts, SpecError};

/// The largest file that is looked at when a single one is named: beyond what a spec may be, so that the reader says so.
const FILE_BYTES_MAX: u64 = 2 << 20;

/// Check a specs repository, or one spec file, without a daemon.
///
/// All mistakes at once, each with its place, the source line, the cause and one fix.
/// Answers 0 when there are none, 1 when there are, 2 when it could not tell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier validate
  osier validate ~/specs --rev origin/main
  osier validate apps/web/app.yaml
  osier validate --format github   # annotations in a GitHub workflow")]
pub(crate) struct ValidateArgs {
    /// The repository's folder, or one spec file.
    #[arg(default_value = ".", hide_default_value = true)]
    path: PathBuf,

    /// Check this revision instead of the files as they lie there.
    #[arg(long, value_name = "REV")]
    rev: Option<String>,

    /// The folder of apps in the repository.
    #[arg(long, value_name = "DIR", default_value = "apps")]
    apps_dir: String,

    /// How to print what was found: human, json, github (workflow annotations) or sarif.
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    format: Option<ReportFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    Human,
    Json,
    Github,
    Sarif,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Findings {
    /// Spec files that were looked at.
    pub(crate) files: usize,
    /// What must be mended.
    pub(crate) mistakes: Vec<SpecError>,
    /// What is odd, or not supported yet.
    pub(crate) warnings: Vec<SpecError>,
}

/// Runs it.
pub(crate) fn run(context: &mut Context, args: &ValidateArgs) -> Outcome {
    let findings = if args.path.is_file() {
        one_file(&args.path)?
    } else {
        repository(
            &*open_tree(&args.path, args.rev.as_deref())?,
            &args.path,
            &args.apps_dir,
        )?
    };
    let exit = Exit::of(findings.mistakes.is_empty());
    match args.format {
        None => context
            .screen
            .show(&findings, |look, _| human(look, &findings), || names(&findings))?,
        Some(ReportFormat::Human) => {
            let text = human(&context.screen.look, &findings);
            context.screen.print(&text)?;
        }
        Some(ReportFormat::Json) => context.screen.print(&document(&findings)?)?,
        Some(ReportFormat::Github) => {
            let text = render::findings::github(&findings, &args.path);
            context.screen.print(&text)?;
        }
        Some(ReportFormat::Sarif) => context
            .screen
            .print(&line(&render::findings::sarif(&findings))?)?,
    }
    Ok(exit)
}

/// The tree of files at `path`: as they lie there, or of a revision.
pub(crate) fn open_tree(path: &Path, revision: Option<&str>) -> Result<Box<dyn Tree>, Trouble> {
    if let Some(revision) = revision {
        let opened = open_revision(path, revision);
        let (_, tree) = opened.map_err(|error| {
            Trouble::new("cannot read the revision")
                .place(path.display().to_string())
                .cause(error)
        })?;
        return Ok(Box::new(tree));
    }
    if !path.is_dir() {
        return Err(Trouble::new("there is no such folder")
            .place(path.display().to_string())
            .help("name the folder of a specs repository"));
    }
    Ok(Box::new(FolderTree::new(path.to_owned())))
}

fn repository(tree: &dyn Tree, path: &Path, apps_dir: &str) -> Result<Findings, Trouble> {
    if let Ok(None) = tree.entry(apps_dir.trim_matches('/')) {
        let trouble = Trouble::new(format!("there is no folder `{apps_dir}`, so there are no specs"))
            .place(path.display().to_string());
        return Err(trouble.help("stand in a specs repository, name one, or begin one: `osier init`"));
    }
    let desired = match load(tree, apps_dir, &NodeFacts::of_nobody(), &mut SpecCache::default()) {
        Ok(desired) => desired,
        Err(RepositoryError::Settings(mistakes)) => return Ok(beside(tree, apps_dir, mistakes)),
        Err(RepositoryError::Tree(error @ TreeError::Unreadable { .. })) => {
            return Err(Trouble::new("cannot read the repository")
                .place(path.display().to_string())
                .cause(error));
        }
        Err(error) => {
            let trouble = Trouble::new("a node would refuse this repository as a whole")
                .place(path.display().to_string());
            return Err(trouble.cause(error).exit(Exit::No));
        }
    };
    let all = desired
        .mistakes
        .iter()
        .chain(&desired.warnings)
        .map(Arc::as_ref)
        .cloned();
    Ok(sorted(desired.file_count, all.collect()))
}

/// The mistakes of `osier.yaml`, and those of the specs as far as they do not hang on it: what it would have set is not
/// known, so that nothing is said to be missing.
fn beside(tree: &dyn Tree, apps_dir: &str, mut mistakes: Vec<SpecError>) -> Findings {
    let facts = NodeFacts::of_nobody();
    let read = load(
        &WithoutSettings(tree),
        apps_dir,
        &facts,
        &mut SpecCache::default(),
    );
    let Ok(desired) = read else {
        return sorted(1, mistakes);
    };
    let is_sure = |mistake: &&SpecError| !mistake.code.ends_with("missing_key");
    let others = desired.mistakes.iter().map(Arc::as_ref).filter(is_sure);
    mistakes.extend(others.cloned());
    sorted(desired.file_count + 1, mistakes)
}

/// A repository whose `osier.yaml` is passed over.
struct WithoutSettings<'a>(&'a dyn Tree);

impl Tree for WithoutSettings<'_> {
    fn folder(&self, path: &str) -> Result<Option<Vec<Entry>>, TreeError> {
        self.0.folder(path)
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, TreeError> {
        if path == SETTINGS_FILE {
            return Ok(None);
        }
        self.0.entry(path)
    }

    fn file(&self, entry: &Entry, path: &str, bytes_max: u64) -> Result<Vec<u8>, TreeError> {
        self.0.file(entry, path, bytes_max)
    }

    fn folder_of(&self, entry: &Entry, path: &str) -> Result<Vec<Entry>, TreeError> {
        self.0.folder_of(entry, path)
    }
}

fn one_file(path: &Path) -> Result<Findings, Trouble> {
    use std::io::Read;
    let unreadable = |error: std::io::Error| {
        Trouble::new("cannot read the spec")
            .place(path.display().to_string())
            .cause(error)
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let absolute = std::path::absolute(path).map_err(unreadable)?;
    let folder = absolute
        .parent()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned());
    let read = read_app(
        &path.to_string_lossy(),
        &bytes,
        &folder.unwrap_or_default(),
        &NodeFacts::of_nobody(),
    );
    Ok(sorted(1, read.errors.into_iter().chain(read.warnings).collect()))
}

/// Mistakes apart from warnings.
fn sorted(files: usize, all: Vec<SpecError>) -> Findings {
    let (mistakes, warnings) = all
        .into_iter()
        .partition(|error| error.severity() == Severity::Mistake);
    Findings {
        files,
        mistakes,
        warnings,
    }
}

fn names(findings: &Findings) -> Vec<String> {
    let mut files: Vec<_> = findings
        .mistakes
        .iter()
        .map(|mistake| mistake.file.clone())
        .collect();
    files.dedup();
    files
}

fn human(look: &Look, findings: &Findings) -> String {
    render::findings::human(look, findings)
}
