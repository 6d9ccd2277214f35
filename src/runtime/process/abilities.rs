//! How surely processes are killed and limited on this machine, in words for `doctor`.

use crate::runtime::Ability;
use crate::runtime::keeper::protocol::{Capabilities, SandboxMeans, TreeKill};

/// What becomes of an app that asks for what cannot be had.
const UNENFORCED: &str =
    "an app that asks for it fails, unless `[node] enforce = \"best_effort\"`: then `osier show` says so";

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
        fix: Some(UNENFORCED.to_owned()),
    }));
    abilities.push(Ability {
        name: "sandbox.no_new_privileges".to_owned(),
        how: "PR_SET_NO_NEW_PRIVS".to_owned(),
        gap: None,
        fix: None,
    });
    abilities.push(read_only(capabilities.sandbox.as_ref()));
    abilities
}

/// Whether an app can be confined to its own files, by what, and what that does not catch.
fn read_only(means: Option<&SandboxMeans>) -> Ability {
    let name = "sandbox.read_only".to_owned();
    let Some(means) = means else {
        return Ability {
            name,
            how: "cannot be enforced".to_owned(),
            gap: Some("the keeper is of an older release".to_owned()),
            fix: Some("stop all apps, so that it ends and one of this release takes its place".to_owned()),
        };
    };
    let landlock = match means.landlock_abi {
        0 => "no Landlock".to_owned(),
        abi => format!("Landlock ABI {abi}"),
    };
    let mounts = means.mounts.as_deref().unwrap_or("no mount namespaces");
    let gaps: Vec<&str> = means.missing.iter().map(|fault| fault.why.as_str()).collect();
    let gap = (!gaps.is_empty()).then(|| gaps.join("; "));
    Ability {
        name,
        how: format!("{landlock}, {mounts}; files alone: not the network, sockets, signals or shared memory"),
        fix: gap.as_ref().map(|_| UNENFORCED.to_owned()),
        gap,
    }
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
