//! How surely processes are killed and limited on this machine, in words for `doctor`.

use crate::runtime::Ability;
use crate::runtime::keeper::protocol::{Capabilities, TreeKill};

/// What the keeper can do here.
pub fn of(capabilities: &Capabilities) -> Vec<Ability> {
    let mut abilities = vec![kill(capabilities.tree_kill)];
    let limits = capabilities.limits.iter();
    abilities.extend(limits.map(|(limit, how)| Ability {
        name: format!("limits.{limit}"),
        how: how.clone(),
        gap: None,
        fix: None,
    }));
    abilities.extend(capabilities.missing.iter().map(|fault| Ability {
        name: format!("limits.{}", fault.limit),
        how: "cannot be enforced".to_owned(),
        gap: Some(fault.why.clone()),
        fix: Some(
            "an app that asks for it fails, unless `[node] enforce = \"best_effort\"`: then `osier show` says so"
                .to_owned(),
        ),
    }));
    abilities
}

/// The keeper does not say.
pub fn unknown(why: &str) -> Ability {
    Ability {
        name: "keeper".to_owned(),
        how: "does not answer".to_owned(),
        gap: Some(why.to_owned()),
        fix: Some("see the daemon's log; apps live on, and a new keeper adopts them".to_owned()),
    }
}

fn kill(way: TreeKill) -> Ability {
    let how = match way {
        TreeKill::CgroupKill => "control group v2, cgroup.kill: the whole tree in one step",
        TreeKill::CgroupFreeze => "control group v2, frozen and then killed: the whole tree",
        TreeKill::FreezerV1 => "control group v1 freezer, frozen and then killed: the whole tree",
        TreeKill::Walk => "by session, descent and mark: a walk through /proc",
    };
    let gap = way.blind_spot().map(str::to_owned);
    let fix = gap.as_ref().map(|_| {
        "let the node have a control group of its own (under systemd: `Delegate=yes`), or a writable freezer of version 1"
            .to_owned()
    });
    Ability {
        name: "killing trees".to_owned(),
        how: how.to_owned(),
        gap,
        fix,
    }
}
