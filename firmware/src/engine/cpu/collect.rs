//! What an engine measures, as a type: a list of statistics, each with the collector that gathers it block by block. A
//! program contains the collectors of its list and no others.

use kurtoscope_shared::{
    Measurement,
    statistics::{Registered, Statistic, SupportedStatistic},
};

use super::decode::Sample;
use crate::engine::ChunkSpec;

/// A block of finite samples on its way through the collectors.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a, S> {
    /// The samples.
    pub samples: &'a [S],
    /// Position of the first one in the chunk.
    pub position: u64,
    /// The smallest.
    pub min: S,
    /// The largest.
    pub max: S,
    /// How many are zero.
    pub zeros: u64,
    /// The bytes of the next block, for a collector that takes long enough to bring them into the cache meanwhile.
    pub next: &'a [u8],
}

/// Gathers one statistic of a chunk, block by block.
///
/// A block goes to [`take`](Self::take) where all of it is finite, and otherwise to both
/// [`take_irregular`](Self::take_irregular) and [`take_finite`](Self::take_finite), of which a collector needs one.
pub trait Collector<'a, S>: Sized {
    /// What is gathered.
    type Statistic: Registered;

    /// Begins with the chunk `payload`, for which the statistic is defined.
    fn new(request: <Self::Statistic as Statistic>::Request, spec: &ChunkSpec, payload: &'a [u8]) -> Self;

    /// Takes the next block.
    fn take(&mut self, block: &Block<'_, S>);

    /// Takes the next block, in which some samples are not finite, the first of them at `position`.
    fn take_irregular(&mut self, samples: &[S], position: u64) {
        let _ = (samples, position);
    }

    /// Takes the finite samples of such a block, of which so many are zero.
    fn take_finite(&mut self, samples: &[S], zeros: u64) {
        let _ = (samples, zeros);
    }

    /// What was gathered.
    fn finish(self) -> Self::Statistic;
}

/// A statistic that this engine can measure.
pub trait Collect: Registered {
    /// What gathers it.
    type Collector<'a, S: Sample>: Collector<'a, S, Statistic = Self>;
}

/// The statistics that an engine measures besides the moments: a tuple of up to six.
pub trait StatisticList {
    /// They and the moments.
    const SUPPORTED: &'static [SupportedStatistic];
    /// The collectors of all of them.
    type Collectors<'a, S: Sample>: Collectors<'a, S>;
}

/// The collectors of a list, as one.
pub trait Collectors<'a, S>: Sized {
    /// Collectors for what `spec` asks for of `payload`.
    fn new(spec: &ChunkSpec, payload: &'a [u8]) -> Self;

    /// As [`Collector::take`].
    fn take(&mut self, block: &Block<'_, S>);

    /// As [`Collector::take_irregular`].
    fn take_irregular(&mut self, samples: &[S], position: u64);

    /// As [`Collector::take_finite`].
    fn take_finite(&mut self, samples: &[S], zeros: u64);

    /// Puts what was gathered into `measurement`.
    fn finish(self, measurement: &mut Measurement);
}

macro_rules! list {
    ($($name:ident),+) => {
        impl<$($name: Collect),+> StatisticList for ($($name,)+) {
            const SUPPORTED: &'static [SupportedStatistic] =
                &[SupportedStatistic::of::<kurtoscope_shared::Moments>(), $(SupportedStatistic::of::<$name>()),+];
            type Collectors<'a, S: Sample> = ($(Option<$name::Collector<'a, S>>,)+);
        }

        #[allow(non_snake_case, reason = "the members of a tuple are named like their types")]
        impl<'a, S, $($name: Collector<'a, S>),+> Collectors<'a, S> for ($(Option<$name>,)+) {
            fn new(spec: &ChunkSpec, payload: &'a [u8]) -> Self {
                let span = spec.span(payload.len());
                ($(
                    $name::Statistic::request(&spec.requests)
                        .filter(|_| $name::Statistic::is_defined(&span))
                        .map(|request| $name::new(request, spec, payload)),
                )+)
            }

            #[inline(always)]
            fn take(&mut self, block: &Block<'_, S>) {
                let ($($name,)+) = self;
                $(if let Some(collector) = $name {
                    collector.take(block);
                })+
            }

            fn take_irregular(&mut self, samples: &[S], position: u64) {
                let ($($name,)+) = self;
                $(if let Some(collector) = $name {
                    collector.take_irregular(samples, position);
                })+
            }

            fn take_finite(&mut self, samples: &[S], zeros: u64) {
                let ($($name,)+) = self;
                $(if let Some(collector) = $name {
                    collector.take_finite(samples, zeros);
                })+
            }

            fn finish(self, measurement: &mut Measurement) {
                let ($($name,)+) = self;
                $(if let Some(collector) = $name {
                    collector.finish().put(measurement);
                })+
            }
        }
    };
}

list!(A);
list!(A, B);
list!(A, B, C);
list!(A, B, C, D);
list!(A, B, C, D, E);
list!(A, B, C, D, E, F);
