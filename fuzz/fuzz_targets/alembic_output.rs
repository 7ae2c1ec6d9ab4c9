#![no_main]

use backstay_fuzz::{properties::alembic_output, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(alembic_output::hold, input));
