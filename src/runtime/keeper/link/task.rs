//! The task that owns the connection.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::wire::{Due, Lost, Wire};
use super::{Command, Exits, Known, LinkEvent, LinkOptions, LinkState, Notices, start};
use crate::names::InstanceId;
use crate::runtime::keeper::frame::CALL_BYTES_MAX;
use crate::runtime::keeper::protocol::{
    Call, CheckEnd, Hello, LimitFault, List, Message, Push, Refusal, Reply, Request, Role,
    SPAWNS_IN_A_CALL_MAX, Spawn, SpawnFault, Spawned, VERSION, VERSION_OF_HEALTH, VERSION_OLDEST,
    VERSION_THAT_CONFINES,
};

/// The wait before the next attempt to reach a keeper, doubling.
const RETRY_FIRST: Duration = Duration::from_millis(10);
/// Each may start a process that finds that it is not to be the keeper.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How long a keeper may take to say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
const SILENT: &str = "it is there and says nothing";
/// Commands taken in one turn.
const COMMANDS_MAX: usize = 512;

struct PendingCall {
    request: Request,
    reply: oneshot::Sender<Result<Reply, Refusal>>,
}

struct PendingSpawn {
    spawn: Box<Spawn>,
    fate: oneshot::Sender<Result<Spawned, SpawnFault>>,
}

/// The state of the link.
pub struct Task {
    options: LinkOptions,
    commands: mpsc::UnboundedReceiver<Command>,
    events: mpsc::Sender<LinkEvent>,
    shown: watch::Sender<LinkState>,
    trouble: watch::Sender<Option<String>>,
    exits: Arc<Exits>,
    known: Arc<Known>,
    notices: Arc<Notices>,
    next_id: u64,
    calls: HashMap<u64, PendingCall>,
    spawns: HashMap<InstanceId, PendingSpawn>,
    /// Commands whose end is to come on this connection.
    checks: HashMap<InstanceId, oneshot::Sender<Result<CheckEnd, SpawnFault>>>,
    /// What came while there was no connection.
    held: Vec<Command>,
    /// What the keeper speaks.
    version: u32,
    /// The keeper was told to end for good: after it there is no other.
    is_finishing: bool,
}

impl Task {
    pub fn new(
        options: LinkOptions,
        commands: mpsc::UnboundedReceiver<Command>,
        events: mpsc::Sender<LinkEvent>,
        (shown, trouble): (watch::Sender<LinkState>, watch::Sender<Option<String>>),
        (exits, known, notices): (Arc<Exits>, Arc<Known>, Arc<Notices>),
    ) -> Self {
        Self {
            options,
            commands,
            events,
            shown,
            trouble,
            exits,
            known,
            notices,
            next_id: 0,
            calls: HashMap::new(),
            spawns: HashMap::new(),
            checks: HashMap::new(),
            held: Vec::new(),
            version: VERSION_OLDEST,
            is_finishing: false,
        }
    }

