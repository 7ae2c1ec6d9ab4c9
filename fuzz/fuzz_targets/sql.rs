#![no_main]

use backstay_fuzz::{properties::sql, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(sql::hold, input));
