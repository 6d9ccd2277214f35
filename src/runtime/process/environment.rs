//! The environment of an app: nothing is inherited.

use std::path::{Path, PathBuf};

use crate::runtime::keeper::protocol::NOTIFY_SOCKET;
use crate::runtime::{Launch, RuntimeError};
use crate::specs::app_spec::{Health, HealthKind};

/// Where programs are looked for; a spec's `env` may set another.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// By which an app is known again; a spec cannot set it.
const INSTANCE: &str = "OSIER_INSTANCE";

/// All variables of `launch`, whose data folder is `data`. What the spec sets comes last and wins.
#[must_use]
pub fn of(launch: &Launch, data: &Path) -> Vec<(String, String)> {
    let data = data.display().to_string();
    let spec = &launch.spec;
    let own = [
        ("PATH", PATH),
        ("HOME", &data),
        ("LANG", "C.UTF-8"),
        ("OSIER_NODE", launch.node.as_str()),
        ("OSIER_APP", spec.name.as_str()),
        ("OSIER_VERSION", spec.version.as_str()),
        ("OSIER_DATA", &data),
    ];
    let spoken = notify_of(launch, &data);
    let spoken = spoken.iter().map(|(name, value)| (*name, value.as_str()));
    let own: Vec<(&str, &str)> = own.into_iter().chain(spoken).collect();
    let own = own.into_iter().filter(|(name, _)| !spec.env.contains_key(*name));
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let declared = spec.env.iter().filter(|(name, _)| *name != INSTANCE);
    let declared = declared.map(|(name, value)| (name.clone(), value.clone()));
    let instance = (INSTANCE.to_owned(), launch.instance.to_string());
    own.chain(declared).chain([instance]).collect()
}

/// For health by `notify`: where the app is to speak, and how long it may be silent at most.
fn notify_of(launch: &Launch, data: &str) -> Vec<(&'static str, String)> {
    let Some(health) = launch.spec.health.as_ref().map(Health::policy) else {
        return Vec::new();
    };
    if health.kind != HealthKind::Notify {
        return Vec::new();
    }
    let socket = notify_socket(Path::new(data)).display().to_string();
    let watchdog = health
        .watchdog
        .map(|longest| ("WATCHDOG_USEC", longest.as_micros().to_string()));
    [("NOTIFY_SOCKET", socket)].into_iter().chain(watchdog).collect()
}

/// Beside the data folder.
fn notify_socket(data: &Path) -> PathBuf {
    data.with_file_name(NOTIFY_SOCKET)
}

/// Whether the path of the socket fits into an address: no app could speak to it else.
///
/// # Errors
/// When the data directory's path is too long.
pub fn notify_socket_fits(data: &Path) -> Result<(), RuntimeError> {
    /// `sun_path` holds 108 bytes with the final NUL.
    const PATH_BYTES_MAX: usize = 107;
    let path = notify_socket(data);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok(());
    }
    Err(RuntimeError::Prepare {
        what: format!("cannot hear the app at {}", path.display()),
        reason: format!(
            "the path of a socket has {PATH_BYTES_MAX} bytes at most; choose a shorter data directory"
        ),
    })
}