    /// Connects and serves until the last handle is gone.
    pub async fn run(mut self) {
        let mut wait = RETRY_FIRST;
        // Kept until there is another: a tied keeper that was only slow must not find itself without a daemon.
        let mut last = None;
        loop {
            match self.connect().await {
                Ok(mut wire) => {
                    wait = RETRY_FIRST;
                    drop(last.take());
                    let lost = self.serve(&mut wire).await;
                    last = Some(wire);
                    match lost {
                        Lost::Unwanted => return,
                        Lost::Silent => self.failed(SILENT),
                        // Most likely it is gone, and the next one is there in a moment.
                        Lost::Broken(why) => self.lost(&why),
                    }
                }
                Err(Lost::Unwanted) => return,
                Err(Lost::Silent) => self.failed(SILENT),
                Err(Lost::Broken(why)) => self.failed(&why),
            }
            if self.is_unwanted() {
                return;
            }
            self.hold();
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    fn is_unwanted(&self) -> bool {
        self.is_finishing || self.commands.is_closed()
    }

    /// There is no connection.
    fn lost(&self, why: &str) {
        self.notices.lost();
        self.shown.send_modify(|state| {
            state.is_connected = false;
            why.clone_into(&mut state.why);
        });
        let why = why.to_owned();
        let _ = self.events.try_send(LinkEvent::Disconnected { why });
    }

    /// There is none, and it is known that there is none to be had just now.
    fn failed(&self, why: &str) {
        self.lost(why);
        self.trouble.send_if_modified(|trouble| {
            let is_news = trouble.as_deref() != Some(why);
            *trouble = Some(why.to_owned());
            is_news
        });
    }

    /// Takes in what came while there is no connection, but for what was given up since.
    fn hold(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            self.held.push(command);
        }
        self.held.retain(Command::is_wanted);
    }

    /// Drops what was given up.
    fn prune(&mut self) {
        self.calls.retain(|_, call| !call.reply.is_closed());
        self.spawns.retain(|_, spawn| !spawn.fate.is_closed());
        self.checks.retain(|_, end| !end.is_closed());
    }

    /// A connection on which hello and the list have passed.
    async fn connect(&mut self) -> Result<Wire, Lost> {
        let stream = start::connect(&self.options).await?;
        let mut wire = Wire::new(stream);
        let role = Role::Daemon;
        let hello = Request::Hello {
            version: VERSION,
            role,
        };
        for (id, request) in [hello, Request::List].into_iter().enumerate() {
            wire.queue(&Call {
                id: id as u64,
                request,
            })?;
        }
        wire.write()?;
        self.next_id = 2;
        let mut hello = None;
        loop {
            match tokio::time::timeout(HELLO_WITHIN, self.greet(&mut wire, &mut hello)).await {
                Ok(greeted) => return greeted.map(|()| wire),
                // It holds its socket, so there is no other to be had: another connection would only wait as well.
                Err(_) => self.failed(SILENT),
            }
            if self.is_unwanted() {
                return Err(Lost::Unwanted);
            }
            self.hold();
        }
    }

    /// May be dropped and begun again; `hello` is what has passed already.
    async fn greet(&mut self, wire: &mut Wire, hello: &mut Option<Hello>) -> Result<(), Lost> {
        loop {
            wire.pass().await?;
            while let Some(message) = wire.next_message()? {
                match message {
                    Message::Reply {
                        result: Ok(Reply::Hello(said)),
                        ..
                    } => *hello = Some(said),
                    Message::Reply {
                        result: Ok(Reply::List(list)),
                        ..
                    } => {
                        let hello = hello.take();
                        let hello = hello.ok_or_else(|| Lost::Broken("a list before the hello".into()))?;
                        self.version = hello.version;
                        self.begin(wire, &list)?;
                        let _ = self.events.try_send(LinkEvent::Connected { hello, list });
                        return Ok(());
                    }
                    Message::Reply {
                        result: Err(refusal), ..
                    } => return Err(Lost::Broken(refusal.to_string())),
                    Message::Reply { .. } => {
                        return Err(Lost::Broken("an answer that was not asked for".into()));
                    }
                    Message::Push(push) => self.take_push(push),
                }
            }
        }
    }

    /// Brings a new connection up to date: exits that came meanwhile, and everything that was not answered, again.
    fn begin(&mut self, wire: &mut Wire, list: &List) -> Result<(), Lost> {
        // Their ends were told on the connection before, or never: whoever waits looks anew.
        self.checks.clear();
        self.notices.connected(list, self.version >= VERSION_OF_HEALTH);
        let mut known: HashSet<&InstanceId> = list.running.iter().map(|run| &run.instance).collect();
        known.extend(self.spawns.keys());
        known.extend(list.waiting.iter().map(|waiting| &waiting.instance));
        let apps = list.running.iter().map(|run| &run.app);
        let apps = apps.chain(list.exits.iter().map(|exit| &exit.app));
        let apps = apps.chain(list.waiting.iter().map(|waiting| &waiting.app));
        self.known.listed(apps.cloned());
        for exit in &list.exits {
            self.exits.came(exit.clone());
        }
        self.exits.give_up(|instance| known.contains(instance));
        self.prune();
        self.refuse_what_is_not_understood();
        for (_, call) in std::mem::take(&mut self.calls) {
            self.send_call(wire, call)?;
        }
        let again: Vec<Spawn> = self
            .spawns
            .values()
            .map(|pending| (*pending.spawn).clone())
            .collect();
        send_spawns(wire, &mut self.next_id, again)?;
        let held = std::mem::take(&mut self.held);
        self.send_commands(wire, held.into_iter())?;
        wire.write()?;
        self.shown.send_modify(|state| {
            state.is_connected = true;
            state.version = self.version;
            state.generation += 1;
            state.why.clear();
        });
        self.trouble.send_if_modified(|trouble| trouble.take().is_some());
        Ok(())
    }

    async fn serve(&mut self, wire: &mut Wire) -> Lost {
        let mut commands = Vec::with_capacity(COMMANDS_MAX);
        loop {
            let (at, due) = wire.due();
            tokio::select! {
                // Answers first: they let others go on.
                biased;
                passed = wire.pass() => {
                    let taken = passed.and_then(|()| self.take_messages(wire));
                    if let Err(lost) = taken {
                        return lost;
                    }
                }
                () = tokio::time::sleep_until(at) => {
                    if due == Due::Silent {
                        return Lost::Silent;
                    }
                    if let Err(lost) = self.ask(wire) {
                        return lost;
                    }
                }
                count = self.commands.recv_many(&mut commands, COMMANDS_MAX) => {
                    if count == 0 {
                        return Lost::Unwanted;
                    }
                    let sent = self.send_commands(wire, commands.drain(..));
                    if let Err(lost) = sent.and_then(|()| wire.write()) {
                        return lost;
                    }
                }
            }
        }
    }

    /// Asks whether the keeper is there: the cheapest call that every version answers.
    fn ask(&mut self, wire: &mut Wire) -> Result<(), Lost> {
        let request = Request::Acknowledge {
            instances: Vec::new(),
        };
        let id = next(&mut self.next_id);
        wire.queue(&Call { id, request })?;
        wire.asked();
        wire.write()
    }

    fn take_messages(&mut self, wire: &mut Wire) -> Result<(), Lost> {
        while let Some(message) = wire.next_message()? {
            match message {
                Message::Reply { id, result } => {
                    if let Some(call) = self.calls.remove(&id) {
                        let _ = call.reply.send(result);
                    }
                }
                Message::Push(push) => self.take_push(push),
            }
        }
        Ok(())
    }

    fn take_push(&mut self, push: Push) {
        match push {
            Push::Spawned(spawned) => {
                if let Some(pending) = self.spawns.remove(&spawned.instance) {
                    let _ = pending.fate.send(Ok(spawned));
                }
            }
            Push::SpawnFailed { instance, fault, .. } => {
                if let Some(pending) = self.spawns.remove(&instance) {
                    let _ = pending.fate.send(Err(fault));
                }
            }
            Push::Exited(exit) => self.exits.came(exit),
            Push::Checked { id, result } => {
                if let Some(end) = self.checks.remove(&id) {
                    let _ = end.send(result);
                }
            }
            Push::Noticed { instance, notice } => self.notices.came(&instance, notice),
            Push::OutputDropped { app, output } => {
                let _ = self.events.try_send(LinkEvent::OutputDropped { app, output });
            }
        }
    }

    fn send_commands(
        &mut self,
        wire: &mut Wire,
        commands: impl Iterator<Item = Command>,
    ) -> Result<(), Lost> {
        self.prune();
        let mut spawns = Vec::new();
        let mut calls = Vec::new();
        let mut acknowledged = Vec::new();
        let mut checks = Vec::new();
        for command in commands {
            match command {
                Command::Call { request, reply } => calls.push(PendingCall { request, reply }),
                Command::Spawn { spawn, fate } if !self.is_understood(&spawn) => {
                    let _ = fate.send(Err(not_understood()));
                }
                Command::Spawn { spawn, fate } => {
                    spawns.push((*spawn).clone());
                    self.spawns
                        .insert(spawn.instance.clone(), PendingSpawn { spawn, fate });
                }
                Command::Check { check, end } => {
                    self.checks.insert(check.id.clone(), end);
                    checks.push(check);
                }
                Command::Acknowledge(instance) => acknowledged.push(instance),
                Command::Finish => self.is_finishing = true,
            }
        }
        send_spawns(wire, &mut self.next_id, spawns)?;
        if !acknowledged.is_empty() {
            let request = Request::Acknowledge {
                instances: acknowledged,
            };
            let id = next(&mut self.next_id);
            wire.queue(&Call { id, request })?;
        }
        for call in calls {
            self.send_call(wire, call)?;
        }
        for check in checks {
            let id = next(&mut self.next_id);
            let request = Request::Check(check);
            wire.queue(&Call { id, request })?;
        }
        if self.is_finishing {
            // More than once does no harm.
            let request = Request::Shutdown { stop_apps: true };
            let id = next(&mut self.next_id);
            wire.queue(&Call { id, request })?;
        }
        Ok(())
    }

    /// Whether the keeper knows everything that this start asks for. An older one passes over what it does not know.
    fn is_understood(&self, spawn: &Spawn) -> bool {
        spawn.confinement.is_none() || self.version >= VERSION_THAT_CONFINES
    }

    /// Starts that a keeper before this one would have understood.
    fn refuse_what_is_not_understood(&mut self) {
        let all = std::mem::take(&mut self.spawns);
        let (understood, others): (HashMap<_, _>, HashMap<_, _>) = all
            .into_iter()
            .partition(|(_, pending)| self.is_understood(&pending.spawn));
        self.spawns = understood;
        for pending in others.into_values() {
            let _ = pending.fate.send(Err(not_understood()));
        }
    }

    fn send_call(&mut self, wire: &mut Wire, call: PendingCall) -> Result<(), Lost> {
        let id = next(&mut self.next_id);
        wire.queue(&Call {
            id,
            request: call.request.clone(),
        })?;
        self.calls.insert(id, call);
        Ok(())
    }
}

fn not_understood() -> SpawnFault {
    let why = "the keeper is of an older release, which confines nothing: stop all apps, so that it ends and one of this \
               release takes its place";
    SpawnFault::Limits {
        faults: vec![LimitFault::new("sandbox.read_only", why.to_owned())],
    }
}

fn next(id: &mut u64) -> u64 {
    *id += 1;
    *id
}

/// Queues spawns, many a frame.
fn send_spawns(wire: &mut Wire, next_id: &mut u64, spawns: Vec<Spawn>) -> Result<(), Lost> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    for spawn in spawns {
        let size = size_of_spawn(&spawn);
        if !batch.is_empty() && (batch.len() == SPAWNS_IN_A_CALL_MAX || bytes + size > CALL_BYTES_MAX / 2) {
            let request = Request::Spawn {
                spawns: std::mem::take(&mut batch),
            };
            let id = next(next_id);
            wire.queue(&Call { id, request })?;
            bytes = 0;
        }
        bytes += size;
        batch.push(spawn);
    }
    if batch.is_empty() {
        return Ok(());
    }
    let id = next(next_id);
    wire.queue(&Call {
        id,
        request: Request::Spawn { spawns: batch },
    })
}

/// Roughly what a spawn takes in a frame.
pub fn size_of_spawn(spawn: &Spawn) -> usize {
    const FIXED: usize = 1024;
    const EACH: usize = 16;
    let command: usize = spawn.command.iter().map(|word| word.len() + EACH).sum();
    let environment: usize = spawn
        .environment
        .iter()
        .map(|(name, value)| name.len() + value.len() + EACH)
        .sum();
    FIXED + command + environment + spawn.working_dir.len()
}

#[cfg(test)]
mod tests;
