//! The page about events is what the code would write now.

use crate::config_generated::assert_generated;

#[test]
fn the_telemetry_reference_is_current() {
    assert_generated(
        "docs/reference/telemetry.md",
        &osier::telemetry::reference::page(),
    );
}
