//! One of every kind of thing that stands on a wire or in a file of the keeper's: for golden files and as a corpus.

use osier::names::{AppName, InstanceId};
use osier::rpc::frames::{ClientFrame, ServerFrame};
use osier::rpc::{RpcError, RpcErrorCode};
use osier::runtime::keeper::protocol::{
    Call, Capabilities, Check, CheckEnd, Confinement, Enforce, Exit, ExitHow, Hello, LimitFault, Limits,
    List, LogLimits, Message, OutputCounters, Push, Refusal, Reply, Request, Role, Running, SandboxMeans,
    Spawn, SpawnFault, SpawnStep, Spawned, TreeKill, TreeUsage, User,
};
use osier::runtime::keeper::records::{Record, StartRecord};
use osier::runtime::notice::Notice;

fn app() -> AppName {
    "web".parse().unwrap()
}

fn instance() -> InstanceId {
    "0123456789abcdef0123456789abcdef".parse().unwrap()
}

fn fault() -> LimitFault {
    LimitFault {
        limit: "memory".into(),
        why: "no controller".into(),
    }
}

fn limits() -> Limits {
    Limits {
        memory_bytes: Some(1 << 29),
        cpu_milli: Some(2_000),
        pids: Some(200),
        open_files: Some(4_096),
    }
}

pub fn client_frames() -> Vec<ClientFrame> {
    let call = |id, timeout_ms, body: &[u8]| ClientFrame::Call {
        v: 1,
        id,
        procedure: "bc_gitops.status".into(),
        timeout_ms,
        body: body.to_vec(),
    };
    vec![
        call(1, None, b"\xc0"),
        call(u64::MAX, Some(5_000), b"\x81\xa3app\xa3web"),
        ClientFrame::Cancel { id: 7 },
    ]
}

pub fn server_frames() -> Vec<ServerFrame> {
    let codes = [
        RpcErrorCode::Malformed,
        RpcErrorCode::UnknownProcedure,
        RpcErrorCode::NotPermitted,
        RpcErrorCode::NotFound,
        RpcErrorCode::Refused,
        RpcErrorCode::Failed,
        RpcErrorCode::TimedOut,
        RpcErrorCode::Unavailable,
    ];
    let failed = codes.map(|code| ServerFrame::Failed {
        id: 3,
        error: RpcError::new(code, "no app `wep` on n1").help("did you mean `web`?"),
    });
    let mut frames = vec![
        ServerFrame::Item {
            id: 1,
            body: b"\x01".to_vec(),
        },
        ServerFrame::Done {
            id: 2,
            body: Vec::new(),
        },
        ServerFrame::Failed {
            id: 0,
            error: RpcError::new(RpcErrorCode::Failed, "without a help"),
        },
    ];
    frames.extend(failed);
    frames
}

fn spawn(user: Option<User>, limits: Limits) -> Spawn {
    Spawn {
        app: app(),
        instance: instance(),
        command: vec!["sleep".into(), "1000".into()],
        environment: vec![("PATH".into(), "/usr/bin".into())],
        working_dir: ".".into(),
        user,
        umask: 0o022,
        no_new_privileges: true,
        confinement: None,
        limits,
        enforce: Enforce::Strict,
        stop_signal: 15,
        stop_grace_ms: 10_000,
        logs: LogLimits::default(),
        label: "label".into(),
        notify: false,
    }
}

pub fn keeper_calls() -> Vec<Call> {
    let user = User {
        uid: 1_000,
        gid: 1_000,
        groups: vec![1_000, 50],
    };
    let requests = vec![
        Request::Hello {
            version: 1,
            role: Role::Daemon,
        },
        Request::Hello {
            version: 1,
            role: Role::Observer,
        },
        Request::Spawn {
            spawns: vec![spawn(Some(user), limits()), spawn(None, Limits::default())],
        },
        Request::Stop {
            instance: instance(),
            signal: 15,
            grace_ms: 10_000,
        },
        Request::Signal {
            instance: instance(),
            signal: 1,
        },
        Request::List,
        Request::Acknowledge {
            instances: vec![instance()],
        },
        Request::Stats {
            instances: Vec::new(),
        },
        Request::Forget { app: app() },
        Request::Capabilities,
        Request::Shutdown { stop_apps: true },
    ];
    let numbered = requests.into_iter().zip(1..);
    numbered.map(|(request, id)| Call { id, request }).collect()
}

