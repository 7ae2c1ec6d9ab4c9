#![no_main]

use backstay_fuzz::{properties::alembic_files, run};

libfuzzer_sys::fuzz_target!(|input: &[u8]| run(alembic_files::hold, input));
