//! `backstay demo`: a throw-away PostgreSQL, a small shop over it, and three releases before the eyes.

pub mod cluster;