fn exit(how: ExitHow, cpu_ms: Option<u64>) -> Exit {
    Exit {
        app: app(),
        instance: instance(),
        pid: 4_711,
        how,
        oom: false,
        asked: true,
        killed: false,
        leftovers_count: 2,
        survivors_count: 0,
        started_at_ms: 1_764_000_000_000,
        at_ms: 1_764_000_001_000,
        cpu_ms,
        label: "label".into(),
    }
}

fn output() -> OutputCounters {
    OutputCounters {
        lines_count: 1,
        bytes_count: 2,
        dropped_lines_count: 3,
        dropped_bytes_count: 4,
    }
}

fn replies() -> Vec<Result<Reply, Refusal>> {
    let list = List {
        running: vec![Running {
            app: app(),
            instance: instance(),
            pid: 4_711,
            started_at_ms: 1_764_000_000_000,
            adopted: true,
            stopping: false,
            output: output(),
            not_in_force: vec![fault()],
            label: "label".into(),
            notice: None,
        }],
        exits: vec![exit(ExitHow::Code(1), Some(20)), exit(ExitHow::Unknown, None)],
        exits_lost_count: 1,
        waiting: Vec::new(),
    };
    let usage = TreeUsage {
        instance: instance(),
        processes_count: 2,
        cpu_ms: 30,
        memory_bytes: 1 << 20,
        open_files_count: 12,
    };
    let kills = [
        TreeKill::CgroupKill,
        TreeKill::CgroupFreeze,
        TreeKill::FreezerV1,
        TreeKill::Walk,
    ];
    let capabilities = kills.map(|tree_kill| {
        Ok(Reply::Capabilities(Capabilities {
            tree_kill,
            limits: vec![("pids".into(), "cgroup v2".into())],
            missing: vec![fault()],
            sandbox: None,
        }))
    });
    let mut replies = vec![
        Ok(Reply::Hello(Hello {
            version: 1,
            pid: 42,
            release: "0.1.0".into(),
            started_at_ms: 1_764_000_000_000,
            adopted_count: 3,
            torn_records_count: 1,
        })),
        Ok(Reply::Done),
        Ok(Reply::List(list)),
        Ok(Reply::Stats(vec![usage])),
        Err(Refusal::Version {
            oldest: 1,
            newest: 1,
            asked: 0,
        }),
        Err(Refusal::NoHello),
        Err(Refusal::NotRunning { instance: instance() }),
        Err(Refusal::StillRunning { app: app() }),
        Err(Refusal::TooMany { count: 300, max: 256 }),
        Err(Refusal::NoSuchSignal { signal: 99 }),
        Err(Refusal::System {
            what: "the signal was not sent".into(),
            errno: 1,
        }),
    ];
    replies.extend(capabilities);
    replies
}

fn pushes() -> Vec<Push> {
    let failed = |fault| Push::SpawnFailed {
        app: app(),
        instance: instance(),
        fault,
    };
    let mut pushes = vec![
        Push::Spawned(Spawned {
            app: app(),
            instance: instance(),
            pid: 4_711,
            started_at_ms: 1_764_000_000_000,
            not_in_force: vec![fault()],
        }),
        failed(SpawnFault::AlreadyRunning {
            instance: instance(),
            pid: 4_711,
        }),
        failed(SpawnFault::Limits {
            faults: vec![fault()],
        }),
        failed(SpawnFault::Malformed {
            why: "the command is empty".into(),
        }),
        failed(SpawnFault::Ending),
        Push::Exited(exit(ExitHow::Signal(9), Some(1))),
        Push::OutputDropped {
            app: app(),
            output: output(),
        },
    ];
    // Those of version 1.
    pushes.extend(failed_steps().filter(|push| !is_of_version_2(push)));
    pushes
}

/// A start that failed at each step.
fn failed_steps() -> impl Iterator<Item = Push> {
    SpawnStep::ALL.into_iter().map(|step| Push::SpawnFailed {
        app: app(),
        instance: instance(),
        fault: SpawnFault::System {
            step,
            path: "/usr/bin/web".into(),
            errno: 2,
        },
    })
}

/// Whether version 1 knew no such step.
fn is_of_version_2(push: &Push) -> bool {
    let Push::SpawnFailed {
        fault: SpawnFault::System { step, .. },
        ..
    } = push
    else {
        return false;
    };
    step.is_of_the_sandbox() || *step == SpawnStep::Writable
}

