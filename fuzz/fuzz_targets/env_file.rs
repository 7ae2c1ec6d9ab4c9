#![no_main]

use backstay_fuzz::{properties::env_file, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(env_file::hold, input));
