#![no_main]

use backstay_fuzz::{properties::runbook, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(runbook::hold, input));