/// What version 2 may ask beside what version 1 did.
fn confined_calls() -> Vec<Call> {
    let confinement = Confinement {
        writable: vec!["data".into(), "cache".into()],
        visible: vec!["/var/lib/artefact".into()],
    };
    let confined = |confinement| Spawn {
        confinement: Some(confinement),
        ..spawn(None, Limits::default())
    };
    let requests = vec![
        Request::Hello {
            version: 2,
            role: Role::Daemon,
        },
        Request::Spawn {
            spawns: vec![confined(confinement), confined(Confinement::default())],
        },
    ];
    let numbered = requests.into_iter().zip(1..);
    numbered.map(|(request, id)| Call { id, request }).collect()
}

/// What version 2 may say beside what version 1 did.
fn confined_messages() -> Vec<Message> {
    let fault = LimitFault {
        limit: "sandbox.read_only".into(),
        why: "no Landlock".into(),
    };
    let means = [Some("mount namespaces".to_owned()), None].map(|mounts| SandboxMeans {
        landlock_abi: 7,
        mounts,
        missing: vec![fault.clone()],
    });
    let replies = means.into_iter().zip(1..).map(|(means, id)| Message::Reply {
        id,
        result: Ok(Reply::Capabilities(Capabilities {
            tree_kill: TreeKill::CgroupKill,
            limits: Vec::new(),
            missing: Vec::new(),
            sandbox: Some(means),
        })),
    });
    let steps = failed_steps().filter(is_of_version_2).map(Message::Push);
    replies.chain(steps).collect()
}

pub fn keeper_messages() -> Vec<Message> {
    let numbered = replies().into_iter().zip(1..);
    let replies = numbered.map(|(result, id)| Message::Reply { id, result });
    replies.chain(pushes().into_iter().map(Message::Push)).collect()
}

pub fn keeper_records() -> Vec<Record> {
    let start = |not_in_force| {
        Record::Start(StartRecord {
            app: app(),
            instance: instance(),
            pid: 4_711,
            start_ticks: 123_456,
            boot_id: "2f0c2a70-6a4b-4b1c-9a53-3f1e5d0d9b11".into(),
            uid: 1_000,
            started_at_ms: 1_764_000_000_000,
            stop_signal: 15,
            stop_grace_ms: 10_000,
            logs: LogLimits::default(),
            not_in_force,
            label: "label".into(),
            notify: false,
        })
    };
    vec![
        start(Vec::new()),
        start(vec![fault()]),
        Record::End(exit(ExitHow::Code(0), Some(7))),
        Record::End(exit(ExitHow::Unknown, None)),
        Record::Acknowledged { instance: instance() },
    ]
}

/// What version 2 of the keeper's protocol brought.
pub fn keeper_calls_of_version_2() -> Vec<Call> {
    let check = Check {
        id: instance(),
        app: app(),
        instance: instance(),
        command: vec!["bin/check".into(), "-v".into()],
        environment: vec![("PATH".into(), "/usr/bin".into())],
        working_dir: ".".into(),
        user: Some(User {
            uid: 1_000,
            gid: 1_000,
            groups: vec![1_000, 50],
        }),
        umask: 0o022,
        no_new_privileges: true,
        confinement: None,
        enforce: Enforce::Strict,
        open_files: Some(1_024),
        timeout_ms: 5_000,
    };
    let heard = Spawn {
        notify: true,
        ..spawn(None, Limits::default())
    };
    let requests = vec![
        Request::Check(Box::new(check)),
        Request::Spawn { spawns: vec![heard] },
    ];
    let calls = (1..).zip(requests).map(|(id, request)| Call { id, request });
    confined_calls().into_iter().chain(calls).collect()
}

/// Likewise.
pub fn keeper_messages_of_version_2() -> Vec<Message> {
    let end = |how| CheckEnd {
        how,
        output: "not yet\n".into(),
    };
    let results = vec![
        Ok(end(Some(ExitHow::Code(1)))),
        Ok(end(None)),
        Err(SpawnFault::Ending),
    ];
    let checked = results.into_iter().map(|result| Push::Checked {
        id: instance(),
        result,
    });
    let notice = Notice {
        is_ready: true,
        status: Some("serving".into()),
        alive_count: 3,
        trigger_count: 1,
        is_deaf: false,
    };
    let noticed = Push::Noticed {
        instance: instance(),
        notice,
    };
    let pushes = checked.chain([noticed]).map(Message::Push);
    confined_messages().into_iter().chain(pushes).collect()
}
