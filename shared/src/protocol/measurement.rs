//! What is measured of a chunk: what a host can ask for, and the answer.

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

use crate::{Lines, Moments, Noise, Tail, Top, quantization::Scheme};

/// What a chunk's report holds besides the moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Statistics {
    /// The histogram of magnitudes.
    pub tail: bool,
    /// How many elements to keep at each end; at most [`MAX_TOP`].
    pub top: u8,
    /// The errors of quantizing: of every element (1), or of one element of 2, 4, 8, 16, 32 or 64; 0 for none.
    pub quantization: u8,
    /// The sums of fourth powers by row and by column.
    pub lines: bool,
}

/// The most elements that a report keeps at each end.
pub const MAX_TOP: u8 = 64;

impl Statistics {
    /// The moments alone.
    pub const MOMENTS: Self = Self { tail: false, top: 0, quantization: 0, lines: false };
    /// The moments, the tail and the top 16.
    pub const TAILS: Self = Self { tail: true, top: 16, ..Self::MOMENTS };
    /// Everything a report shows, errors of quantizing of every element.
    pub const FULL: Self = Self { quantization: 1, lines: true, ..Self::TAILS };

    /// What is in both; of two densities of quantizing the one that takes fewer elements.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let quantization = match (self.quantization, other.quantization) {
            (0, _) | (_, 0) => 0,
            (own, other) => own.max(other),
        };
        Self {
            tail: self.tail && other.tail,
            top: self.top.min(other.top),
            quantization,
            lines: self.lines && other.lines,
        }
    }
}

/// What was measured in one chunk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Schema)]
pub struct Measurement {
    /// Count, moments, extremes and counts of special elements.
    pub moments: Moments,
    /// Histogram of magnitudes; empty unless asked for.
    pub tail: Tail,
    /// Both ends, positions counted from the chunk's first element; empty unless asked for.
    pub top: Top,
    /// The errors of quantizing; empty unless asked for.
    pub noise: Noise,
    /// Sums of fourth powers by row and by column; empty unless asked for.
    pub lines: Lines,
}

impl Measurement {
    /// Whether the parts fit each other and a chunk of `count` elements. A host checks a device's answer with this.
    pub fn is_valid(&self, count: u64) -> bool {
        let moments = &self.moments;
        moments.count.checked_add(moments.non_finite) == Some(count)
            && moments.zeros <= moments.count
            // Sums that left the range of binary64 are infinite or no number, and are told as undefined.
            && !(moments.m2 < 0.0 || moments.m4 < 0.0 || moments.min > moments.max && moments.count > 0)
            && self.tail.is_valid()
            && (self.tail.is_empty() || self.tail.total().checked_add(moments.zeros) == Some(moments.count))
            && self.top.is_valid(count)
            && self.noise.is_valid()
            && self.lines.is_valid(count)
    }

    /// Whether everything that was `asked` for is there. A whole of parts one of which lacks something would be too small,
    /// and nothing would show it. `has_whole_rows` says whether the chunk holds whole rows of its tensor, without which
    /// there are no sums by row and column.
    pub fn is_complete(&self, asked: Statistics, has_whole_rows: bool) -> bool {
        let moments = &self.moments;
        let ends = u64::from(asked.top).min(moments.count);
        let is_empty = moments.count + moments.non_finite == 0;
        (!asked.tail || self.tail.total() + moments.zeros == moments.count)
            && [&self.top.highest, &self.top.lowest].into_iter().all(|end| end.len() as u64 == ends)
            && (asked.quantization == 0 || self.noise.errors.len() == Scheme::ALL.len())
            && (!asked.lines || !has_whole_rows || is_empty || !self.lines.rows.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Extreme;
    use alloc::vec;

    #[test]
    fn answers_that_do_not_add_up_are_invalid() {
        let sound = Measurement { moments: Moments::of(2.0), ..Measurement::default() };
        assert!(sound.is_valid(1));
        assert!(!sound.is_valid(2));
        let tail = Tail::from_dense(&[0u32, 0, 3]);
        assert!(!Measurement { tail, ..sound.clone() }.is_valid(1));
        assert!(!Measurement { moments: Moments { zeros: 2, ..sound.moments }, ..sound.clone() }.is_valid(1));
        assert!(!Measurement { moments: Moments { m4: -1.0, ..sound.moments }, ..sound.clone() }.is_valid(1));
        assert!(!Measurement { moments: Moments { min: 3.0, ..sound.moments }, ..sound.clone() }.is_valid(1));
        assert!(Measurement { moments: Moments { m4: f64::INFINITY, ..sound.moments }, ..sound }.is_valid(1));
    }

    #[test]
    fn answers_that_lack_what_was_asked_for_are_incomplete() {
        let mut found = Measurement { moments: Moments::of(2.0), ..Measurement::default() };
        let asked = Statistics { tail: true, top: 4, quantization: 8, lines: true };
        assert!(found.is_complete(Statistics::MOMENTS, true));
        found.tail = Tail::from_dense(&[0u32, 1]);
        let end = vec![Extreme { position: 0, value: 2.0 }];
        found.top = Top { highest: end.clone(), lowest: end };
        found.noise.errors = vec![None; Scheme::ALL.len()];
        assert!(found.is_complete(asked, false) && !found.is_complete(asked, true));
        found.lines = Lines { rows: vec![16.0], columns: vec![16.0] };
        assert!(found.is_complete(asked, true));
        assert!(!Measurement { tail: Tail::default(), ..found.clone() }.is_complete(asked, true));
        assert!(!Measurement { noise: Noise::default(), ..found.clone() }.is_complete(asked, true));
        assert!(!Measurement { top: Top::default(), ..found.clone() }.is_complete(asked, true));
        assert!(
            Measurement::default().is_complete(Statistics { quantization: 0, ..asked }, true),
            "nothing of nothing"
        );
    }
}
