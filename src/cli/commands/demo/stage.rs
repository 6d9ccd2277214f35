//! The demo's folder: made, locked as long as the demo lives, and removed, by the next demo if need be.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::super::outcome::Trouble;
use super::repository;
use crate::config::{Config, ConfigFile, Layers, Surroundings};

/// What every demo's folder in the temporary directory begins with.
const PREFIX: &str = "osier-demo-";

/// In it; locked by a living demo.
const LOCK: &str = "demo.lock";

/// The keeper may still write its last lines while the folder is being removed.
const REMOVE_MAX: Duration = Duration::from_secs(2);

/// Everything that a demo plays on.
pub(super) struct Stage {
    folder: PathBuf,
    is_kept: bool,
    /// Where the greeter listens.
    pub(super) port: u16,
    /// The node's.
    pub(super) config: Config,
    _lock: File,
}

impl Stage {
    /// Makes the folder with the repository and the configuration.
    pub(super) fn set(keep: Option<&Path>) -> Result<Self, Trouble> {
        let folder = match keep {
            Some(folder) => kept_folder(folder)?,
            None => fresh_folder()?,
        };
        let lock = lock(&folder)
            .ok_or_else(|| Trouble::new("another demo runs there").place(folder.display().to_string()))?;
        let made = Self::furnish(&folder);
        let (port, config) = match made {
            Ok(made) => made,
            Err(trouble) => {
                if keep.is_none() {
                    remove(&folder);
                }
                return Err(trouble);
            }
        };
        Ok(Self {
            folder,
            is_kept: keep.is_some(),
            port,
            config,
            _lock: lock,
        })
    }

    fn furnish(folder: &Path) -> Result<(u16, Config), Trouble> {
        let port = free_port()?;
        repository::make(&folder.join("specs.git"), &folder.join("specs"), port)?;
        let text = configuration(folder);
        let path = folder.join("osier.toml");
        fs::write(&path, &text).map_err(|error| {
            Trouble::new("cannot write")
                .place(path.display().to_string())
                .cause(error)
        })?;
        // The tester's own OSIER_… variables are about another node.
        let mut surroundings = Surroundings::of_this_process();
        surroundings
            .variables
            .retain(|name, _| !name.starts_with("OSIER_"));
        let layers = Layers {
            file: Some(ConfigFile { path, text }),
            surroundings,
            flags: Vec::new(),
        };
        Ok((port, layers.read()?))
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The node's control socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.config.node.socket.as_path().to_owned()
    }

    /// The bare repository.
    pub(super) fn repository(&self) -> PathBuf {
        self.folder.join("specs.git")
    }

    /// The clone to work in.
    pub(super) fn work(&self) -> PathBuf {
        self.folder.join("specs")
    }

    /// Does it stay when the demo ends?
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// What to put before an `export`ed variable, so that the shell finds this program.
    pub(super) fn path_export(&self) -> String {
        let Ok(program) = std::env::current_exe() else {
            return String::new();
        };
        let found = std::env::var_os("PATH").and_then(|path| {
            let candidates: Vec<_> = std::env::split_paths(&path)
                .map(|folder| folder.join("osier"))
                .collect();
            candidates.into_iter().find(|candidate| candidate.is_file())
        });
        let is_found = found
            .and_then(|found| found.canonicalize().ok())
            .is_some_and(|found| found == program);
        match program.parent() {
            Some(folder) if !is_found => format!("PATH={}:$PATH ", quoted(folder)),
            _ => String::new(),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.is_kept {
            remove(&self.folder);
        }
    }
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Removes what killed demos of this user left behind.
pub(super) fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    let me = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let is_demo = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // Not followed: only a folder of this very user, whose lock nobody holds.
        let is_mine = entry
            .metadata()
            .is_ok_and(|facts| facts.is_dir() && facts.uid() == me);
        if is_demo && is_mine && lock(&entry.path()).is_some() {
            remove(&entry.path());
        }
    }
}

/// The lock, unless a living demo has it. The kernel gives it back however a process ends.
fn lock(folder: &Path) -> Option<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK))
        .ok()?;
    file.try_lock().ok()?;
    Some(file)
}

fn remove(folder: &Path) {
    let until = Instant::now() + REMOVE_MAX;
    while fs::remove_dir_all(folder).is_err() && folder.exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn fresh_folder() -> Result<PathBuf, Trouble> {
    let below = std::env::temp_dir();
    let name: String = std::iter::repeat_with(fastrand::lowercase).take(6).collect();
    let folder = below.join(format!("{PREFIX}{name}"));
    make_private(&folder)?;
    Ok(folder)
}

fn kept_folder(folder: &Path) -> Result<PathBuf, Trouble> {
    let folder = std::path::absolute(folder).map_err(|error| Trouble::new("no such folder").cause(error))?;
    match fs::read_dir(&folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(folder),
        Ok(false) => {
            let trouble = Trouble::new("the folder is not empty").place(folder.display().to_string());
            Err(trouble.help("name one that is empty or not there"))
        }
        Err(_) => make_private(&folder).map(|()| folder),
    }
}

/// Fails where anything stands already, a link of somebody else's included.
fn make_private(folder: &Path) -> Result<(), Trouble> {
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.map_err(|error| {
        Trouble::new("cannot make the demo's folder")
            .place(folder.display().to_string())
            .cause(error)
    })
}

/// A port that nobody listens on now.
fn free_port() -> Result<u16, Trouble> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0));
    let port = listener
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port());
    port.map_err(|error| Trouble::new("no port is free on 127.0.0.1").cause(error))
}

fn configuration(folder: &Path) -> String {
    let path = |below: &str| serde_json::Value::from(folder.join(below).display().to_string()).to_string();
    let url = serde_json::Value::from(format!("file://{}", folder.join("specs.git").display())).to_string();
    format!(
        "# The demo's node.\n\
         [node]\nname = \"demo\"\ndata_dir = {data}\nsocket = {socket}\nenforce = \"best_effort\"\n\n\
         [repo]\nurl = {url}\nbranch = \"main\"\nreconcile_interval = \"1s\"\n\n\
         [telemetry]\n# What happens is printed by the demo itself.\nlog = \"error,osier::actors::telemetry_router=off\"\n",
        data = path("node"),
        socket = path("osier.sock"),
    )
}
