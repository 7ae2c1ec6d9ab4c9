#![no_main]

use backstay_fuzz::{properties::listing, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(listing::hold, input));
