//! Cases of the original and of SPEC_FORMAT, as tables.
