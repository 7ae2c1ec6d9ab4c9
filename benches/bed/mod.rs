//! What all benchmarks stand on: SQL by psql, medians, times as people read them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What one statement, or one file, gives by psql.
pub fn sql(psql: &Path, url: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(psql);
    command.args(["-qXAt", "-v", "ON_ERROR_STOP=1", url]).args(arguments);
    let output = command.output().expect("psql");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn median<T: Ord + Copy>(values: &mut [T]) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

pub fn show(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.2} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}
