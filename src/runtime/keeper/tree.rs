//! An app's whole tree of processes where no control group holds it: by descent, session and mark.
//!
//! What a keeper's own child left behind became the keeper's child itself (it is their subreaper), so every process
//! below the keeper is some app's. Which one's is told by descent from the app's main process, by its session, and for
//! what escaped both by the mark in its environment. Where orphans do not come back to the keeper (an adopted app's, and
//! all of a keeper that is a thread) a mark counts only together with the app's user and a start after the app's own.

use std::collections::BTreeSet;

use rustix::process::{Pid, PidfdFlags, Signal};

use super::proc::{self, ProcStat};
use crate::names::InstanceId;

/// Whose tree is looked for.
#[derive(Debug, Clone)]
pub struct Root {
    /// Which run.
    pub instance: InstanceId,
    /// Its main process, alive or not; it is the leader of its session.
    pub pid: i32,
    /// When that started, in clock ticks.
    pub start_ticks: u64,
    /// The user it was started as.
    pub uid: u32,
    /// Its orphans went elsewhere, not to the keeper.
    pub has_lost_orphans: bool,
}

/// The living processes of `root`'s tree, its main process included, among `processes`.
#[must_use]
pub fn members(root: &Root, processes: &[ProcStat], keeper: i32, mains: &BTreeSet<i32>) -> Vec<ProcStat> {
    // A number in use as a session is not given to a new process; so another process of this number means that the
    // session of this number is not ours any more.
    let leader = processes.iter().find(|process| process.pid == root.pid);
    let session_is_ours = leader.is_none_or(|leader| leader.start_ticks == root.start_ticks);
    let is_seed = |process: &ProcStat| {
        let is_ours_by_session =
            session_is_ours && process.session == root.pid && process.start_ticks >= root.start_ticks;
        is_ours_by_session || is_marked_orphan(root, process, keeper, mains)
    };
    let mut found: BTreeSet<i32> = processes
        .iter()
        .filter(|process| is_seed(process))
        .map(|seed| seed.pid)
        .collect();
    if session_is_ours {
        found.insert(root.pid);
    }
    loop {
        let before = found.len();
        let children = processes.iter().filter(|process| found.contains(&process.parent));
        let children: Vec<i32> = children.map(|child| child.pid).collect();
        found.extend(children);
        if found.len() == before {
            break;
        }
    }
    let alive = processes
        .iter()
        .filter(|process| found.contains(&process.pid) && !process.is_zombie());
    alive.copied().collect()
}

/// Whether the living process `pid` is of `root`'s tree, whose main process lives: by session, descent or mark, looked at
/// from the process upwards.
#[must_use]
pub fn is_member(root: &Root, pid: i32, keeper: i32, mains: &BTreeSet<i32>) -> bool {
    /// A process further down than that is not followed.
    const ANCESTORS_MAX: usize = 64;
    let mut next = ProcStat::of(pid).filter(|process| !process.is_zombie());
    for _ in 0..ANCESTORS_MAX {
        let Some(process) = next else { return false };
        if process.pid == root.pid {
            return process.start_ticks == root.start_ticks;
        }
        if process.pid == keeper || process.pid <= 1 || process.start_ticks < root.start_ticks {
            return false;
        }
        if process.session == root.pid || is_marked_orphan(root, &process, keeper, mains) {
            return true;
        }
        next = ProcStat::of(process.parent);
    }
    false
}

fn is_marked_orphan(root: &Root, process: &ProcStat, keeper: i32, mains: &BTreeSet<i32>) -> bool {
    if mains.contains(&process.pid) || process.pid == keeper || process.start_ticks < root.start_ticks {
        return false;
    }
    let may_be_ours = if root.has_lost_orphans {
        proc::uid_of(process.pid) == Some(root.uid)
    } else {
        process.parent == keeper
    };
    may_be_ours && proc::mark_of(process.pid).as_deref() == Some(root.instance.as_str())
}

/// Whether nothing of this keeper's own children can belong to any app but as its main process: then no tree of an
/// ended main process has anything left, and `/proc` need not be searched.
#[must_use]
pub fn no_orphans(mains: &BTreeSet<i32>) -> bool {
    proc::own_children().is_some_and(|children| children.iter().all(|child| mains.contains(child)))
}

