//! Control groups: one an app, kept across its restarts, for killing its whole tree and for its limits.
//!
//! Version 2 is preferred: a child is born into its group, and `cgroup.kill` ends a group without a race (Linux 5.14).
//! Where version 2 lacks a controller, the hierarchy of version 1 that has it is joined as well, but only by apps that
//! need it: each costs a quarter of a millisecond a start. The keeper's groups lie below the one that it was started
//! in, or, if that is not possible and it is root, below the top.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::proc::read_short;
use super::protocol::{LimitFault, Limits, TreeKill};
use crate::names::AppName;

mod layout;
mod limits;

pub use layout::Hierarchies;
pub use limits::Controller;

/// The groups of one keeper.
#[derive(Debug)]
pub struct Groups {
    hierarchies: Hierarchies,
    /// Apps whose groups an earlier keeper made.
    inherited: HashSet<AppName>,
}

/// The groups of one app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppGroups {
    /// In the version 2 hierarchy.
    v2: Option<PathBuf>,
    /// In version 1 hierarchies.
    v1: Vec<(Controller, PathBuf)>,
}

/// How a child gets into its app's groups.
#[derive(Debug, Default)]
pub struct Entrance {
    /// The version 2 group, for a birth into it.
    pub birth: Option<OwnedFd>,
    /// `cgroup.procs` of groups that it joins by itself.
    pub join: Vec<OwnedFd>,
}

impl Groups {
    /// Those of the keeper whose folders are named by `id` (a few letters), as this machine has them. `may_move`: this
    /// process is the keeper alone and may go aside, so that its group can hand controllers down.
    #[must_use]
    pub fn detect(id: &str, may_move: bool) -> Self {
        Self::of(Hierarchies::detect(id, may_move))
    }

    /// In hierarchies that are already known: for tests on an imitated directory.
    #[must_use]
    pub fn of(hierarchies: Hierarchies) -> Self {
        let inherited = hierarchies
            .v2
            .iter()
            .chain(hierarchies.v1.values())
            .flat_map(|base| names_in(base))
            .collect();
        Self {
            hierarchies,
            inherited,
        }
    }

    /// Whether an earlier keeper made groups for `app`.
    #[must_use]
    pub fn is_inherited(&self, app: &AppName) -> bool {
        self.inherited.contains(app)
    }

    /// How trees are killed with these.
    #[must_use]
    pub fn tree_kill(&self) -> TreeKill {
        match &self.hierarchies.v2 {
            Some(base) if base.join("cgroup.kill").exists() => TreeKill::CgroupKill,
            Some(_) => TreeKill::CgroupFreeze,
            None if self.hierarchies.v1.contains_key(&Controller::Freezer) => TreeKill::FreezerV1,
            None => TreeKill::Walk,
        }
    }

    /// The limits that can be had here with their mechanism, and those that cannot.
    #[must_use]
    pub fn limits(&self) -> (Vec<(String, String)>, Vec<LimitFault>) {
        let mut can = vec![("open_files".to_owned(), "RLIMIT_NOFILE".to_owned())];
        let mut missing = Vec::new();
        for controller in Controller::LIMITING {
            match self.hierarchies.place_of(controller) {
                Some((version, _)) => {
                    can.push((controller.limit().to_owned(), format!("control group {version}")));
                }
                None => missing.push(self.hierarchies.missing(controller)),
            }
        }
        (can, missing)
    }

    /// Makes the groups that `app` needs under `limits`, sets them, and says what could not be had. What is limited by
    /// `set` is lifted where `limits` does not.
    pub fn prepare(
        &self,
        app: &AppName,
        limits: &Limits,
        set: Option<&Limits>,
    ) -> (AppGroups, Vec<LimitFault>) {
        let set = set.copied().unwrap_or(if self.is_inherited(app) {
            Limits::ALL
        } else {
            Limits::default()
        });
        let mut groups = AppGroups::default();
        let mut faults = Vec::new();
        if let Some(base) = &self.hierarchies.v2 {
            groups.v2 = make(base, app);
        } else if let Some(base) = self.hierarchies.v1.get(&Controller::Freezer) {
            groups
                .v1
                .extend(make(base, app).map(|group| (Controller::Freezer, group)));
        }
        for controller in Controller::LIMITING {
            if let Err(fault) = self.limit(app, controller, (limits, &set), &mut groups) {
                faults.push(fault);
            }
        }
        (groups, faults)
    }

