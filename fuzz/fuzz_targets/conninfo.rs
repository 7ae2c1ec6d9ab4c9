#![no_main]

use backstay_fuzz::{properties::conninfo, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(conninfo::hold, input));
