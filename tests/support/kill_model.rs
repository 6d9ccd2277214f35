//! What is true of a node whose actors are killed: what was committed and ordered, and from that what must run.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use osier::control::client::Client;
use osier::names::{AppName, CommitId};
use osier::rpc::Procedure;
use osier::rpc::procedures::{Operate, OperateRequest, Operation, Status, Suspend, SuspendRequest};
use osier::status::{AppState, NodeStatus, RunState, SyncState};
use tokio::task::JoinHandle;

use crate::kill_stage::{Root, Stage};
use crate::poll::{PATIENCE, answered, found_or};

/// What an app does as processes: its shell text, how many processes that is, and what its spec says besides.
struct Shape {
    text: &'static str,
    processes: usize,
    more: &'static str,
    /// It may leave and come back.
    is_removable: bool,
}

const fn shape(text: &'static str, processes: usize, more: &'static str, is_removable: bool) -> Shape {
    Shape {
        text,
        processes,
        more,
        is_removable,
    }
}

const CRASHER: &str = "crasher";
const SHAPES: [(&str, Shape); 8] = [
    ("db", shape("exec sleep 5000", 1, "", false)),
    (
        "web",
        shape("sleep 5000 & sleep 5000 & wait", 3, "depends_on: [db]\n", false),
    ),
    (
        "worker",
        shape("exec sleep 5000", 1, "depends_on: [web]\n", false),
    ),
    (
        "clock",
        shape("trap 'exit 0' TERM; sleep 5000 & wait", 2, "", false),
    ),
    (
        "stubborn",
        shape("trap '' TERM; sleep 5000", 2, "stop: { timeout: 200ms }\n", true),
    ),
    ("extra", shape("exec sleep 5000", 1, "depends_on: [db]\n", true)),
    ("spare", shape("exec sleep 5000", 1, "", true)),
    (
        CRASHER,
        shape(
            "sleep 0.7; exit 3",
            2,
            "restart: { intensity: 100000, backoff: { initial: 100ms, max: 200ms } }\n",
            false,
        ),
    ),
];

/// One app as git and operators want it.
struct App {
    shape: Shape,
    version: u32,
    /// What the newest commit's spec says.
    generation: u32,
    /// What has to run: the newest, unless its spec is broken or it is held.
    running: u32,
    description: u32,
    is_here: bool,
    is_broken: bool,
    is_held: bool,
    /// Its process when the node converged last.
    pid: Option<u32>,
    /// Somebody touched it since: it may be another process now.
    is_touched: bool,
}

/// Something that is done to a running node.
#[derive(Debug, Clone)]
pub enum Work {
    Nothing,
    Upgrade(String),
    Reconfigure(String),
    /// A change that is applied in place.
    Describe(String),
    Remove(String),
    Return(String),
    /// Three commits in quick succession.
    Burst(Vec<String>),
    /// Restarted by hand.
    Restart(String),
    /// A spec that cannot be read: the app stays as it is.
    Break(String),
    Mend(String),
    /// An operator holds it, and a commit asks for another generation: it stays as it is.
    Hold(String),
    Release(String),
}

/// Everything that has to be true.
pub struct Model {
    apps: BTreeMap<&'static str, App>,
    head: String,
    mark: String,
    asked: Vec<JoinHandle<()>>,
}

impl Model {
    /// All apps, in their first generation.
    pub fn new(stage: &Stage) -> Self {
        let app = |shape| App {
            shape,
            version: 1,
            generation: 1,
            running: 1,
            description: 1,
            is_here: true,
            is_broken: false,
            is_held: false,
            pid: None,
            is_touched: true,
        };
        let model = Self {
            apps: SHAPES
                .into_iter()
                .map(|(name, shape)| (name, app(shape)))
                .collect(),
            head: String::new(),
            mark: stage.mark().to_owned(),
            asked: Vec::new(),
        };
        for name in model.apps.keys() {
            model.put(stage, name);
        }
        model
    }

    /// Commits what was put.
    pub fn commit(&mut self, stage: &Stage, message: &str) {
        self.head = stage.specs.commit(message);
    }

    fn put(&self, stage: &Stage, name: &str) {
        let app = &self.apps[name];
        let (version, description, more) = (app.version, app.description, app.shape.more);
        let mut text = format!("version: {version}.0.0\ndescription: number {description}\n{more}");
        text += &format!("command: [sh, -c, \"{}\"]\n", app.shape.text);
        text += &format!("env: {{ KILLS: '{}', GEN: {} }}\n", self.mark, app.generation);
        if app.is_broken {
            text += "env: [\n";
        }
        stage.specs.put(&format!("apps/{name}/app.yaml"), &text);
    }

    /// One of the apps that are there.
    pub fn choose_app(&self, random: &mut Rng) -> String {
        self.choose(random, |app| app.is_here).expect("some stay always")
    }