    fn limit(
        &self,
        app: &AppName,
        controller: Controller,
        (limits, set): (&Limits, &Limits),
        groups: &mut AppGroups,
    ) -> Result<(), LimitFault> {
        let wanted = controller.is_limited(limits);
        let fault = |why: String| LimitFault::new(controller.limit(), why);
        let Some((version, base)) = self.hierarchies.place_of(controller) else {
            return if wanted {
                Err(self.hierarchies.missing(controller))
            } else {
                Ok(())
            };
        };
        if !wanted && !controller.is_limited(set) {
            return Ok(());
        }
        let Some(group) = make(base, app) else {
            let group = base.join(app.as_str());
            return if wanted {
                Err(fault(format!("{} cannot be made", group.display())))
            } else {
                Ok(())
            };
        };
        for (file, value) in controller.settings(version, limits) {
            let path = group.join(file);
            if let Err(error) = fs::write(&path, &value)
                && wanted
                && !controller.is_optional(file)
            {
                return Err(fault(format!(
                    "{} does not take {value}: {error}",
                    path.display()
                )));
            }
        }
        if version == limits::Version::V1 {
            groups.v1.push((controller, group));
        }
        Ok(())
    }

    /// The groups that the running process `pid` of `app` is in, if they were made by a keeper of this data directory.
    #[must_use]
    pub fn of_process(&self, app: &AppName, pid: i32) -> AppGroups {
        self.hierarchies.groups_of(app, pid)
    }

    /// Every app that still has processes in a group of this keeper.
    #[must_use]
    pub fn populated(&self) -> Vec<(AppName, AppGroups)> {
        let bases = self
            .hierarchies
            .v2
            .iter()
            .chain(self.hierarchies.v1.get(&Controller::Freezer));
        let Some(base) = bases.into_iter().next() else {
            return Vec::new();
        };
        names_in(base)
            .map(|app| {
                let groups = self.existing(&app);
                (app, groups)
            })
            .filter(|(_, groups)| groups.is_empty() == Some(false))
            .collect()
    }

    fn existing(&self, app: &AppName) -> AppGroups {
        let group = |base: &PathBuf| Some(base.join(app.as_str())).filter(|group| group.exists());
        AppGroups {
            v2: self.hierarchies.v2.as_ref().and_then(group),
            v1: self
                .hierarchies
                .v1
                .iter()
                .filter_map(|(controller, base)| Some((*controller, group(base)?)))
                .collect(),
        }
    }

    /// Removes the groups of `app`, which has no processes any more. False when the tree's group stays: busy for a
    /// moment after a kill, or with a group below it.
    pub fn remove(&self, app: &AppName) -> bool {
        for base in self.hierarchies.v1.values() {
            // Empty as it is, it costs nothing.
            let _ = fs::remove_dir(base.join(app.as_str()));
        }
        let Some(base) = &self.hierarchies.v2 else {
            return true;
        };
        match fs::remove_dir(base.join(app.as_str())) {
            Ok(()) => true,
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }

    /// Removes every group that is empty: the keeper ends.
    pub fn remove_all(&self) {
        for base in self.hierarchies.v2.iter().chain(self.hierarchies.v1.values()) {
            for group in fs::read_dir(base).into_iter().flatten().flatten() {
                // One with processes refuses, and one level below an app's is the app's own business.
                let _ = fs::remove_dir(group.path());
            }
            let _ = fs::remove_dir(base);
        }
    }
}

/// Makes the folder of all apps. Whether groups can be made in it.
fn make_base(base: &Path) -> bool {
    match fs::create_dir(base) {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::AlreadyExists,
    }
}

/// The apps that have a group in `base`.
fn names_in(base: &Path) -> impl Iterator<Item = AppName> + use<> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn make(base: &Path, app: &AppName) -> Option<PathBuf> {
    let group = base.join(app.as_str());
    match fs::create_dir(&group) {
        Ok(()) => Some(group),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Some(group),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(&group).ok()?;
            Some(group)
        }
        Err(_) => None,
    }
}

impl AppGroups {
    /// Whether a whole tree can be found by these.
    #[must_use]
    pub fn hold_the_tree(&self) -> bool {
        self.tree_group().is_some()
    }

