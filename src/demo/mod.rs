//! `backstay demo`: a throw-away PostgreSQL, a small shop over it, and three releases before the eyes.

pub mod app;
pub mod cluster;
pub mod crowd;
mod http;
pub mod shop;
pub mod supervisor;