/// Stops the members of `root`'s tree until no new ones turn up, then kills them all. How many there were.
pub fn kill(root: &Root, keeper: i32, mains: &BTreeSet<i32>) -> usize {
    /// Rounds of finding what was forked during the round before.
    const ROUNDS_MAX: usize = 8;
    let mut seen: Vec<ProcStat> = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let now = members(root, &proc::all_processes(), keeper, mains);
        let new: Vec<ProcStat> = now.into_iter().filter(|found| !is_among(found, &seen)).collect();
        if new.is_empty() {
            break;
        }
        for process in &new {
            signal(process, Signal::STOP);
        }
        seen.extend(new);
    }
    for process in &seen {
        signal(process, Signal::KILL);
    }
    seen.len()
}

/// Kills what is left of the tree of a main process that ended while no keeper watched. Its number may have been given
/// away, so only what bears the mark counts, with the right user and a start after the app's own; and not if it lives
/// in the session of somebody without the mark, like a copy of the environment in a shell. How many there were.
pub fn kill_marked(root: &Root, keeper: i32, mains: &BTreeSet<i32>) -> usize {
    let processes = proc::all_processes();
    let is_marked = |process: &ProcStat| is_marked_orphan(root, process, keeper, mains);
    let lives_elsewhere = |process: &ProcStat| {
        let leader = processes.iter().find(|leader| leader.pid == process.session);
        leader.is_some_and(|leader| !is_marked(leader))
    };
    let left = processes
        .iter()
        .filter(|process| !process.is_zombie() && is_marked(process));
    let left: Vec<&ProcStat> = left.filter(|process| !lives_elsewhere(process)).collect();
    for process in &left {
        signal(process, Signal::KILL);
    }
    left.len()
}

fn is_among(process: &ProcStat, seen: &[ProcStat]) -> bool {
    seen.iter()
        .any(|known| known.pid == process.pid && known.start_ticks == process.start_ticks)
}

/// Signals the process that `seen` describes and no other that may have got its number meanwhile.
fn signal(seen: &ProcStat, signal: Signal) {
    let Some(pid) = Pid::from_raw(seen.pid) else {
        return;
    };
    let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    if ProcStat::of(seen.pid).is_some_and(|now| now.start_ticks == seen.start_ticks) {
        let _ = rustix::process::pidfd_send_signal(&pidfd, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, session: i32, start_ticks: u64) -> ProcStat {
        ProcStat {
            pid,
            state: b'S',
            parent,
            session,
            cpu_ticks: 0,
            start_ticks,
            resident_pages: 0,
        }
    }

    fn root(pid: i32) -> Root {
        Root {
            instance: InstanceId::random(),
            pid,
            start_ticks: 100,
            uid: u32::MAX,
            has_lost_orphans: false,
        }
    }

    // Numbers beyond any pid_max, so that no environment of a real process is read.
    const KEEPER: i32 = 1_000_000_000;
    const MAIN: i32 = 1_000_000_100;

    fn found(root: &Root, processes: &[ProcStat]) -> Vec<i32> {
        let mains = BTreeSet::from([MAIN]);
        let members = members(root, processes, KEEPER, &mains);
        members.iter().map(|member| member.pid - MAIN).collect()
    }

    #[test]
    fn descent_and_session_make_a_member_and_a_zombie_is_none() {
        let mut zombie = process(MAIN + 9, MAIN, MAIN, 120);
        zombie.state = b'Z';
        let processes = [
            process(MAIN, KEEPER, MAIN, 100),
            process(MAIN + 1, MAIN, MAIN, 110),
            process(MAIN + 2, MAIN + 1, MAIN + 2, 111), // left the session, not the parent
            process(MAIN + 3, KEEPER, MAIN, 112),       // left the parent, not the session
            process(MAIN + 4, KEEPER, MAIN + 4, 113),   // another app's
            process(MAIN + 5, MAIN + 4, MAIN + 4, 114),
            zombie,
        ];
        assert_eq!(found(&root(MAIN), &processes), [0, 1, 2, 3]);
    }

    #[test]
    fn a_session_whose_number_was_given_to_another_is_not_ours() {
        let processes = [
            process(MAIN, KEEPER + 1, MAIN, 900),
            process(MAIN + 1, MAIN, MAIN, 901),
        ];
        assert_eq!(found(&root(MAIN), &processes), Vec::<i32>::new());
    }
}
