//! The `Runtime` of OS processes, as the floors above use it.

use std::sync::Arc;
use std::time::Duration;

use osier::names::{InstanceId, SpecDigest};
use osier::runtime::keeper::protocol::{Enforce, LogLimits};
use osier::runtime::process::{ProcessOptions, ProcessRuntime};
use osier::runtime::{ExitKind, Launch, Runtime, RuntimeError};
use osier::specs::AppSpec;
use osier::specs::app_spec::StopPolicy;
use osier::specs::values::Signal;

use crate::keeper_rig::{Rig, app, environment_of, is_alive, wait_until};

const STOP: StopPolicy = StopPolicy {
    signal: Signal::Term,
    grace: Duration::from_secs(2),
};

pub fn runtime(rig: &Rig) -> ProcessRuntime {
    let options = ProcessOptions {
        data_dir: rig.data_dir.clone(),
        app_user: None,
        enforce: Enforce::Strict,
        logs: LogLimits::default(),
    };
    ProcessRuntime::new(rig.link.clone(), options)
}

fn launch(name: &str, command: &[&str]) -> Launch {
    let mut spec = AppSpec::new(app(name), "1.2".parse().unwrap());
    spec.command = command.iter().map(|word| (*word).to_owned()).collect();
    spec.env.insert("GREETING".into(), "hello".into());
    Launch {
        spec: Arc::new(spec),
        instance: InstanceId::random(),
        digest: SpecDigest::of(name.as_bytes()),
        artefact: None,
        node: "node-1".parse().unwrap(),
    }
}

#[tokio::test]
async fn a_deployed_app_is_found_with_its_digest_and_removed() {
    let rig = Rig::start().await;
    let runtime = runtime(&rig);
    let launched = launch("web", &["sleep", "1000"]);
    let instance = runtime.deploy(launched.clone()).await.unwrap();
    let pid = instance.os_pid.unwrap();
    let data = rig.app_dir("web").join("data").display().to_string();
    let mut expected = vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        format!("HOME={data}"),
        "LANG=C.UTF-8".to_owned(),
        "OSIER_NODE=node-1".to_owned(),
        "OSIER_APP=web".to_owned(),
        "OSIER_VERSION=1.2".to_owned(),
        format!("OSIER_DATA={data}"),
        "GREETING=hello".to_owned(),
    ];
    expected.push(format!("OSIER_INSTANCE={}", launched.instance));
    assert_eq!(environment_of(pid.cast_signed()), expected);
    let found = runtime.adopt(&app("web")).await.unwrap().unwrap();
    assert_eq!(
        (found.id, found.digest, found.os_pid),
        (launched.instance, launched.digest, Some(pid))
    );
    let usage = runtime.usage(&app("web")).await.unwrap();
    assert_eq!((usage.processes, usage.open_files), (1, 3));
    assert!(usage.memory_bytes > 0);
    runtime.remove(&app("web"), STOP).await.unwrap();
    assert!(!is_alive(pid));
    assert_eq!(instance.exited.await.how, ExitKind::Signal(15));
    assert!(runtime.adopt(&app("web")).await.unwrap().is_none());
    runtime.remove(&app("web"), STOP).await.unwrap();
}

#[tokio::test]
async fn an_upgrade_replaces_and_never_doubles() {
    let rig = Rig::start().await;
    let runtime = runtime(&rig);
    let old = runtime.deploy(launch("web", &["sleep", "1000"])).await.unwrap();
    let new = runtime
        .upgrade(launch("web", &["sleep", "1001"]), STOP)
        .await
        .unwrap();
    assert!(!is_alive(old.os_pid.unwrap()) && is_alive(new.os_pid.unwrap()));
    // A start whose answer was lost is in the way of nobody.
    let newer = runtime.deploy(launch("web", &["sleep", "1002"])).await.unwrap();
    assert!(!is_alive(new.os_pid.unwrap()) && is_alive(newer.os_pid.unwrap()));
}

#[tokio::test]
async fn an_end_that_no_daemon_saw_still_tells_its_code() {
    let mut rig = Rig::start().await;
    let before = runtime(&rig);
    let job = before
        .deploy(launch(
            "job",
            &["sh", "-c", "while [ ! -e go ]; do sleep 0.02; done; exit 0"],
        ))
        .await
        .unwrap();
    let pid = job.os_pid.unwrap();
    drop((job, before));
    rig.restart_daemon().await;
    let runtime = runtime(&rig);
    std::fs::write(rig.app_dir("job").join("data/go"), "").unwrap();
    wait_until("the job is done", || !is_alive(pid)).await;
    let found = runtime
        .current_state()
        .await
        .unwrap()
        .remove(&app("job"))
        .unwrap();
    assert_eq!(found.exited.await.how, ExitKind::Code(0));
    assert!(runtime.adopt(&app("job")).await.unwrap().is_none());
}

#[tokio::test]
async fn errors_name_what_failed() {
    let rig = Rig::start().await;
    let runtime = runtime(&rig);
    let error = runtime
        .deploy(launch("web", &["/no/such/program"]))
        .await
        .unwrap_err();
    let RuntimeError::Exec { path, errno, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((path.as_str(), *errno), ("/no/such/program", libc::ENOENT));
    let mut launched = launch("web", &["true"]);
    Arc::make_mut(&mut launched.spec).sandbox.user = Some("no-such-user-here".into());
    let error = runtime.deploy(launched).await.unwrap_err();
    assert_eq!(error.code(), "osier::runtime::prepare_failed");
    assert!(error.to_string().contains("no-such-user-here"), "{error}");
}
