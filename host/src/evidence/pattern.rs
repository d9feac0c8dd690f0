//! Patterns for models' names, as the built-in table and the user's facts file have them.

/// Whether `name` is `pattern`; a `*` at the end of the pattern matches any ending.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_at_the_end_matches_any_ending() {
        assert!(fits("opt-*", "opt-125m") && fits("opt-*", "opt-") && fits("*", ""));
        assert!(!fits("opt-*", "gpt2") && !fits("opt", "opt-125m") && !fits("o*t", "opt"));
    }
}