    fn choose(&self, random: &mut Rng, is_meant: impl Fn(&App) -> bool) -> Option<String> {
        let meant = self.apps.iter().filter(|(_, app)| is_meant(app));
        random.choice(meant.map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>())
    }

    /// Something that can be done now.
    pub fn choose_work(&self, random: &mut Rng) -> Work {
        let is_plain = |app: &App| app.is_here && !app.is_broken && !app.is_held;
        let kind = random.u8(0..14);
        let plain = self.choose(random, is_plain);
        let broken = self.choose(random, |app| app.is_broken);
        let held = self.choose(random, |app| app.is_held);
        let work = match kind {
            0 | 1 => None,
            2 | 3 => plain.map(Work::Upgrade),
            4 => plain.map(Work::Reconfigure),
            5 => plain.map(Work::Describe),
            6 => self
                .choose(random, |app| is_plain(app) && app.shape.is_removable)
                .map(Work::Remove),
            7 => self.choose(random, |app| !app.is_here).map(Work::Return),
            8 => {
                let some = (0..3).filter_map(|_| self.choose(random, is_plain));
                Some(Work::Burst(some.collect()))
            }
            9 => plain.map(Work::Restart),
            10 => plain.filter(|_| broken.is_none()).map(Work::Break),
            11 => broken.map(Work::Mend),
            12 => plain.filter(|_| held.is_none()).map(Work::Hold),
            _ => held.map(Work::Release),
        };
        work.unwrap_or(Work::Nothing)
    }

    /// Changes an app in git: it may be another process from now on.
    fn touch(&mut self, name: &str, change: impl FnOnce(&mut App)) {
        let app = self.apps.get_mut(name).unwrap();
        change(app);
        app.is_touched = true;
        app.running = app.generation;
    }

    /// Does it, and notes what is true from now on.
    pub async fn work(&mut self, stage: &Stage, work: &Work, round: usize) {
        let next = |app: &mut App| app.generation += 1;
        match work {
            Work::Nothing => return,
            Work::Upgrade(name) => self.touch(name, |app| {
                app.version += 1;
                app.generation += 1;
            }),
            Work::Reconfigure(name) => self.touch(name, next),
            Work::Describe(name) => self.apps.get_mut(name.as_str()).unwrap().description += 1,
            Work::Remove(name) => {
                self.apps.get_mut(name.as_str()).unwrap().is_here = false;
                stage.specs.remove(&format!("apps/{name}/app.yaml"));
                return self.commit(stage, &format!("round {round}: no {name}"));
            }
            Work::Return(name) => self.touch(name, |app| {
                app.is_here = true;
                app.pid = None;
            }),
            Work::Burst(names) => {
                for name in names {
                    self.touch(name, next);
                    self.put(stage, name);
                    self.commit(stage, &format!("round {round}: burst"));
                }
                return;
            }
            Work::Restart(name) => {
                self.touch(name, |_| {});
                return self.restart(stage, name);
            }
            Work::Break(name) => self.apps.get_mut(name.as_str()).unwrap().is_broken = true,
            Work::Mend(name) => self.apps.get_mut(name.as_str()).unwrap().is_broken = false,
            Work::Hold(name) => {
                hold(stage, Some(name), true, "held by a test").await;
                let app = self.apps.get_mut(name.as_str()).unwrap();
                app.is_held = true;
                app.generation += 1;
            }
            Work::Release(name) => {
                hold(stage, Some(name), false, "released by a test").await;
                return self.touch(name, |app| app.is_held = false);
            }
        }
        let (Work::Upgrade(name)
        | Work::Reconfigure(name)
        | Work::Describe(name)
        | Work::Return(name)
        | Work::Break(name)
        | Work::Mend(name)
        | Work::Hold(name)) = work
        else {
            return;
        };
        self.put(stage, name);
        self.commit(stage, &format!("round {round}: {work:?}"));
    }

    /// Restarts an app by hand; whoever asked is answered, or hears that nobody is there.
    fn restart(&mut self, stage: &Stage, name: &str) {
        let (socket, app) = (stage.socket(), Some(name.to_owned()));
        self.asked.push(tokio::spawn(async move {
            if let Ok(mut client) = Client::connect(&socket).await {
                let operation = Operation::Restart;
                let _ = client
                    .call::<Operate>(&OperateRequest { operation, app }, None)
                    .await;
            }
        }));
    }

    /// Nothing is broken or held any more.
    pub async fn settle(&mut self, stage: &Stage) {
        let wrong = self.apps.iter().filter(|(_, app)| app.is_broken || app.is_held);
        let wrong: Vec<_> = wrong
            .map(|(name, app)| ((*name).to_owned(), app.is_held))
            .collect();
        for (name, is_held) in wrong {
            let work = if is_held {
                Work::Release(name)
            } else {
                Work::Mend(name)
            };
            self.work(stage, &work, 0).await;
        }
        self.converge(stage).await;
    }

