//! Where on this machine a keeper's groups can be.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::limits::{Controller, Version};
use super::{AppGroups, make_base};
use crate::names::AppName;
use crate::runtime::keeper::protocol::LimitFault;

/// The folders that hold a group an app.
#[derive(Debug, Clone, Default)]
pub struct Hierarchies {
    /// Of version 2.
    pub v2: Option<PathBuf>,
    /// Controllers that work in it.
    pub v2_controllers: Vec<Controller>,
    /// Of version 1.
    pub v1: BTreeMap<Controller, PathBuf>,
    /// The name of these folders.
    pub name: String,
}

impl Hierarchies {
    /// What this machine has, with folders named `osier-ID`. `may_move`: this process may go into a group of its own.
    #[must_use]
    pub fn detect(id: &str, may_move: bool) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut found = Self {
            name: format!("osier-{id}"),
            ..Self::default()
        };
        for mount in mounts.lines().filter_map(Mount::parse) {
            match mount.controllers {
                None => found.use_v2(&mount, &own, may_move),
                Some(names) => found.use_v1(mount.point, names, &own),
            }
        }
        found
    }

    fn use_v2(&mut self, mount: &Mount<'_>, own: &str, may_move: bool) {
        let top = PathBuf::from(mount.point);
        let own = own.lines().find_map(|line| line.strip_prefix("0::"));
        let mut parents = vec![own.map_or_else(|| top.clone(), |path| below(mount.point, path))];
        if !parents.contains(&top) {
            parents.push(top);
        }
        for parent in parents {
            let base = parent.join(&self.name);
            if !make_base(&base) {
                continue;
            }
            let controllers = enable(&parent, &base, may_move);
            let loser = if self.v2.is_none() || controllers.len() > self.v2_controllers.len() {
                self.v2_controllers = controllers;
                self.v2.replace(base)
            } else {
                Some(base)
            };
            if let Some(loser) = loser {
                let _ = fs::remove_dir(loser);
            }
            if self.v2_controllers.len() == Controller::LIMITING.len() {
                return;
            }
        }
    }

    fn use_v1(&mut self, point: &str, names: &str, own: &str) {
        for controller in Controller::ALL {
            let has = |list: &str| list.split(',').any(|name| name == controller.name());
            if !has(names) {
                continue;
            }
            // `5:cpu,cpuacct:/path`
            let path = own.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                has(controllers).then_some(path)
            });
            let base = below(point, path.unwrap_or("/")).join(&self.name);
            if make_base(&base) {
                self.v1.insert(controller, base);
            }
        }
    }

    /// Where `controller` works: version 2 before version 1.
    #[must_use]
    pub fn place_of(&self, controller: Controller) -> Option<(Version, &Path)> {
        match &self.v2 {
            Some(base) if self.v2_controllers.contains(&controller) => Some((Version::V2, base)),
            _ => self.v1.get(&controller).map(|base| (Version::V1, base.as_path())),
        }
    }

    /// Says why `controller` cannot be had.
    #[must_use]
    pub fn missing(&self, controller: Controller) -> LimitFault {
        let why = format!(
            "no control group with the `{}` controller may be used here (run as root, or delegate one: \
             `Delegate=yes` in the unit)",
            controller.name()
        );
        LimitFault::new(controller.limit(), why)
    }

    /// The groups of the process `pid`, as far as they are an `app`'s of this data directory, whoever made them.
    #[must_use]
    pub fn groups_of(&self, app: &AppName, pid: i32) -> AppGroups {
        let lines = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let ending = Path::new(&self.name).join(app.as_str());
        let mut groups = AppGroups::default();
        for mount in mounts.lines().filter_map(Mount::parse) {
            for line in lines.lines() {
                let Some((controllers, path)) =
                    line.split_once(':').and_then(|(_, rest)| rest.split_once(':'))
                else {
                    continue;
                };
                if !Path::new(path).ends_with(&ending) {
                    continue;
                }
                let group = below(mount.point, path);
                match mount.controllers {
                    None if controllers.is_empty() => groups.v2 = Some(group),
                    Some(names) => {
                        let here = |controller: &Controller| {
                            let has = |list: &str| list.split(',').any(|name| name == controller.name());
                            has(controllers) && has(names)
                        };
                        groups
                            .v1
                            .extend(Controller::ALL.into_iter().find(here).map(|found| (found, group)));
                    }
                    None => {}
                }
            }
        }
        groups
    }
}

/// A mounted hierarchy.
struct Mount<'a> {
    point: &'a str,
    /// Of version 1; none: version 2.
    controllers: Option<&'a str>,
}

impl<'a> Mount<'a> {
    /// `36 35 98:0 /root /point options - type source super,options`
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        let mut system = system.split(' ');
        match system.next()? {
            "cgroup2" => Some(Self {
                point,
                controllers: None,
            }),
            "cgroup" => Some(Self {
                point,
                controllers: Some(system.nth(1)?),
            }),
            _ => None,
        }
    }
}

fn below(point: &str, path: &str) -> PathBuf {
    Path::new(point).join(path.trim_start_matches('/'))
}

/// Hands the limiting controllers of `parent` down to the groups in `base`. Those that then work there.
fn enable(parent: &Path, base: &Path, may_move: bool) -> Vec<Controller> {
    let available = fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
    let lists = |list: &str, controller: Controller| {
        list.split_ascii_whitespace()
            .any(|name| name == controller.name())
    };
    for controller in Controller::LIMITING {
        if !lists(&available, controller) {
            continue;
        }
        let word = format!("+{}", controller.name());
        let hand_down = || fs::write(parent.join("cgroup.subtree_control"), &word);
        if hand_down().is_err_and(|error| error.kind() == ErrorKind::ResourceBusy) && may_move {
            // A group with processes of its own hands nothing down. Under `Delegate=yes` they are the keeper alone.
            let aside = parent.join("osier-keeper");
            let _ = fs::create_dir(&aside);
            let _ = fs::write(aside.join("cgroup.procs"), "0");
            let _ = hand_down();
        }
        let _ = fs::write(base.join("cgroup.subtree_control"), &word);
    }
    let enabled = fs::read_to_string(base.join("cgroup.subtree_control")).unwrap_or_default();
    Controller::LIMITING
        .into_iter()
        .filter(|controller| lists(&enabled, *controller))
        .collect()
}
