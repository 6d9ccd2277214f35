//! Which file of a control group takes which limit.

use std::fmt;

use crate::runtime::keeper::protocol::Limits;

/// A controller that the keeper uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// `limits.memory`.
    Memory,
    /// `limits.cpus`.
    Cpu,
    /// `limits.pids`.
    Pids,
    /// Holds a tree still while it is killed (version 1 only; version 2 has it in every group).
    Freezer,
}

/// A version of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy a controller.
    V1,
    /// One for all.
    V2,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

/// The kernel's usual period of CPU quotas.
const PERIOD_US: u64 = 100_000;
/// The smallest quota that the kernel takes.
const QUOTA_US_MIN: u64 = 1_000;

impl Controller {
    /// Those that limit something.
    pub const LIMITING: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Cpu, Self::Pids, Self::Freezer];

    /// Its name in the kernel.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
            Self::Freezer => "freezer",
        }
    }

    /// The limit's name in a spec.
    #[must_use]
    pub fn limit(self) -> &'static str {
        match self {
            Self::Cpu => "cpus",
            other => other.name(),
        }
    }

    /// Whether `limits` say anything about it.
    #[must_use]
    pub fn is_limited(self, limits: &Limits) -> bool {
        match self {
            Self::Memory => limits.memory_bytes.is_some(),
            Self::Cpu => limits.cpu_milli.is_some(),
            Self::Pids => limits.pids.is_some(),
            Self::Freezer => false,
        }
    }

    /// What to write where, in order; an absent limit is lifted.
    #[must_use]
    pub fn settings(self, version: Version, limits: &Limits) -> Vec<(&'static str, String)> {
        let or =
            |limit: Option<u64>, none: &str| limit.map_or_else(|| none.to_owned(), |limit| limit.to_string());
        let quota = limits
            .cpu_milli
            .map(|milli| (milli * PERIOD_US / 1000).max(QUOTA_US_MIN));
        match (self, version) {
            (Self::Memory, Version::V2) => vec![
                ("memory.max", or(limits.memory_bytes, "max")),
                // Without it a limit on memory only moves an app into swap.
                (
                    "memory.swap.max",
                    limits.memory_bytes.map_or("max", |_| "0").to_owned(),
                ),
            ],
            (Self::Memory, Version::V1) => {
                let bytes = or(limits.memory_bytes, "-1");
                // The sum with swap may never be below memory alone: twice, so that either order of sizes is taken.
                vec![
                    ("memory.memsw.limit_in_bytes", bytes.clone()),
                    ("memory.limit_in_bytes", bytes.clone()),
                    ("memory.memsw.limit_in_bytes", bytes),
                ]
            }
            (Self::Cpu, Version::V2) => vec![("cpu.max", format!("{} {PERIOD_US}", or(quota, "max")))],
            (Self::Cpu, Version::V1) => vec![
                ("cpu.cfs_period_us", PERIOD_US.to_string()),
                ("cpu.cfs_quota_us", or(quota, "-1")),
            ],
            (Self::Pids, _) => vec![("pids.max", or(limits.pids, "max"))],
            (Self::Freezer, _) => Vec::new(),
        }
    }

    /// Whether the limit holds even if `file` refuses: kernels need not account swap, and the sum with swap is set
    /// twice because one of the two comes in the wrong order.
    #[must_use]
    pub fn is_optional(self, file: &str) -> bool {
        file.contains("swap") || file.contains("memsw")
    }
}