    fn tree_group(&self) -> Option<&Path> {
        let freezer = || {
            self.v1
                .iter()
                .find(|(controller, _)| *controller == Controller::Freezer)
        };
        self.v2
            .as_deref()
            .or_else(|| freezer().map(|(_, group)| group.as_path()))
    }

    /// Opens the ways in for one child.
    #[must_use]
    pub fn entrance(&self) -> Entrance {
        let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Entrance {
            birth: self
                .v2
                .as_ref()
                .and_then(|group| rustix::fs::open(group, folder, Mode::empty()).ok()),
            join: self
                .v1
                .iter()
                .filter_map(|(_, group)| open_procs(group))
                .collect(),
        }
    }

    /// As [`Self::entrance`], where no child can be born into a version 2 group: all by joining.
    #[must_use]
    pub fn entrance_by_joining(&self) -> Entrance {
        let groups = self.v2.iter().chain(self.v1.iter().map(|(_, group)| group));
        Entrance {
            birth: None,
            join: groups.filter_map(|group| open_procs(group)).collect(),
        }
    }

    /// Whether no process is left in the tree's group; none when there is no such group or it cannot be read.
    #[must_use]
    pub fn is_empty(&self) -> Option<bool> {
        match &self.v2 {
            Some(group) => {
                // Asked at every exit: the events are two short lines.
                let is_line = |events: &[u8]| {
                    events
                        .split(|byte| *byte == b'\n')
                        .any(|line| line == b"populated 0")
                };
                read_short(group.join("cgroup.events").to_str()?, is_line)
            }
            None => Some(self.members()?.is_empty()),
        }
    }

    /// The processes of the tree's group.
    #[must_use]
    pub fn members(&self) -> Option<Vec<i32>> {
        let procs = fs::read_to_string(self.tree_group()?.join("cgroup.procs")).ok()?;
        Some(procs.lines().filter_map(|pid| pid.parse().ok()).collect())
    }

    /// Kills every process of the tree's group, new-born ones included. False when there is no group or it refused.
    pub fn kill(&self) -> bool {
        if let Some(group) = &self.v2 {
            if fs::write(group.join("cgroup.kill"), "1").is_ok() {
                return true;
            }
            // Frozen processes do not fork, and die of KILL nevertheless.
            let frozen = group.join("cgroup.freeze");
            let _ = fs::write(&frozen, "1");
            let killed = self.kill_members();
            let _ = fs::write(&frozen, "0");
            return killed;
        }
        let Some(group) = self.tree_group() else {
            return false;
        };
        let state = group.join("freezer.state");
        let _ = fs::write(&state, "FROZEN");
        let killed = self.kill_members();
        let _ = fs::write(&state, "THAWED");
        killed
    }

    fn kill_members(&self) -> bool {
        let Some(members) = self.members() else {
            return false;
        };
        for member in members {
            let Some(pid) = Pid::from_raw(member) else {
                continue;
            };
            // The descriptor first: what is a member after it was opened is the process that it names.
            let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
                continue;
            };
            if self.members().is_some_and(|members| members.contains(&member)) {
                let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
            }
        }
        true
    }

    /// How many processes of the app the kernel has killed for want of memory, since its group was made.
    #[must_use]
    pub fn oom_kills(&self) -> Option<u64> {
        let v1 = self
            .v1
            .iter()
            .find(|(controller, _)| *controller == Controller::Memory);
        let file = match v1 {
            Some((_, group)) => group.join("memory.oom_control"),
            None => self.v2.as_ref()?.join("memory.events"),
        };
        field(&file, "oom_kill")
    }

    /// Memory of the whole tree in bytes, where it is accounted.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<u64> {
        let v1 = self
            .v1
            .iter()
            .find(|(controller, _)| *controller == Controller::Memory);
        let file = match v1 {
            Some((_, group)) => group.join("memory.usage_in_bytes"),
            None => self.v2.as_ref()?.join("memory.current"),
        };
        fs::read_to_string(file).ok()?.trim().parse().ok()
    }
}

fn open_procs(group: &Path) -> Option<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::open(group.join("cgroup.procs"), flags, Mode::empty()).ok()
}

/// The number behind `name` in a flat keyed file.
fn field(file: &Path, name: &str) -> Option<u64> {
    let content = fs::read_to_string(file).ok()?;
    let line = content
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests;
