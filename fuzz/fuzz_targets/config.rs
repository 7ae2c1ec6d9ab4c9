#![no_main]

use backstay_fuzz::{properties::config, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(config::hold, input));
