//! What may happen in the world, and in which measure.

use proptest::prelude::*;

use super::VERSIONS;
use crate::lifecycle::Operation;
use crate::status::HealthState;

/// Something that happens in the world.
#[derive(Debug, Clone)]
pub(super) enum Move {
    Hand {
        version: u8,
        kind: Hand,
    },
    /// The effect under way ends.
    Finish(Ending),
    /// The fetch under way ends.
    FinishFetch {
        works: bool,
    },
    /// What runs dies, and the actor hears of it.
    Die {
        code: i32,
    },
    /// What runs dies while the actor is told nothing but that it lost sight.
    LoseSight {
        dies: bool,
    },
    Wait {
        ms: u64,
    },
    /// The checks of what runs come to this.
    Check {
        health: HealthState,
    },
    Operate(Operation),
    /// An outcome of an effect that is over.
    Stale,
    /// The actor (or the daemon) dies; its successor starts from the record.
    Crash {
        finishes: bool,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Hand {
    Run,
    RunUnmet,
    Suspended,
    Bad,
    Keep,
    Gone,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Works,
    Fails,
    /// The runtime is away; nothing happened.
    Away,
    /// Time ran out; it happened all the same.
    TimesOutDone,
    /// Time ran out, and nothing happened.
    TimesOutUndone,
}

pub(super) fn moves() -> impl Strategy<Value = Vec<Move>> {
    let hand = prop_oneof![
        8 => Just(Hand::Run),
        2 => Just(Hand::RunUnmet),
        1 => Just(Hand::Suspended),
        1 => Just(Hand::Bad),
        1 => Just(Hand::Keep),
        1 => Just(Hand::Gone),
    ];
    let ending = prop_oneof![
        8 => Just(Ending::Works),
        3 => Just(Ending::Fails),
        1 => Just(Ending::Away),
        1 => Just(Ending::TimesOutDone),
        1 => Just(Ending::TimesOutUndone),
    ];
    let operation = prop_oneof![
        Just(Operation::Stop),
        Just(Operation::Start),
        Just(Operation::Restart)
    ];
    let chosen = prop_oneof![
        4 => (0..VERSIONS, hand).prop_map(|(version, kind)| Move::Hand { version, kind }),
        12 => ending.prop_map(Move::Finish),
        3 => any::<bool>().prop_map(|works| Move::FinishFetch { works }),
        6 => prop_oneof![Just(0), Just(1), Just(137)].prop_map(|code| Move::Die { code }),
        1 => any::<bool>().prop_map(|dies| Move::LoseSight { dies }),
        6 => prop_oneof![0..10_u64, 90..2_000_u64, 5_000..30_000_u64].prop_map(|ms| Move::Wait { ms }),
        4 => prop_oneof![3 => Just(HealthState::Unhealthy), 2 => Just(HealthState::Healthy)]
            .prop_map(|health| Move::Check { health }),
        2 => operation.prop_map(Move::Operate),
        1 => Just(Move::Stale),
        1 => any::<bool>().prop_map(|finishes| Move::Crash { finishes }),
    ];
    proptest::collection::vec(chosen, 1..80)
}
