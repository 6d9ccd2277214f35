//! The environment of an app: nothing is inherited.

use std::path::Path;

use crate::runtime::Launch;

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
    let own = own.into_iter().filter(|(name, _)| !spec.env.contains_key(*name));
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let declared = spec.env.iter().filter(|(name, _)| *name != INSTANCE);
    let declared = declared.map(|(name, value)| (name.clone(), value.clone()));
    let instance = (INSTANCE.to_owned(), launch.instance.to_string());
    own.chain(declared).chain([instance]).collect()
}
