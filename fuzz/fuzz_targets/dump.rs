#![no_main]

use backstay_fuzz::{properties::dump, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(dump::hold, input));
