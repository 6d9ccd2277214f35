//! Properties of [`Core`]: it does what OTP's supervisor would do (`model`), and keeps its invariants however late and in
//! whatever order the world answers (`chaos`); a few cases are spelled out (`cases`).

mod cases;
mod chaos;
mod model;

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::Strategy;

use super::super::flags::{AutoShutdown, Flags, Strategy as RestartStrategy};
use super::super::spec::{ChildSpec, Restart};
use super::super::start::Started;
use super::*;

/// The pool of ids, in an order that is not that of the alphabet.
const IDS: [&str; 5] = ["delta", "alpha", "echo", "bravo", "charlie"];

/// What a start comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    Runs,
    Ignores,
    Fails,
}

/// Everything that is fixed before the first event.
#[derive(Debug, Clone)]
struct Setting {
    mode: Mode,
    flags: Flags,
    /// Of each id in [`IDS`]: its restart type, and whether it is significant.
    types: Vec<(Restart, bool)>,
    /// How many of [`IDS`] are there from the start (static supervisors only).
    boot: usize,
    /// Of each id: what its starts come to, over and over.
    luck: Vec<Vec<Luck>>,
}

impl Setting {
    fn spec(&self, id: usize) -> ChildSpec {
        let (restart, is_significant) = self.types[id];
        ChildSpec::new(IDS[id], |_| async { Ok(Started::ignored()) })
            .restart(restart)
            .significant(is_significant)
    }

    fn boot_specs(&self) -> Vec<ChildSpec> {
        (0..self.boot).map(|id| self.spec(id)).collect()
    }

    fn luck(&self, id: usize, attempt: usize) -> Luck {
        let luck = &self.luck[id];
        luck[attempt % luck.len()]
    }
}

fn index(id: &ChildId) -> usize {
    IDS.iter().position(|name| *name == id.as_str()).unwrap()
}

fn any_exit() -> impl Strategy<Value = ExitReason> {
    prop_oneof![
        3 => Just(ExitReason::Failed("crash".into())),
        1 => Just(ExitReason::Killed),
        1 => Just(ExitReason::Normal),
        1 => Just(ExitReason::Shutdown(None)),
    ]
}

fn any_luck() -> impl Strategy<Value = Vec<Luck>> {
    let luck = prop_oneof![8 => Just(Luck::Runs), 1 => Just(Luck::Ignores), 3 => Just(Luck::Fails)];
    // The first start succeeds, or few supervisors would come up at all.
    proptest::collection::vec(luck, 0..6).prop_map(|mut luck| {
        luck.insert(0, Luck::Runs);
        luck
    })
}

prop_compose! {
    fn any_flags()(
        strategy in prop_oneof![
            Just(RestartStrategy::OneForOne), Just(RestartStrategy::OneForAll), Just(RestartStrategy::RestForOne),
        ],
        intensity in 0_u32..6,
        period in 1_u64..5,
        auto_shutdown in prop_oneof![
            Just(AutoShutdown::Never), Just(AutoShutdown::AnySignificant), Just(AutoShutdown::AllSignificant),
        ],
    ) -> Flags {
        Flags::new(strategy).intensity(intensity, Duration::from_secs(period)).auto_shutdown(auto_shutdown)
    }
}

prop_compose! {
    fn any_setting()(
        is_dynamic in proptest::bool::weighted(0.25),
        flags in any_flags(),
        types in proptest::collection::vec(
            (prop_oneof![Just(Restart::Permanent), Just(Restart::Transient), Just(Restart::Temporary)], any::<bool>()),
            IDS.len(),
        ),
        boot in 0..=IDS.len(),
        luck in proptest::collection::vec(any_luck(), IDS.len()),
    ) -> Setting {
        let flags = if is_dynamic { Flags { auto_shutdown: AutoShutdown::Never, ..flags } } else { flags };
        let can_be_significant = flags.auto_shutdown != AutoShutdown::Never;
        let types = types.into_iter().map(|(restart, significant)| {
            (restart, significant && can_be_significant && restart != Restart::Permanent)
        });
        Setting {
            mode: if is_dynamic { Mode::Dynamic } else { Mode::Static },
            flags,
            types: types.collect(),
            boot: if is_dynamic { 0 } else { boot },
            luck,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Ask {
    Start,
    Terminate,
    Restart,
    Delete,
}

fn any_ask() -> impl Strategy<Value = Ask> {
    prop_oneof![4 => Just(Ask::Start), 2 => Just(Ask::Terminate), 2 => Just(Ask::Restart), 1 => Just(Ask::Delete)]
}

fn request(setting: &Setting, ask: Ask, id: usize) -> Request {
    match ask {
        Ask::Start => Request::Start(setting.spec(id)),
        Ask::Terminate => Request::Terminate(IDS[id].into()),
        Ask::Restart => Request::Restart(IDS[id].into()),
        Ask::Delete => Request::Delete(IDS[id].into()),
    }
}
