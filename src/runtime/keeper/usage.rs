//! What an app's whole tree uses now.

use std::collections::BTreeSet;

use super::apps::Slot;
use super::ending::own_pid;
use super::proc::{self, ProcStat};
use super::protocol::TreeUsage;
use super::state::Keeper;
use super::tree;
use crate::names::InstanceId;

/// The kernel's unit of CPU time in `/proc`, everywhere.
const TICKS_PER_S: u64 = 100;

impl Keeper {
    /// The usage of these runs, or of all.
    pub(super) fn usage(&self, instances: &[InstanceId]) -> Vec<TreeUsage> {
        let wanted: BTreeSet<&InstanceId> = instances.iter().collect();
        let runs = self
            .apps
            .iter()
            .filter_map(|(_, slot)| Some((slot, slot.run.as_ref()?.instance())));
        let wanted: Vec<(&Slot, &InstanceId)> = runs
            .filter(|(_, instance)| wanted.is_empty() || wanted.contains(instance))
            .collect();
        // One search of /proc for all that no group holds.
        let needs_search = wanted.iter().any(|(slot, _)| !slot.groups.hold_the_tree());
        let processes = if needs_search {
            proc::all_processes()
        } else {
            Vec::new()
        };
        wanted
            .into_iter()
            .map(|(slot, instance)| self.usage_of(slot, instance, &processes))
            .collect()
    }

    fn usage_of(&self, slot: &Slot, instance: &InstanceId, processes: &[ProcStat]) -> TreeUsage {
        let members: Vec<ProcStat> = match slot.groups.members() {
            Some(pids) => pids.into_iter().filter_map(ProcStat::of).collect(),
            None => slot.run.as_ref().map_or_else(Vec::new, |run| {
                tree::members(&run.root(), processes, own_pid(), self.apps.mains())
            }),
        };
        let ticks: u64 = members.iter().map(|member| member.cpu_ticks).sum();
        let pages: u64 = members.iter().map(|member| member.resident_pages).sum();
        let page_bytes = rustix::param::page_size() as u64;
        TreeUsage {
            instance: instance.clone(),
            processes_count: u32::try_from(members.len()).unwrap_or(u32::MAX),
            cpu_ms: ticks * 1000 / TICKS_PER_S,
            memory_bytes: slot.groups.memory_bytes().unwrap_or(pages * page_bytes),
            open_files_count: members.iter().map(|member| proc::open_files_of(member.pid)).sum(),
        }
    }
}
