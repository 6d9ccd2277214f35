//! `osier init`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::context::Context;
use super::super::look::{Glyph, Tone};
use super::super::outcome::{Exit, Outcome, Trouble};
use super::super::words::{count, escape};
use crate::specs::SpecError;
use crate::specs::import::import_app;
use crate::specs::scaffold::{NewFile, SCHEMA_FROM_APP, new_repository, surroundings};

/// The largest spec file (SPEC_FORMAT "Limits").
const SPEC_BYTES_MAX: u64 = 1 << 20;

/// The spec files of an app in a bc_gitops repository.
const SPEC_FILES: [&str; 8] = [
    "app.config",
    "app.yaml",
    "app.yml",
    "app.json",
    "config.config",
    "config.yaml",
    "config.yml",
    "config.json",
];

/// Begin a specs repository: an app, its schema and a check for CI; or one translated from bc_gitops.
///
/// Nothing that is there is overwritten.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  osier init specs && cd specs && git init && osier validate
  osier init --from-bc-gitops ~/bc-specs specs")]
pub(crate) struct InitArgs {
    /// Where; made if it is not there.
    #[arg(default_value = ".", hide_default_value = true)]
    dir: PathBuf,

    /// Translate the specs of this bc_gitops repository, Erlang terms above all.
    #[arg(long, value_name = "DIR")]
    from_bc_gitops: Option<PathBuf>,

    /// The folder of apps in the bc_gitops repository.
    #[arg(long, value_name = "DIR", default_value = "apps", requires = "from_bc_gitops")]
    apps_dir: PathBuf,
}

/// Files to write, what could not be carried over, and what could not be read.
#[derive(Default)]
struct Draft {
    files: Vec<NewFile>,
    notes: Vec<String>,
    mistakes: Vec<SpecError>,
}

/// Runs it.
pub(crate) fn run(context: &mut Context, args: &InitArgs) -> Outcome {
    let draft = match &args.from_bc_gitops {
        None => Draft {
            files: new_repository(),
            ..Draft::default()
        },
        Some(source) => translated(source, &args.apps_dir, &args.dir)?,
    };
    write_all(&args.dir, &draft.files)?;
    let answer = serde_json::json!({
        "dir": args.dir,
        "files": draft.files.iter().map(|(path, _)| path).collect::<Vec<_>>(),
        "notes": draft.notes,
        "mistakes": draft.mistakes,
    });
    context.screen.show(
        &answer,
        |look, _| {
            let sign = look.paint(Tone::Good, look.glyph(Glyph::Good));
            draft
                .files
                .iter()
                .map(|(path, _)| format!("{sign} {}\n", escape(&args.dir.join(path).to_string_lossy())))
                .collect()
        },
        || draft.files.iter().map(|(path, _)| path.clone()).collect(),
    )?;
    for note in &draft.notes {
        context.screen.warn(note);
    }
    if !draft.mistakes.is_empty() {
        let mut trouble = Trouble::new(format!(
            "{} could not be translated",
            count(draft.mistakes.len(), "spec")
        ))
        .exit(Exit::No);
        trouble.mistakes = draft.mistakes.into();
        return Err(trouble);
    }
    context.screen.talk(&format!(
        "Next: `osier validate {}`, then commit and push it.",
        escape(&args.dir.to_string_lossy())
    ));
    Ok(Exit::Yes)
}

/// Writes all files, or none where one is there already with another content.
fn write_all(root: &Path, files: &[NewFile]) -> Result<(), Trouble> {
    let differs = |(path, text): &&NewFile| {
        let path = root.join(path);
        path.symlink_metadata().is_ok() && fs::read_to_string(&path).ok().as_deref() != Some(text)
    };
    let there: Vec<_> = files
        .iter()
        .filter(differs)
        .map(|(path, _)| root.join(path).display().to_string())
        .collect();
    if !there.is_empty() {
        return Err(Trouble::new("nothing was written: these are there already")
            .place(there.join("\n"))
            .help("name another folder"));
    }
    for (path, text) in files {
        let path = root.join(path);
        let folder = path.parent().unwrap_or(root);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
        written.map_err(|error| {
            Trouble::new("cannot write")
                .place(path.display().to_string())
                .cause(error)
        })?;
    }
    Ok(())
}

fn translated(source: &Path, apps_dir: &Path, target: &Path) -> Result<Draft, Trouble> {
    let apps = source.join(apps_dir);
    let unreadable = |error: std::io::Error| {
        Trouble::new("cannot read the bc_gitops repository")
            .place(apps.display().to_string())
            .cause(error)
    };
    if let (Ok(source), Ok(target)) = (source.canonicalize(), target.canonicalize())
        && source == target
    {
        return Err(Trouble::new("the translation needs a folder of its own")
            .help("osier init --from-bc-gitops DIR NEW_DIR"));
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&apps).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // Not through links: they lead out of the repository.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            folders.push(entry.path());
        }
    }
    folders.sort();
    let mut draft = Draft {
        files: surroundings(),
        ..Draft::default()
    };
    for folder in folders {
        translate(&folder, &mut draft)?;
    }
    Ok(draft)
}

fn translate(folder: &Path, draft: &mut Draft) -> Result<(), Trouble> {
    let name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let Some(file) = SPEC_FILES.iter().find(|file| folder.join(file).is_file()) else {
        draft
            .notes
            .push(format!("{name}: there is no spec in this folder"));
        return Ok(());
    };
    let path = folder.join(file);
    let unreadable = |error: std::io::Error| {
        Trouble::new("cannot read a spec")
            .place(path.display().to_string())
            .cause(error)
    };
    let mut bytes = Vec::new();
    fs::File::open(&path)
        .map_err(unreadable)?
        .take(SPEC_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    match import_app(&format!("apps/{name}/{file}"), &bytes, SCHEMA_FROM_APP) {
        Ok(app) => {
            draft
                .notes
                .extend(app.notes.iter().map(|note| format!("{}: {note}", app.name)));
            draft.files.push((format!("apps/{name}/app.yaml"), app.text));
        }
        Err(mistake) => draft.mistakes.push(*mistake),
    }
    Ok(())
}
