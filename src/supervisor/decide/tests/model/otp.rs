//! The other supervisor.

use super::*;

pub(super) struct Otp<'a> {
    pub(super) setting: &'a Setting,
    pub(super) now_ms: u64,
    pub(super) kids: Vec<Kid>,
    pub(super) restarts: Vec<u64>,
    pub(super) attempts: [usize; IDS.len()],
    pub(super) ups: [usize; IDS.len()],
    pub(super) tickets: u64,
    pub(super) mailbox: VecDeque<Mail<u64>>,
    pub(super) deeds: Vec<Deed>,
    pub(super) said: Vec<Said>,
    pub(super) has_ended: bool,
}

impl<'a> Otp<'a> {
    pub(super) fn new(setting: &'a Setting) -> Self {
        let kids = (0..setting.boot)
            .map(|id| Kid {
                id,
                is: Is::Undefined,
            })
            .collect();
        let mut otp = Self {
            setting,
            now_ms: 0,
            kids,
            restarts: Vec::new(),
            attempts: [0; IDS.len()],
            ups: [0; IDS.len()],
            tickets: 0,
            mailbox: VecDeque::new(),
            deeds: Vec::new(),
            said: Vec::new(),
            has_ended: false,
        };
        if otp.start_kids(0).is_err() {
            otp.end();
        }
        otp
    }

    fn is_simple(&self) -> bool {
        self.setting.mode == Mode::Dynamic
    }

    fn restart_type(&self, id: usize) -> Restart {
        self.setting.types[id].0
    }

    fn find(&self, id: usize) -> Option<usize> {
        self.kids.iter().position(|kid| kid.id == id)
    }

    /// do_start_child
    fn start(&mut self, id: usize) -> Result<Is, ()> {
        let luck = self.setting.luck(id, self.attempts[id]);
        self.attempts[id] += 1;
        self.deeds.push(Deed::Start(id, luck));
        match luck {
            Luck::Runs => {
                self.ups[id] += 1;
                Ok(Is::Runs((id, self.ups[id] - 1)))
            }
            Luck::Ignores => Ok(Is::Undefined),
            Luck::Fails => Err(()),
        }
    }

    /// start_children, from this place on; the place where it stopped.
    fn start_kids(&mut self, from: usize) -> Result<(), usize> {
        let mut at = from;
        while at < self.kids.len() {
            let id = self.kids[at].id;
            match self.start(id) {
                Ok(Is::Undefined) if self.restart_type(id) == Restart::Temporary => {
                    self.kids.remove(at);
                }
                Ok(is) => {
                    self.kids[at].is = is;
                    at += 1;
                }
                Err(()) => return Err(at),
            }
        }
        Ok(())
    }

    /// terminate_children, from this place on, last first.
    fn stop_kids(&mut self, from: usize) {
        for at in (from..self.kids.len()).rev() {
            if let Is::Runs((id, _)) = self.kids[at].is {
                self.deeds.push(Deed::Stop(id));
            }
            self.kids[at].is = Is::Undefined;
            if self.restart_type(self.kids[at].id) == Restart::Temporary {
                self.kids.remove(at);
            }
        }
    }

    fn end(&mut self) {
        if self.is_simple() {
            // At once, so that the order means nothing.
            let running = self.kids.iter().filter(|kid| matches!(kid.is, Is::Runs(_)));
            self.deeds.extend(running.map(|kid| Deed::Stop(kid.id)));
            self.kids.clear();
        }
        self.stop_kids(0);
        self.has_ended = true;
    }

    /// del_child
    fn del(&mut self, at: usize) {
        let is_temporary = self.restart_type(self.kids[at].id) == Restart::Temporary;
        if self.is_simple() || is_temporary {
            self.kids.remove(at);
        } else {
            self.kids[at].is = Is::Undefined;
        }
    }

    pub(super) fn receive(&mut self) {
        let Some(mail) = self.mailbox.pop_front() else {
            return;
        };
        if self.has_ended {
            if let Mail::Call(..) = mail {
                self.said.push(Said::NoProcess);
            }
            return;
        }
        match mail {
            Mail::Exit(pid, reason) => {
                if let Some(at) = self.kids.iter().position(|kid| kid.is == Is::Runs(pid)) {
                    self.exited(at, &reason);
                }
            }
            Mail::Retry(id, ticket) => {
                if let Some(at) = self.find(id)
                    && self.kids[at].is == Is::Restarting(ticket)
                {
                    self.restart(at);
                }
            }
            Mail::Call(ask, id) => {
                let said = self.call(ask, id);
                self.said.push(said);
            }
            Mail::Shutdown => self.end(),
        }
    }

