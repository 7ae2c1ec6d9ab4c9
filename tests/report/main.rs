//! `backstay report`: what the page tells, that nothing breaks out of it, that it stays small; in a real browser where
//! there is one (`make test-report`); and of a real run.

#[path = "../common/mod.rs"]
mod common;

mod browser;
mod left;
mod page;
mod people;
mod real;
mod size;
mod standing;
mod tales;