    /// Waits until all of it is true, and notes which processes run.
    pub async fn converge(&mut self, stage: &Stage) {
        for asked in self.asked.drain(..) {
            let answered = tokio::time::timeout(PATIENCE, asked).await;
            answered.expect("an order by hand is answered").unwrap();
        }
        let shown = stage
            .node()
            .wait_until(|status, apps| self.untrue(status, apps).is_none());
        if tokio::time::timeout(PATIENCE, shown).await.is_err() {
            let (status, apps) = (stage.node().status(), stage.node().apps());
            let why = self.untrue(&status, &apps);
            panic!(
                "still not so: {why:?}\n{status:#?}\n{apps:#?}\n{:#?}",
                stage.roots()
            );
        }
        let roots = found_or(|| {
            let roots = stage.roots();
            match self.unseen(stage, &roots) {
                None => Ok(roots),
                Some(why) => Err(format!("{why}\n{roots:#?}\n{:#?}", stage.node().apps())),
            }
        })
        .await;
        for root in roots.iter().filter(|root| root.app != CRASHER) {
            let app = self.apps.get_mut(root.app.as_str()).unwrap();
            let stayed = app.is_touched || app.pid.is_none_or(|pid| pid == root.pid);
            assert!(
                stayed,
                "{} was {:?} and was not touched: {root:?}",
                root.app, app.pid
            );
            (app.pid, app.is_touched) = (Some(root.pid), false);
        }
        self.is_answered(stage).await;
    }

    /// What the node does not say yet.
    fn untrue(&self, status: &NodeStatus, shown: &BTreeMap<AppName, AppState>) -> Option<String> {
        if status.last_commit.as_ref().map(CommitId::as_str) != Some(&self.head) {
            return Some(format!("the node has applied {}", self.head));
        }
        let here: BTreeSet<&str> = self
            .apps
            .iter()
            .filter(|(_, app)| app.is_here)
            .map(|(name, _)| *name)
            .collect();
        let names: BTreeSet<&str> = shown.keys().map(AppName::as_str).collect();
        if names != here {
            return Some(format!("it has the apps {here:?}, not {names:?}"));
        }
        shown.iter().find_map(|(name, state)| {
            let app = &self.apps[name.as_str()];
            let is_so = app.is_shown(state) || name.as_str() == CRASHER;
            (!is_so).then(|| format!("{name} runs as it should"))
        })
    }

    /// What the kernel does not see yet.
    fn unseen(&self, stage: &Stage, roots: &[Root]) -> Option<String> {
        for (name, app) in &self.apps {
            let own: Vec<&Root> = roots.iter().filter(|root| root.app == *name).collect();
            let is_so = match own.as_slice() {
                [] => !app.is_here || *name == CRASHER,
                [root] if *name == CRASHER => root.generation == app.running,
                [root] => {
                    let shown = stage.node().app(name).and_then(|state| state.os_pid);
                    let is_whole = root.processes == app.shape.processes;
                    app.is_here && is_whole && root.generation == app.running && shown == Some(root.pid)
                }
                _ => false,
            };
            if !is_so {
                return Some(format!(
                    "{name} is one tree of generation {}, or none where none is wanted",
                    app.running
                ));
            }
        }
        None
    }

    /// The control socket answers, and says the same.
    async fn is_answered(&self, stage: &Stage) {
        let status = ask::<Status>(stage, &Default::default()).await;
        assert_eq!(status.last_commit.unwrap().as_str(), self.head);
    }
}

impl App {
    fn is_shown(&self, state: &AppState) -> bool {
        let generation = state.env.get("GEN").map(String::as_str);
        let sync = match (self.is_held, self.is_broken) {
            (true, _) => SyncState::Suspended,
            (false, true) => SyncState::Error,
            (false, false) => SyncState::Synced,
        };
        let is_as_asked = self.is_held
            || self.is_broken
            || state.description.as_deref() == Some(&format!("number {}", self.description));
        state.status == RunState::Running
            && state.sync == sync
            && is_as_asked
            && state.restarts == 0
            && state.os_pid.is_some()
            && generation == Some(&self.running.to_string())
    }
}

/// An operator's word about an app; said again until it is heard.
pub async fn hold(stage: &Stage, app: Option<&str>, suspend: bool, reason: &str) {
    let request = SuspendRequest {
        app: app.map(str::to_owned),
        suspend,
        for_ms: None,
        reason: Some(reason.to_owned()),
    };
    ask::<Suspend>(stage, &request).await;
}

/// Asks through the socket, again while whoever answers is being restarted.
async fn ask<P: Procedure>(stage: &Stage, request: &P::Request) -> P::Reply {
    answered(P::NAME, async || {
        let mut client = Client::connect(&stage.socket()).await.ok()?;
        client.call::<P>(request, None).await.ok()
    })
    .await
}
