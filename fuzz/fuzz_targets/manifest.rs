#![no_main]

use backstay_fuzz::{properties::manifest, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(manifest::hold, input));
