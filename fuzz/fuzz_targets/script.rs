#![no_main]

use backstay_fuzz::{properties::script, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(script::hold, input));
