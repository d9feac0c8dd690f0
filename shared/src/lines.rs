//! Where the heavy elements live: the sums of fourth powers by row and by column of a chunk.
//!
//! The powers are of the elements themselves, not of their distances from the mean, which no chunk knows: for weights,
//! whose mean is small beside their spread, the difference does not matter, and a host leaves the figure out where it does.

use alloc::vec::Vec;

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// `Σx⁴` over the rows and over the columns of a chunk of whole rows, in binary32.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Schema)]
pub struct Lines {
    /// One sum a row of the chunk, in order; empty where nothing was measured.
    pub rows: Vec<f32>,
    /// One sum a column, in order: as many as a row has elements.
    pub columns: Vec<f32>,
}

impl Lines {
    /// Whether the sums can be those of a chunk of `count` elements: none, or one for each of its rows and columns, none
    /// of them negative. Infinite ones are sums that left the range of binary32.
    pub fn is_valid(&self, count: u64) -> bool {
        let cells = (self.rows.len() as u64).checked_mul(self.columns.len() as u64);
        let is_sum = |sum: &f32| *sum >= 0.0;
        self.rows.is_empty() && self.columns.is_empty()
            || count > 0 && cells == Some(count) && self.rows.iter().chain(&self.columns).all(is_sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn sums_fit_their_chunk_or_are_refused() {
        let lines = Lines { rows: vec![1.0, 0.0], columns: vec![0.5, 0.25, 0.25] };
        assert!(lines.is_valid(6) && Lines::default().is_valid(6));
        assert!(!lines.is_valid(5));
        assert!(!Lines { rows: vec![f32::NAN], columns: vec![1.0] }.is_valid(1));
        assert!(!Lines { rows: vec![], columns: vec![1.0] }.is_valid(0));
        assert!(!Lines { rows: vec![-1.0], columns: vec![1.0] }.is_valid(1));
    }
}
