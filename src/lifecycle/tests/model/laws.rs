//! What holds after each step, and at the end.

use super::*;

impl World {
    /// The laws.
    pub(super) fn check(&self) {
        let standing = self.life.standing();
        if standing.gone {
            assert!(self.running.is_none(), "gone, and it runs");
            assert_eq!(*self.life.record(), AppRecord::default());
        } else {
            assert_eq!(*self.life.record(), self.saved, "a change that was not saved");
        }
        for (index, at_ms) in self.restarts.iter().enumerate() {
            let in_window = self.restarts[index..]
                .iter()
                .filter(|later| *later - at_ms < PERIOD_MS);
            assert!(
                in_window.count() <= INTENSITY as usize,
                "more restarts than allowed: {:?}",
                self.restarts
            );
        }
        let state = self.life.state("n1", "/data/apps/web");
        assert!(!state.status.as_str().is_empty());
    }

    pub(super) fn check_rest(&self) {
        let state = self.life.state("n1", "");
        let at_rest = format!("{state:?}");
        assert!(
            self.unanswered.is_empty(),
            "never answered: {:?} {at_rest}",
            self.unanswered
        );
        assert!(!self.open_action, "an action never ended: {at_rest}");
        let Some(target) = self.life.target() else { return };
        let is_waiting = state.status == crate::status::RunState::Waiting;
        assert!(
            self.life.standing().settled || is_waiting,
            "not settled: {at_rest}"
        );
        assert_eq!(self.life.standing().gone, target.is_gone(), "{at_rest}");
        let record = self.life.record();
        let is_at_rest =
            record.stopped_by_hand.is_some() || record.failed.is_some() || record.finished.is_some();
        if let (Want::Run(app), false, false, false) =
            (&target.want, target.suspended, is_waiting, is_at_rest)
        {
            // What did not prove itself is not what runs: something does that had.
            let is_bad = record.bad.iter().any(|bad| bad.digest == app.digest);
            let applied = record.applied.as_ref().map(|app| &app.digest);
            let runs = self.running.as_ref().map(|found| &found.digest);
            assert_eq!(
                (runs, applied != Some(&app.digest)),
                (applied, is_bad),
                "{at_rest}"
            );
            assert!(record.trial.is_none(), "{at_rest}");
            assert!(self.life.standing().satisfied, "{at_rest}");
        }
        if record.stopped_by_hand.is_some() {
            assert!(self.running.is_none(), "{at_rest}");
        }
    }
}

pub(super) fn applied_digest(life: &Lifecycle) -> Option<SpecDigest> {
    life.record().applied.as_ref().map(|app| app.digest.clone())
}
