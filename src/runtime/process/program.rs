//! Which program an app's command means, and where it starts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::runtime::RuntimeError;
use crate::specs::AppSpec;

/// How much of an artefact is searched for its only executable.
const ENTRIES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 8;

/// A command ready to run.
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Where it starts: absolute, or relative to the data folder.
    pub working_dir: String,
}

/// The program of `spec` with its artefact, if it has one. A program with `/` is relative to the artefact, one without
/// is an installed command; no command is the artefact's only executable, or `bin/<name>`.
///
/// # Errors
/// When there is no command and the artefact does not say which program it is.
pub fn resolve(spec: &AppSpec, artefact: Option<&Path>) -> Result<Program, RuntimeError> {
    let relative = spec.working_dir.as_deref().unwrap_or(".");
    let working_dir = artefact.map_or_else(|| PathBuf::from(relative), |artefact| artefact.join(relative));
    let mut command = spec.command.clone();
    match (command.first_mut(), artefact) {
        (None, Some(artefact)) => command.push(text(&only_executable(artefact, spec.name.as_str())?)?),
        (None, None) => {
            let why = "the spec has neither a command nor a source with one";
            return Err(missing(why.to_owned()));
        }
        (Some(program), Some(artefact)) if program.contains('/') => {
            *program = text(&artefact.join(&*program))?;
        }
        (Some(_), _) => {}
    }
    Ok(Program {
        command,
        working_dir: text(&working_dir)?,
    })
}

fn only_executable(artefact: &Path, name: &str) -> Result<PathBuf, RuntimeError> {
    let named = artefact.join("bin").join(name);
    let mut found = executables(artefact);
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) if is_executable(&named) => Ok(named),
        (Some(_), false) => Err(missing(format!(
            "the artefact has several executables and no bin/{name}: name one in `command`"
        ))),
        (None, _) => {
            let why = "the artefact has no executable: name a program in `command`";
            Err(missing(why.to_owned()))
        }
    }
}

fn executables(artefact: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![(artefact.to_owned(), 0)];
    let mut seen_count = 0;
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            seen_count += 1;
            if seen_count > ENTRIES_MAX {
                return found;
            }
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < DEPTH_MAX => folders.push((path, depth + 1)),
                Ok(kind) if kind.is_file() && is_executable(&path) => found.push(path),
                _ => {}
            }
        }
    }
    found
}

fn is_executable(path: &Path) -> bool {
    const ANY_EXECUTE: u32 = 0o111;
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & ANY_EXECUTE != 0)
}

fn text(path: &Path) -> Result<String, RuntimeError> {
    let text = path.to_str().map(ToOwned::to_owned);
    text.ok_or_else(|| missing(format!("{} is not UTF-8", path.display())))
}

fn missing(reason: String) -> RuntimeError {
    RuntimeError::Prepare {
        what: "cannot find the command".to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(command: &[&str], working_dir: Option<&str>) -> AppSpec {
        let mut spec = AppSpec::new("web".parse().unwrap(), "1".parse().unwrap());
        spec.command = command.iter().map(|word| (*word).to_owned()).collect();
        spec.working_dir = working_dir.map(ToOwned::to_owned);
        spec
    }

    fn artefact(files: &[(&str, u32)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, mode) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        folder
    }

    #[test]
    fn a_path_is_the_artefacts_and_a_bare_name_an_installed_command() {
        let at = Path::new("/artefacts/x");
        let found = resolve(&spec(&["bin/web", "-v"], Some("run")), Some(at)).unwrap();
        assert_eq!(found.command, ["/artefacts/x/bin/web", "-v"]);
        assert_eq!(found.working_dir, "/artefacts/x/run");
        assert_eq!(
            resolve(&spec(&["python3"], None), Some(at)).unwrap().command,
            ["python3"]
        );
        assert_eq!(
            resolve(&spec(&["/bin/true"], None), Some(at)).unwrap().command,
            ["/bin/true"]
        );
        let none = resolve(&spec(&["python3"], Some("run")), None).unwrap();
        assert_eq!(
            (none.command[0].as_str(), none.working_dir.as_str()),
            ("python3", "run")
        );
    }

    #[test]
    fn no_command_is_the_only_executable_or_the_one_of_the_apps_name() {
        let one = artefact(&[("lib/x", 0o644), ("tool", 0o755)]);
        let found = resolve(&spec(&[], None), Some(one.path())).unwrap();
        assert_eq!(found.command, [one.path().join("tool").to_str().unwrap()]);
        let two = artefact(&[("bin/other", 0o755), ("bin/web", 0o755)]);
        let found = resolve(&spec(&[], None), Some(two.path())).unwrap();
        assert_eq!(found.command, [two.path().join("bin/web").to_str().unwrap()]);
        for ambiguous in [artefact(&[("a", 0o755), ("b", 0o755)]), artefact(&[("a", 0o644)])] {
            assert!(resolve(&spec(&[], None), Some(ambiguous.path())).is_err());
        }
        assert!(resolve(&spec(&[], None), None).is_err());
    }
}
