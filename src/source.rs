//! How an app's artefact comes to the node. Today: a folder of the specs repository; downloads come later.

pub mod folder;
