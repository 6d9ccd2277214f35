//! The live change of flags and child specs: OTP's code change.
//!
//! All of it is checked before any of it holds. Nothing is started, stopped or deleted by it: new flags hold from the next
//! exit on, a changed spec from the child's next start, stop or exit on.

use std::collections::HashSet;
use std::time::Instant;

use super::super::flags::{Flags, SpecError, check_specs};
use super::super::spec::{ChildId, ChildSpec};
use super::child::Child;
use super::{Command, Core, Deferred, Lane, Mode};

impl<H: Clone, R> Core<H, R> {
    /// Replaces the flags, and the specs of children that are listed. In a static supervisor, new children are listed but
    /// not started; the order is that of `specs`, with those that it does not name behind. A dynamic one refuses new children.
    ///
    /// # Errors
    /// The first flag or spec that is wrong; nothing was changed.
    pub(crate) fn reconfigure(
        &mut self,
        flags: Flags,
        specs: Vec<ChildSpec>,
        at: Instant,
    ) -> Result<Vec<Command<H, R>>, SpecError> {
        self.check_change(&flags, &specs)?;
        self.flags = flags;
        match self.mode {
            Mode::Static => self.reorder(specs),
            Mode::Dynamic => self.replace_specs(specs),
        }
        self.rekey_lanes();
        let mut out = Vec::new();
        self.go_on(at, &mut out);
        Ok(out)
    }

    fn check_change(&self, flags: &Flags, specs: &[ChildSpec]) -> Result<(), SpecError> {
        flags.check()?;
        check_specs(specs, flags.auto_shutdown)?;
        match self.mode {
            Mode::Static => {
                let named: HashSet<&ChildId> = specs.iter().map(ChildSpec::id).collect();
                let kept = self
                    .children()
                    .map(|child| &child.spec)
                    .filter(|spec| !named.contains(spec.id()));
                check_specs(specs.iter().chain(kept), flags.auto_shutdown)
            }
            Mode::Dynamic => match specs.iter().find(|spec| !self.children.contains_key(spec.id())) {
                Some(unknown) => Err(SpecError::Unknown(unknown.id().clone())),
                None => Ok(()),
            },
        }
    }

    fn replace_specs(&mut self, specs: Vec<ChildSpec>) {
        for spec in specs {
            if let Some(child) = self.children.get_mut(spec.id()) {
                child.spec = spec;
            }
        }
    }

    fn reorder(&mut self, specs: Vec<ChildSpec>) {
        let mut order: Vec<ChildId> = specs.iter().map(|spec| spec.id().clone()).collect();
        let named: HashSet<ChildId> = order.iter().cloned().collect();
        order.extend(self.order.values().filter(|id| !named.contains(*id)).cloned());
        for spec in specs {
            let id = spec.id().clone();
            match self.children.get_mut(&id) {
                Some(child) => child.spec = spec,
                None => {
                    self.children.insert(id, Child::new(spec, 0));
                }
            }
        }
        self.order.clear();
        for (position, id) in (0..).zip(order) {
            if let Some(child) = self.children.get_mut(&id) {
                child.position = position;
            }
            self.order.insert(position, id);
            self.next_position = position + 1;
        }
    }

    /// Another strategy has other lanes: what waits goes to the queue where it belongs now.
    fn rekey_lanes(&mut self) {
        for waiting in std::mem::take(&mut self.deferred).into_values().flatten() {
            if let Some(lane) = self.lane_of_deferred(&waiting) {
                self.defer(lane, waiting);
            }
        }
        self.free_all();
    }

    /// None: what waits is about an incarnation that is gone.
    fn lane_of_deferred(&self, waiting: &Deferred<R>) -> Option<Lane> {
        let id = match waiting {
            Deferred::Exit { incarnation, .. } => self.incarnations.get(incarnation)?,
            Deferred::Retry { child, .. } => child,
            Deferred::Call { request, .. } => request.child(),
        };
        Some(self.lane_of(id))
    }
}
