//! Any bytes as what `kurtoscope hypotheses` reads: a hypothesis file, a facts file, a run. Nothing may panic, and what is
//! accepted must be judged to the end.

#![no_main]

use std::path::Path;

use kurtoscope_host::{
    evidence::{self, Facts, UserFacts},
    hypothesis::{Definition, built_in, judge, judge_all},
    record::Run,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let file = Path::new("fuzzed");
    match kind % 3 {
        0 => {
            if let Ok(definition) = Definition::parse(text, file) {
                judge(&definition, &Default::default());
            }
        }
        1 => {
            if let Ok(user) = UserFacts::parse(file, text) {
                user.of("opt-125m");
            }
        }
        _ => {
            if let Ok(run) = serde_json::from_str::<Run>(text) {
                let gathered = evidence::gather(&[run], &Facts::new(None));
                judge_all(&built_in().expect("valid"), &gathered.evidence);
            }
        }
    }
});
