//! The state machine by itself: tables for what is promised, and a model of the world for what must never happen.

mod health;
mod led;
mod memory;
mod model;
mod tables;
mod trial;
