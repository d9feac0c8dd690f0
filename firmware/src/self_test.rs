//! The self-test of a device: its engine measures data whose moments are known exactly before any other result counts.
//!
//! The data are triples `(c + 2v, c - v, c - v)` of integers. Whatever the `v`, a triple's mean is `c`, and the sums of
//! the second to fourth powers around it are `6v²`, `6v³` and `18v⁴`: so the moments of any number of triples follow
//! from integer arithmetic alone, which shares nothing with an engine. Then every statistic is held
//! against its definition, on a few rows. The `v` are heavy-tailed: each power of two
//! half as often as the one before, with the largest planted once.

use alloc::vec::Vec;

use kurtoscope_shared::{
    Element, Measurement, Moments, Requests,
    protocol::{EngineKind, SelfTest},
    statistics::{ChunkSpan, ExtremeCount, SELF_TEST_SPAN, Statistic, StatisticKey, self_test_values},
};

use crate::engine::{ChunkSpec, Engine};

/// Triples in the smallest case; larger ones follow in steps of 16 up to what the device takes.
const SMALLEST: usize = 5;
/// On a processor more would only repeat what the case before has shown, at a cost that every start would pay.
const LARGEST_BYTES_CPU: usize = 1 << 16;
/// On a graphics adapter sizes take different ways through driver and hardware, and drivers were seen that drop elements
/// from 2^20 on: 2^24 elements of a binary32, or as many as the device takes.
const LARGEST_BYTES_GPU: usize = 1 << 26;

/// What every case asks for, as far as the engine measures it.
const REQUESTS: Requests = Requests { histogram: Some(()), extremes: ExtremeCount::new(1), ..Requests::MOMENTS };

/// The mean of every case: not zero, so that engines that do not centre are detected.
const CENTRE: i32 = 3;
/// The `v` that is planted once: `2 * 512 + 3` is exact in binary16 and in binary32, and so is every other element.
const PLANTED: u32 = 9;

/// Puts an engine through its known answers.
pub fn run<E: Engine>(engine: &mut E) -> SelfTest {
    let limits = engine.limits();
    let tolerance = engine.tolerance();
    let most = match engine.kind() {
        EngineKind::Cpu => LARGEST_BYTES_CPU,
        EngineKind::Gpu => LARGEST_BYTES_GPU,
    };
    let (mut answers, mut worst) = (0, 0.0f64);
    for element in [Element::F32, Element::F16, Element::F64] {
        if !limits.elements.contains(element) {
            continue;
        }
        let largest = most.min(limits.max_payload as usize) / (3 * element.size());
        let sizes = core::iter::successors(Some(SMALLEST), |triples| Some(triples * 16)).take_while(|t| *t < largest);
        for triples in sizes.chain([largest]) {
            let error = case(engine, element, triples).unwrap_or(f64::INFINITY);
            answers += 1;
            worst = if error > worst || error.is_nan() { error } else { worst };
        }
    }
    if limits.elements.contains(Element::F32) {
        answers += 1;
        worst = if measures_by_definition(engine) { worst } else { f64::INFINITY };
    }
    // Written so that a worst error of NaN fails.
    SelfTest { passed: worst <= tolerance && answers > 0, answers, max_relative_error: worst, tolerance }
}

/// As the session measures: the engine takes the buffer, which may hold all that the device takes, without a copy.
fn measured<E: Engine>(engine: &mut E, spec: ChunkSpec, bytes: Vec<u8>) -> Option<Measurement> {
    let submission = engine.submit(spec, bytes.into());
    engine.wait(submission).outcome.ok()
}

/// Whether the engine measures each of its statistics besides the moments, whose errors [`case`] states, as it is defined,
/// where the device takes as many elements as that needs.
fn measures_by_definition<E: Engine>(engine: &mut E) -> bool {
    let bytes: Vec<u8> = self_test_values().flat_map(f32::to_le_bytes).collect();
    if bytes.len() > engine.limits().max_payload as usize {
        return true;
    }
    let (statistics, tolerance) = (engine.statistics(), engine.tolerance());
    let requests = Requests::LARGEST.limited_to(&keys(engine));
    let spec = ChunkSpec { row: SELF_TEST_SPAN.row as u32, ..ChunkSpec::of(Element::F32, requests) };
    let Some(found) = measured(engine, spec, bytes) else { return false };
    is_plausible(engine, &found, &requests, &SELF_TEST_SPAN)
        && statistics
            .iter()
            .filter(|statistic| statistic.key.tag != Moments::TAG)
            .all(|statistic| statistic.is_right(&found, &requests, tolerance))
}