    /// do_restart
    fn exited(&mut self, at: usize, reason: &ExitReason) {
        let id = self.kids[at].id;
        let is_normal = matches!(reason, ExitReason::Normal | ExitReason::Shutdown(_));
        let is_restarted = match self.restart_type(id) {
            Restart::Permanent => true,
            Restart::Transient => !is_normal,
            Restart::Temporary => false,
        };
        if is_restarted {
            return self.restart(at);
        }
        self.del(at);
        if !self.setting.types[id].1 {
            return;
        }
        let others = || {
            self.kids
                .iter()
                .any(|kid| self.setting.types[kid.id].1 && kid.is != Is::Undefined)
        };
        match self.setting.flags.auto_shutdown {
            AutoShutdown::Never => {}
            AutoShutdown::AllSignificant if others() => {}
            AutoShutdown::AnySignificant | AutoShutdown::AllSignificant => self.end(),
        }
    }

    fn restart(&mut self, at: usize) {
        let period = u64::try_from(self.setting.flags.period.as_millis()).unwrap();
        let now = self.now_ms;
        self.restarts.push(now);
        self.restarts.retain(|then| now - then <= period);
        if self.restarts.len() > self.setting.flags.intensity as usize {
            self.del(at);
            return self.end();
        }
        if self.is_simple() || self.setting.flags.strategy == RestartStrategy::OneForOne {
            return match self.start(self.kids[at].id) {
                Ok(Is::Undefined) => self.del(at),
                Ok(is) => self.kids[at].is = is,
                Err(()) => self.try_again(at),
            };
        }
        let from = if self.setting.flags.strategy == RestartStrategy::OneForAll {
            0
        } else {
            at
        };
        self.kids[at].is = Is::Undefined;
        self.stop_kids(from);
        if let Err(failed) = self.start_kids(from) {
            self.try_again(failed);
        }
    }

    fn try_again(&mut self, at: usize) {
        self.tickets += 1;
        self.kids[at].is = Is::Restarting(self.tickets);
        self.mailbox
            .push_back(Mail::Retry(self.kids[at].id, self.tickets));
    }

    pub(super) fn call(&mut self, ask: Ask, id: usize) -> Said {
        let at = self.find(id);
        match (ask, at.map(|at| self.kids[at].is)) {
            (Ask::Start, None) => match self.start(id) {
                Ok(Is::Undefined) if self.is_simple() || self.restart_type(id) == Restart::Temporary => {
                    Said::Child(None)
                }
                Ok(is) => {
                    self.kids.push(Kid { id, is });
                    Said::Child(if let Is::Runs(pid) = is { Some(pid) } else { None })
                }
                Err(()) => Said::StartFailed,
            },
            (Ask::Start, Some(Is::Runs(pid))) => Said::AlreadyStarted(pid),
            (Ask::Start, Some(Is::Undefined | Is::Restarting(_))) => Said::AlreadyPresent,
            (_, None) => Said::NotFound,
            (Ask::Terminate, Some(is)) => {
                if let Is::Runs(_) = is {
                    self.deeds.push(Deed::Stop(id));
                }
                self.del(at.unwrap());
                Said::Child(None)
            }
            (Ask::Restart, Some(Is::Undefined)) => match self.start(id) {
                Ok(is) => {
                    let at = at.unwrap();
                    self.kids[at].is = is;
                    match is {
                        Is::Runs(pid) => Said::Child(Some(pid)),
                        Is::Undefined | Is::Restarting(_) => {
                            self.del(at);
                            Said::Child(None)
                        }
                    }
                }
                Err(()) => Said::StartFailed,
            },
            (Ask::Restart | Ask::Delete, Some(Is::Restarting(_))) => Said::Restarting,
            (Ask::Restart | Ask::Delete, Some(Is::Runs(_))) => Said::Running,
            (Ask::Delete, Some(Is::Undefined)) => {
                self.kids.remove(at.unwrap());
                Said::Child(None)
            }
        }
    }
}
