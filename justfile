# What a contributor does. `just` alone lists it.

_default:
    @just --list --unsorted

# Format and lints, as CI sees them
check:
    ./scripts/test lint

# Everything that a change must pass
test:
    ./scripts/test

# Tests whose name holds TEXT
only TEXT:
    cargo nextest run --all-features -E 'test({{ TEXT }})'

# The real binary from outside: all cases, or those that are named
blackbox *CASES:
    cargo build --bin osier
    OSIER=$(cargo metadata --no-deps --format-version 1 | jq -r .target_directory)/debug/osier tests/blackbox/run {{ CASES }}

# A node to look at
demo:
    cargo run --release -- demo

# Figures beside their peers and limits
bench *WHICH:
    benches/run {{ WHICH }}

# Accept what snapshot and golden tests print now
bless:
    INSTA_UPDATE=always OSIER_BLESS=1 cargo nextest run --all-features

# The documentation of the library
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features --open

# Format
fmt:
    cargo fmt

# Licences, sources, banned and outdated crates
deny:
    cargo deny check bans licenses sources
