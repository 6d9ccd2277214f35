//! Control groups: one an app, kept across its restarts, for killing its whole tree and for its limits.
//!
//! Version 2 is preferred: a child is born into its group, and `cgroup.kill` ends a group without a race (Linux 5.14).
//! Where version 2 lacks a controller, the hierarchy of version 1 that has it is joined as well, but only by apps that
//! need it: each costs a quarter of a millisecond a start. The keeper's groups lie below the one that it was started
//! in, or, if that is not possible and it is root, below the top.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal};

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
    pub v2: Option<OwnedFd>,
    /// `cgroup.procs` of the version 2 group, where a birth into it is not possible.
    pub v2_procs: Option<OwnedFd>,
    /// `cgroup.procs` of the version 1 groups.
    pub v1_procs: Vec<OwnedFd>,
}

impl Groups {
    /// Those of the keeper whose folders are named by `id` (a few letters), as this machine has them.
    #[must_use]
    pub fn detect(id: &str) -> Self {
        Self {
            hierarchies: Hierarchies::detect(id),
        }
    }

    /// In hierarchies that are already known: for tests on an imitated directory.
    #[must_use]
    pub fn of(hierarchies: Hierarchies) -> Self {
        Self { hierarchies }
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

    /// Makes the groups that `app` needs under `limits`, sets them, and says what could not be had.
    pub fn prepare(&self, app: &AppName, limits: &Limits) -> (AppGroups, Vec<LimitFault>) {
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
            if let Err(fault) = self.limit(app, controller, limits, &mut groups) {
                faults.push(fault);
            }
        }
        (groups, faults)
    }

    fn limit(
        &self,
        app: &AppName,
        controller: Controller,
        limits: &Limits,
        groups: &mut AppGroups,
    ) -> Result<(), LimitFault> {
        let wanted = controller.is_limited(limits);
        let fault = |why: String| LimitFault {
            limit: controller.limit().to_owned(),
            why,
        };
        let Some((version, base)) = self.hierarchies.place_of(controller) else {
            return if wanted {
                Err(self.hierarchies.missing(controller))
            } else {
                Ok(())
            };
        };
        let group = base.join(app.as_str());
        // A group that an earlier start made keeps its old limit until it is lifted.
        if !wanted && !group.exists() {
            return Ok(());
        }
        let Some(group) = make(base, app) else {
            return Err(fault(format!("{} cannot be made", group.display())));
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
        let names = fs::read_dir(base).into_iter().flatten().flatten();
        names
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .map(|app: AppName| {
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
        let groups = self.existing(app);
        for (_, group) in &groups.v1 {
            // Empty as it is, it costs nothing.
            let _ = fs::remove_dir(group);
        }
        groups.v2.is_none_or(|group| fs::remove_dir(group).is_ok())
    }

    /// Removes the folders of all apps, as far as they are empty: the keeper ends.
    pub fn remove_bases(&self) {
        for base in self.hierarchies.v2.iter().chain(self.hierarchies.v1.values()) {
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
            v2: self
                .v2
                .as_ref()
                .and_then(|group| rustix::fs::open(group, folder, Mode::empty()).ok()),
            v2_procs: None,
            v1_procs: self
                .v1
                .iter()
                .filter_map(|(_, group)| open_procs(group))
                .collect(),
        }
    }

    /// As [`Self::entrance`], where no child can be born into a version 2 group: all by joining.
    #[must_use]
    pub fn entrance_by_joining(&self) -> Entrance {
        Entrance {
            v2: None,
            v2_procs: self.v2.as_deref().and_then(open_procs),
            ..self.entrance()
        }
    }

    /// Whether no process is left in the tree's group; none when there is no such group or it cannot be read.
    #[must_use]
    pub fn is_empty(&self) -> Option<bool> {
        match &self.v2 {
            Some(group) => {
                let events = fs::read_to_string(group.join("cgroup.events")).ok()?;
                Some(events.lines().any(|line| line == "populated 0"))
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
