//! What callers ask, and what they are answered.

use std::time::Duration;

use rustix::process::Signal;

use super::apps::Key;
use super::ending::{not_running, own_pid};
use super::protocol::{
    Call, Capabilities, Hello, List, Message, Refusal, Reply, Request, Role, SPAWNS_IN_A_CALL_MAX, VERSION,
    VERSION_OLDEST, Waiting,
};
use super::state::{Ending, Keeper};
use crate::names::{AppName, InstanceId};

/// Starts that wait for their turn: those of the largest node (10,000 apps), with room to spare.
pub(super) const WAITING_SPAWNS_MAX: usize = 16_384;

type Answer = Result<Reply, Refusal>;

impl Keeper {
    /// Carries out one call and queues its answer.
    pub(super) fn answer(&mut self, caller: Key, call: Call) {
        let has_said_hello = self
            .connections
            .get(&caller)
            .is_some_and(|caller| caller.role.is_some());
        let result = match call.request {
            Request::Hello { version, role } => self.hello(caller, version, role),
            _ if !has_said_hello => Err(Refusal::NoHello),
            request => self.carry_out(request),
        };
        self.reply(caller, &Message::Reply { id: call.id, result });
    }

    fn hello(&mut self, caller: Key, version: u32, role: Role) -> Answer {
        if version < VERSION_OLDEST {
            return Err(Refusal::Version {
                oldest: VERSION_OLDEST,
                newest: VERSION,
                asked: version,
            });
        }
        if let Some(connection) = self.connections.get_mut(&caller) {
            connection.role = Some(role);
            connection.version = version.min(VERSION);
        }
        if role == Role::Daemon {
            self.daemon_came();
        }
        Ok(Reply::Hello(Hello {
            version: version.min(VERSION),
            pid: own_pid().unsigned_abs(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms: self.started_at_ms,
            adopted_count: self.adopted_count,
            torn_records_count: self.torn_records_count,
        }))
    }

    fn carry_out(&mut self, request: Request) -> Answer {
        match request {
            // Handled before: a second hello only changes the role.
            Request::Hello { .. } => Err(Refusal::NoHello),
            Request::Spawn { spawns } if spawns.len() > SPAWNS_IN_A_CALL_MAX => Err(Refusal::TooMany {
                count: spawns.len() as u64,
                max: SPAWNS_IN_A_CALL_MAX as u64,
            }),
            Request::Spawn { spawns } if self.waiting_spawns.len() + spawns.len() > WAITING_SPAWNS_MAX => {
                Err(Refusal::TooMany {
                    count: (self.waiting_spawns.len() + spawns.len()) as u64,
                    max: WAITING_SPAWNS_MAX as u64,
                })
            }
            Request::Spawn { spawns } => {
                self.waiting_spawns.extend(spawns);
                Ok(Reply::Done)
            }
            Request::Stop {
                instance,
                signal,
                grace_ms,
            } => {
                let signal = known(signal)?;
                self.stop(&instance, signal, Duration::from_millis(grace_ms))?;
                Ok(Reply::Done)
            }
            Request::Signal { instance, signal } => self.signal(&instance, signal),
            Request::List => Ok(self.list(|_| true)),
            Request::Find { app } => Ok(self.list(|one| *one == app)),
            Request::Acknowledge { instances } => {
                self.acknowledge(instances);
                Ok(Reply::Done)
            }
            Request::Check(check) => {
                self.begin_check(check);
                Ok(Reply::Done)
            }
            Request::Stats { instances } => Ok(Reply::Stats(self.usage(&instances))),
            Request::Forget { app } => self.forget(&app),
            Request::Capabilities => {
                let (limits, missing) = self.groups.limits();
                Ok(Reply::Capabilities(Capabilities {
                    tree_kill: self.groups.tree_kill(),
                    limits,
                    missing,
                    sandbox: Some(self.sandbox_means()),
                }))
            }
            Request::Shutdown { stop_apps } => {
                self.end(if stop_apps {
                    Ending::StopApps
                } else {
                    Ending::LeaveApps
                });
                Ok(Reply::Done)
            }
        }
    }

    fn signal(&mut self, instance: &InstanceId, signal: i32) -> Answer {
        let signal = known(signal)?;
        let run = self.apps.find(instance).and_then(|key| self.apps.run(key));
        let run = run.ok_or_else(|| not_running(instance))?;
        run.signal(signal)
            .map(|()| Reply::Done)
            .map_err(|error| Refusal::System {
                what: "the signal was not sent".into(),
                errno: error.raw_os_error(),
            })
    }

    fn list(&self, is_asked_for: impl Fn(&AppName) -> bool) -> Reply {
        let exits = self.exits.iter().filter(|exit| is_asked_for(&exit.app));
        let waiting = self
            .waiting_spawns
            .iter()
            .filter(|spawn| is_asked_for(&spawn.app));
        let waiting = waiting.map(|spawn| Waiting {
            app: spawn.app.clone(),
            instance: spawn.instance.clone(),
        });
        Reply::List(List {
            running: self.apps.list(&is_asked_for),
            exits: exits.cloned().collect(),
            exits_lost_count: self.exits_lost_count,
            waiting: waiting.collect(),
        })
    }

    fn forget(&mut self, app: &AppName) -> Answer {
        if let Some(key) = self.apps.find_app(app) {
            if self.apps.run(key).is_some() {
                return Err(Refusal::StillRunning { app: app.clone() });
            }
            if let Some(output) = self.apps.slot(key).and_then(|slot| slot.output.as_ref()) {
                self.unwatch(output.pipe());
            }
            self.close_ear(key);
            self.apps.forget(key);
        }
        self.call_off(|spawn| spawn.app == *app);
        // A keeper before this one may have left both.
        self.groups.remove(app);
        self.remove_pipe(app);
        Ok(Reply::Done)
    }
}

fn known(signal: i32) -> Result<Signal, Refusal> {
    Signal::from_named_raw(signal).ok_or(Refusal::NoSuchSignal { signal })
}
