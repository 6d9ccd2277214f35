//! What is promised, as tables.
