//! Small statistics over measurements that are already made. The moments of the weights themselves are
//! `kurtoscope_shared::moments`.
//!
//! Nothing here panics on odd input: what is undefined is `None`.

mod correlation;
mod describe;
mod holm;
mod permutation;
mod rank;
mod student;

pub use correlation::{pearson, spearman};
pub use describe::{log_position, median};
pub use holm::holm;
pub use permutation::{PermutationTest, Stratum, permutation_test};
pub use rank::ranks;
pub use student::mean_test;
