//! The properties of the parsers, for the fuzzer: `make test` tries them too, on a bounded number of inputs.

#[path = "../../tests/input/properties/mod.rs"]
pub mod properties;

/// Tries a property on an input as if it were the first: what the one before registered as secrets is forgotten.
pub fn run(hold: fn(&[u8]), input: &[u8]) {
    backstay::redact::forget_all();
    hold(input);
}