/// Whether the engine's statistics can be the answer to `requests`. Of others, which it does not state, it is not asked.
fn is_plausible<E: Engine>(engine: &E, found: &Measurement, requests: &Requests, span: &ChunkSpan) -> bool {
    let tolerance = engine.tolerance();
    engine.statistics().iter().all(|statistic| statistic.check(found, requests, span, tolerance).is_ok())
}

fn keys<E: Engine>(engine: &E) -> Vec<StatisticKey> {
    engine.statistics().iter().map(|statistic| statistic.key).collect()
}

/// The largest relative error of one case; `None` where the engine gave no answer or counted wrongly.
fn case<E: Engine>(engine: &mut E, element: Element, triples: usize) -> Option<f64> {
    let powers = powers(triples);
    let mut bytes = Vec::with_capacity(3 * triples * element.size());
    let mut expected = Moments { min: f64::INFINITY, max: f64::NEG_INFINITY, ..Moments::EMPTY };
    let (mut squares, mut cubes, mut fourths) = (0u64, 0u64, 0u64);
    for power in powers {
        let v = 1i32 << power;
        for value in [CENTRE + 2 * v, CENTRE - v, CENTRE - v] {
            push(value, element, &mut bytes);
            expected.min = expected.min.min(f64::from(value));
            expected.max = expected.max.max(f64::from(value));
            expected.zeros += u64::from(value == 0);
        }
        squares += 6 << (2 * power);
        cubes += 6 << (3 * power);
        fourths += 18 << (4 * power);
    }
    expected.count = 3 * triples as u64;
    (expected.m2, expected.m3, expected.m4) = (squares as f64, cubes as f64, fourths as f64);
    let spec = ChunkSpec::of(element, REQUESTS.limited_to(&keys(engine)));
    let span = spec.span(bytes.len());
    let measured = measured(engine, spec, bytes)?;
    // With that, the histogram and both ends hold every element, or the ones that the moments hold.
    if !is_plausible(engine, &measured, &spec.requests, &span) {
        return None;
    }
    let found = measured.moments;
    let exact = |moments: &Moments| (moments.count, moments.non_finite, moments.zeros, moments.min, moments.max);
    if exact(&found) != exact(&expected) {
        return None;
    }
    let sigma = expected.standard_deviation()?;
    let relative = |found: f64, expected: f64| ((found - expected) / expected).abs();
    let errors = [
        ((found.mean - f64::from(CENTRE)) / sigma).abs(),
        relative(found.variance()?, expected.variance()?),
        relative(found.skewness()?, expected.skewness()?),
        relative(found.kurtosis()?, expected.kurtosis()?),
    ];
    // NaN wins over every number.
    Some(errors.into_iter().fold(0.0, |worst, error| if error > worst || error.is_nan() { error } else { worst }))
}

/// Heavy-tailed exponents, the same on every device: 0 for half of the triples, 1 for a quarter, …, and [`PLANTED`] once.
fn powers(triples: usize) -> impl Iterator<Item = u32> {
    (1..=triples).map(move |index| if index == triples / 2 + 1 { PLANTED } else { index.trailing_zeros().min(6) })
}

