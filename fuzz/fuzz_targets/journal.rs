#![no_main]

use backstay_fuzz::{properties::journal, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(journal::hold, input));
