//! Words that the chapters of the report share: how verdicts and p values are written, and where details begin.

use crate::hypothesis::Verdict;
use crate::number;

/// The chapter after which only details follow.
pub const DETAILS: &str = "The hypotheses";

/// How a verdict is written.
pub const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Supported => "Supported",
        Verdict::Rejected => "Rejected",
        Verdict::Mixed => "Mixed",
        Verdict::Inconclusive => "Inconclusive",
    }
}

/// A p value: two digits, and no smaller than can be resolved.
pub fn probability(p: f64) -> String {
    if p < 0.0001 { "below 0.0001".to_owned() } else { number::significant(p, 2) }
}