fn push(value: i32, element: Element, bytes: &mut Vec<u8>) {
    match element {
        Element::F64 => bytes.extend(f64::from(value).to_le_bytes()),
        Element::F16 => bytes.extend(half::f16::from_f32(value as f32).to_le_bytes()),
        _ => bytes.extend((value as f32).to_le_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CpuEngine;
    use kurtoscope_shared::{
        protocol::{Adapter, FaultKind, Limits},
        statistics::SupportedStatistic,
    };

    /// An engine that does something wrong to an otherwise right measurement.
    struct Faulty(CpuEngine, Fault);

    /// What is done to a measurement.
    type Fault = fn(&mut Measurement);

    impl Engine for Faulty {
        fn kind(&self) -> EngineKind {
            self.0.kind()
        }
        fn adapter(&self) -> Option<Adapter> {
            None
        }
        fn limits(&self) -> Limits {
            self.0.limits()
        }
        fn statistics(&self) -> &'static [SupportedStatistic] {
            self.0.statistics()
        }
        fn tolerance(&self) -> f64 {
            self.0.tolerance()
        }
        fn measure(&mut self, spec: ChunkSpec, payload: &[u8]) -> Result<Measurement, FaultKind> {
            let mut found = self.0.measure(spec, payload)?;
            (self.1)(&mut found);
            Ok(found)
        }
    }

    #[test]
    fn the_known_answers_are_those_of_the_textbook() {
        // Two triples, v = 1 and v = 512: five and one are swapped by the planted index.
        let exponents: Vec<u32> = powers(2).collect();
        assert_eq!(exponents, [0, PLANTED]);
        let values = [5.0, 2.0, 2.0, 1027.0, -509.0, -509.0];
        let moments = Moments::from_values(values.into_iter());
        assert_eq!(moments.mean, 3.0);
        assert_eq!(moments.m2, 6.0 + 6.0 * 512.0 * 512.0);
        assert_eq!(moments.m4, 18.0 + 18.0 * 512f64.powi(4));
    }

    #[test]
    fn the_processor_passes() {
        let outcome = run(&mut CpuEngine::default());
        assert!(outcome.passed, "{outcome:?}");
        assert!(outcome.max_relative_error < 1e-12, "{outcome:?}");
        assert!(outcome.answers >= 10, "{outcome:?}");
        let small = run(&mut CpuEngine::with_max_payload(512));
        assert!(small.passed && small.answers > 0, "{small:?}");
    }

    /// What one software driver was seen to do: sums of large chunks that leave a part of the elements out.
    #[test]
    fn sums_that_go_wrong_in_large_chunks_alone_are_found_on_graphics_adapters() {
        struct Large(CpuEngine);
        impl Engine for Large {
            fn kind(&self) -> EngineKind {
                EngineKind::Gpu
            }
            fn adapter(&self) -> Option<Adapter> {
                None
            }
            fn limits(&self) -> Limits {
                self.0.limits()
            }
            fn statistics(&self) -> &'static [SupportedStatistic] {
                self.0.statistics()
            }
            fn tolerance(&self) -> f64 {
                1e-6
            }
            fn measure(&mut self, spec: ChunkSpec, payload: &[u8]) -> Result<Measurement, FaultKind> {
                let large = payload.len() > 1 << 25;
                let mut found = self.0.measure(spec, payload)?;
                found.moments.m4 *= if large { 0.99 } else { 1.0 };
                Ok(found)
            }
        }
        assert!(run(&mut Large(CpuEngine::with_max_payload(1 << 25))).passed);
        let outcome = run(&mut Large(CpuEngine::with_max_payload(1 << 26)));
        assert!(!outcome.passed && outcome.max_relative_error > 0.009, "{outcome:?}");
    }

    #[test]
    fn wrong_engines_fail() {
        let faults: [(&str, Fault); 9] = [
            ("histogram lost", |found| found.histogram = None),
            ("largest element lost", |found| found.extremes.iter_mut().for_each(|found| found.highest.clear())),
            ("fourth moment off by a millionth", |found| found.moments.m4 *= 1.000_001),
            ("mean off", |found| found.moments.mean += 1e-6),
            ("not a number", |found| found.moments.m3 = f64::NAN),
            ("an element dropped", |found| found.moments.count -= 1),
            ("an error of quantizing off", |found| {
                found
                    .quantization_errors
                    .iter_mut()
                    .flat_map(|found| &mut found.errors)
                    .flatten()
                    .for_each(|errors| errors.sampled *= 1.001);
            }),
            ("a row's fourth powers lost", |found| found.row_column_sums = None),
            ("minimum lost", |found| found.moments.min = 0.0),
        ];
        for (name, fault) in faults {
            assert!(!run(&mut Faulty(CpuEngine::default(), fault)).passed, "{name}");
        }
    }
}
