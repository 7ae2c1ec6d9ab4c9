//! Extensions' configuration tables.
