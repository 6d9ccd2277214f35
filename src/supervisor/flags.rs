//! What holds for a supervisor as a whole, and what of it is refused.

use std::time::Duration;

use super::spec::{ChildId, ChildSpec, Restart};

/// OTP's default: one restart in [`PERIOD_DEFAULT`].
pub const INTENSITY_DEFAULT: u32 = 1;
/// OTP's default: five seconds.
pub const PERIOD_DEFAULT: Duration = Duration::from_secs(5);
/// The most restarts that may be allowed in a period: each is remembered (16 bytes) until it is older than the period.
pub const INTENSITY_MAX: u32 = 100_000;
/// The longest period: a year, far beyond what a restart intensity can mean.
pub const PERIOD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// The most children of one supervisor.
pub const CHILDREN_MAX: usize = 200_000;

/// Who is restarted when a child dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Only the child that died.
    #[default]
    OneForOne,
    /// All children: the others are stopped in reverse start order, then all are started in start order.
    OneForAll,
    /// The child that died and those that were started after it.
    RestForOne,
}

impl Strategy {
    /// The word that OTP has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneForOne => "one_for_one",
            Self::OneForAll => "one_for_all",
            Self::RestForOne => "rest_for_one",
        }
    }
}

/// Does a supervisor leave when its significant children have left by themselves?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoShutdown {
    /// No, and significant children are refused.
    #[default]
    Never,
    /// When any of them has.
    AnySignificant,
    /// When the last active one has.
    AllSignificant,
}

/// What holds for a supervisor as a whole. Defaults are OTP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// Who is restarted when a child dies. Default: only that child.
    pub strategy: Strategy,
    /// How many restarts within [`Flags::period`] are allowed; one more, and the supervisor gives up. Default 1.
    pub intensity: u32,
    /// The sliding window of [`Flags::intensity`], by the monotonic clock. Default 5 s.
    pub period: Duration,
    /// Whether it leaves after its significant children. Default: never.
    pub auto_shutdown: AutoShutdown,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            intensity: INTENSITY_DEFAULT,
            period: PERIOD_DEFAULT,
            auto_shutdown: AutoShutdown::default(),
        }
    }
}

impl Flags {
    /// The defaults with this strategy.
    #[must_use]
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            ..Self::default()
        }
    }

    /// Allows `intensity` restarts within `period`.
    #[must_use]
    pub fn intensity(self, intensity: u32, period: Duration) -> Self {
        Self {
            intensity,
            period,
            ..self
        }
    }

    /// Sets whether it leaves after its significant children.
    #[must_use]
    pub fn auto_shutdown(self, auto_shutdown: AutoShutdown) -> Self {
        Self {
            auto_shutdown,
            ..self
        }
    }

    /// # Errors
    /// The first flag that is out of its range.
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        if self.intensity > INTENSITY_MAX {
            return Err(SpecError::Intensity(self.intensity));
        }
        if self.period.is_zero() || self.period > PERIOD_MAX {
            return Err(SpecError::Period(self.period));
        }
        Ok(())
    }
}

/// Why flags or child specs were refused. Nothing of what was handed over with them was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The period is zero or longer than [`PERIOD_MAX`].
    #[error("period {0:?} is not between 1 ns and a year")]
    Period(Duration),
    /// The intensity is above [`INTENSITY_MAX`].
    #[error("intensity {0} is above {INTENSITY_MAX}")]
    Intensity(u32),
    /// A child's id is empty or longer than [`super::spec::CHILD_ID_BYTES_MAX`].
    #[error("the child id of {0} bytes is not between 1 and {max} bytes long", max = super::spec::CHILD_ID_BYTES_MAX)]
    IdLength(usize),
    /// Two specs have one id.
    #[error("two children are called {0:?}")]
    Duplicate(ChildId),
    /// `significant` under a supervisor that never leaves by itself (OTP: bad_combination).
    #[error("child {0:?} is significant, but its supervisor's auto_shutdown is never")]
    SignificantNever(ChildId),
    /// `significant` together with `permanent`: such a child never leaves by itself (OTP: bad_combination).
    #[error("child {0:?} is both significant and permanent")]
    SignificantPermanent(ChildId),
    /// `significant` in a dynamic supervisor, which has no auto_shutdown.
    #[error("child {0:?} is significant, which children of a dynamic supervisor cannot be")]
    SignificantDynamic(ChildId),
    /// A dynamic supervisor was told to change a child that it does not have.
    #[error("there is no child {0:?} to be changed")]
    Unknown(ChildId),
    /// There would be more than [`CHILDREN_MAX`] children.
    #[error("a supervisor has at most {CHILDREN_MAX} children")]
    TooMany,
}

/// # Errors
/// The first spec that is wrong in itself or does not go with `auto_shutdown`.
pub(crate) fn check_specs<'a>(
    specs: impl IntoIterator<Item = &'a ChildSpec>,
    auto_shutdown: AutoShutdown,
) -> Result<(), SpecError> {
    let mut seen = std::collections::HashSet::new();
    for spec in specs {
        check_spec(spec, auto_shutdown)?;
        if !seen.insert(spec.id()) {
            return Err(SpecError::Duplicate(spec.id().clone()));
        }
    }
    if seen.len() > CHILDREN_MAX {
        return Err(SpecError::TooMany);
    }
    Ok(())
}

/// # Errors
/// What is wrong with this spec, alone or under `auto_shutdown`.
pub(crate) fn check_spec(spec: &ChildSpec, auto_shutdown: AutoShutdown) -> Result<(), SpecError> {
    spec.id().check()?;
    if !spec.is_significant() {
        return Ok(());
    }
    if spec.restart_type() == Restart::Permanent {
        return Err(SpecError::SignificantPermanent(spec.id().clone()));
    }
    if auto_shutdown == AutoShutdown::Never {
        return Err(SpecError::SignificantNever(spec.id().clone()));
    }
    Ok(())
}
