//! What holds for every statistic of the list: cuts, the wire, damage, the self-test.

use alloc::{vec, vec::Vec};

use proptest::prelude::*;

use super::{
    histogram::{BINS, bin_of},
    *,
};
use crate::quantization::LARGEST_BLOCK;

/// The relative error up to which a merged statistic equals that of the whole.
fn merging_tolerance(statistic: u16) -> f64 {
    match statistic {
        Moments::TAG => 1e-12,
        MagnitudeHistogram::TAG | Extremes::TAG => 0.0,
        // Sums in binary32 and in another order.
        _ => 1e-6,
    }
}

/// Statistics of `values` in rows of `row`, measured by definition in chunks that begin at `cuts`, and merged.
fn merged(values: &[f64], requests: &Requests, row: u64, cuts: &[usize]) -> Measurement {
    let mut whole = Measurement::default();
    for (begin, end) in cuts.iter().zip(cuts.iter().skip(1).chain([&values.len()])) {
        let span = ChunkSpan { offset: *begin as u64, count: (end - begin) as u64, row };
        let next = Measurement::reference(&values[*begin..*end], requests, &span);
        assert_eq!(next.check(requests, &span, 0.0), Ok(()));
        assert_survives_the_wire(&next, requests, &span);
        whole.append(&next, requests, &span);
    }
    whole
}

fn assert_survives_the_wire(found: &Measurement, requests: &Requests, span: &ChunkSpan) {
    let bytes = postcard::to_allocvec(found).expect("encodes");
    assert!(bytes.len() <= requests.largest_encoded_len(span), "{} bytes", bytes.len());
    let back: Measurement = postcard::from_bytes(&bytes).expect("decodes");
    // Column sums by definition have more digits than travel.
    let again = postcard::to_allocvec(&back).expect("encodes");
    assert_eq!(again, bytes);
    let bytes = postcard::to_allocvec(requests).expect("encodes");
    assert_eq!(postcard::from_bytes::<Requests>(&bytes).as_ref(), Ok(requests));
}

/// The error of every statistic of the list against the whole's.
fn assert_equal(found: &Measurement, whole: &Measurement, name: &str) {
    fn pair<S: Registered>(found: &Measurement, whole: &Measurement, name: &str) {
        match (S::find(found), S::find(whole)) {
            (Some(found), Some(whole)) => {
                let error = found.relative_error(whole);
                assert!(error <= merging_tolerance(S::TAG), "{name}, {}: {error:e}", S::NAME);
            }
            (found, whole) => assert_eq!(found.is_some(), whole.is_some(), "{name}, {}", S::NAME),
        }
    }
    for_each_statistic!(pair, found, whole, name);
}

fn values() -> impl Strategy<Value = f64> {
    prop_oneof![6 => -3.0..3.0f64, 1 => Just(0.0), 1 => -90.0..90.0f64, 1 => Just(f64::NAN), 1 => 1e-9..1e-8f64]
        .prop_map(|value| f64::from(value as f32))
}

proptest! {
    #[test]
    fn any_cut_at_rows_equals_the_whole(row in 1usize..50, values in prop::collection::vec(values(), 1..400), cuts in prop::collection::vec(0usize..40, 0..4)) {
        let rows = values.len().div_ceil(row);
        let values: Vec<f64> = values.iter().copied().cycle().take(rows * row).collect();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % rows * row).chain([0]).collect();
        cuts.sort_unstable();
        let whole = merged(&values, &Requests::LARGEST, row as u64, &[0]);
        assert_equal(&merged(&values, &Requests::LARGEST, row as u64, &cuts), &whole, "rows");
    }

    #[test]
    fn any_cut_at_blocks_of_a_row_equals_the_whole(values in prop::collection::vec(values(), 300..700), cuts in prop::collection::vec(0usize..6, 0..4)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut * LARGEST_BLOCK).filter(|cut| *cut < values.len()).chain([0]).collect();
        cuts.sort_unstable();
        // Without rows, nothing that needs them is part of the answer.
        let whole = merged(&values, &Requests::LARGEST, 0, &[0]);
        assert_equal(&merged(&values, &Requests::LARGEST, 0, &cuts), &whole, "blocks");
    }
}

#[test]
fn tags_and_keys_are_unique_and_ascend() {
    assert!(KNOWN.is_sorted_by(|a, b| a.tag < b.tag && a.key != b.key));
    assert!(KNOWN.iter().all(|known| name_of(known.tag).is_some()));
    assert_eq!(name_of(0), None);
}

#[test]
fn a_device_is_asked_only_for_what_it_knows() {
    let mut known = KNOWN.to_vec();
    assert_eq!(Requests::LARGEST.limited_to(&known), Requests::LARGEST);
    known.retain(|known| known.tag != Extremes::TAG);
    assert_eq!(Requests::LARGEST.limited_to(&known), Requests { extremes: None, ..Requests::LARGEST });
    known.iter_mut().filter(|known| known.tag == MagnitudeHistogram::TAG).for_each(|known| known.key[3] ^= 1);
    let expected = Requests { extremes: None, histogram: None, ..Requests::LARGEST };
    assert_eq!(Requests::LARGEST.limited_to(&known), expected);
    assert_eq!(expected.keys().len(), KNOWN.len() - 2);
}

#[test]
fn what_one_chunk_lacks_the_whole_lacks() {
    let span = ChunkSpan { offset: 4, count: 4, row: 4 };
    let mut whole = Measurement::reference(&[1.0, 2.0, 3.0, 4.0], &Requests::FULL, &ChunkSpan { offset: 0, ..span });
    let mut next = Measurement::reference(&[5.0, 6.0, 7.0, 8.0], &Requests::FULL, &span);
    next.histogram = None;
    whole.append(&next, &Requests::FULL, &span);
    assert!(whole.histogram.is_none() && whole.extremes.is_some());
    assert_eq!(whole.moments.count, 8);
}

/// The self-test's values, measured by definition.
fn self_test() -> Measurement {
    let values: Vec<f64> = self_test_values().map(f64::from).collect();
    Measurement::reference(&values, &Requests::LARGEST, &SELF_TEST_SPAN)
}

#[test]
fn the_self_test_accepts_the_definition_and_nothing_else() {
    let right = self_test();
    fn accepts<S: Registered>(found: &Measurement, right: bool) {
        assert_eq!(SupportedStatistic::of::<S>().is_right(found, &Requests::LARGEST, 1e-10), right, "{}", S::NAME);
    }
    for_each_statistic!(accepts, &right, true);
    // The same of other values.
    let other: Vec<f64> = self_test_values().map(|value| f64::from(value) * 1.01).collect();
    let other = Measurement::reference(&other, &Requests::LARGEST, &SELF_TEST_SPAN);
    for_each_statistic!(accepts, &other, false);
}

#[test]
fn what_is_missing_or_not_asked_for_is_refused() {
    let found = self_test();
    assert_eq!(found.check(&Requests::LARGEST, &SELF_TEST_SPAN, 0.0), Ok(()));
    let histogram = MagnitudeHistogram::NAME;
    let missing = Measurement { histogram: None, ..found.clone() };
    let refused = ImplausibleAnswer::Missing { statistic: histogram };
    assert_eq!(missing.check(&Requests::LARGEST, &SELF_TEST_SPAN, 0.0), Err(refused));
    let requests = Requests { histogram: None, ..Requests::LARGEST };
    let refused = ImplausibleAnswer::NotAskedFor { statistic: histogram };
    assert_eq!(found.check(&requests, &SELF_TEST_SPAN, 0.0), Err(refused));
    // Half a row has no sums by row and column.
    let span = ChunkSpan { offset: 0, count: 64, row: 128 };
    let half: Vec<f64> = self_test_values().take(64).map(f64::from).collect();
    let half = Measurement::reference(&half, &Requests::LARGEST, &span);
    assert!(half.row_column_sums.is_none());
    assert_eq!(half.check(&Requests::LARGEST, &span, 0.0), Ok(()));
}

/// What one damaged field does to an answer.
type Damage = (&'static str, fn(&mut Measurement));

fn of_moments() -> Vec<Damage> {
    vec![
        ("Count", |found| found.moments.count += 1),
        ("Count", |found| found.moments.count = u64::MAX),
        ("Count", |found| found.moments.non_finite += 1),
        ("Count", |found| found.moments.zeros = found.moments.count + 1),
        ("Zeros", |found| (found.moments.zeros, found.moments.min) = (1, 1.0)),
        ("Zeros", |found| found.moments.zeros = found.moments.count),
        ("Zeros", |found| found.moments.zeros = found.moments.count - 1),
        ("Mean", |found| found.moments.mean = found.moments.max + 1.0),
        ("Mean", |found| found.moments.mean = found.moments.min - 1e-3),
        ("NotFinite", |found| found.moments.mean = f64::NAN),
        ("Variance", |found| found.moments.m2 = 0.0),
        ("Variance", |found| found.moments.m2 *= 10.0),
        ("NotFinite", |found| found.moments.m2 = f64::INFINITY),
        ("Negative", |found| found.moments.m2 = -1.0),
        ("NotFinite", |found| found.moments.m3 = f64::NAN),
        ("Skewness", |found| found.moments.m3 = 1e100),
        ("Skewness", |found| found.moments.m3 = -found.moments.m4 * 1e6),
        // Beyond what this kurtosis allows, within what the farthest element does.
        ("Kurtosis", |found| found.moments.m3 = found.moments.m2 * libm::sqrt(found.moments.m2 / 384.0)),
        ("NotFinite", |found| found.moments.m4 = f64::NAN),
        ("Negative", |found| found.moments.m4 = -1.0),
        ("Kurtosis", |found| found.moments.m4 /= 2.0),
        ("Kurtosis", |found| found.moments.m4 = 0.0),
        ("Kurtosis", |found| found.moments.m4 = 1e100),
        ("Kurtosis", |found| found.moments.m4 = found.moments.m2 * found.moments.m2),
        ("NotFinite", |found| found.moments.min = f64::NAN),
        ("NotFinite", |found| found.moments.max = f64::INFINITY),
        ("Range", |found| found.moments.min = found.moments.max + 1.0),
    ]
}

fn of_the_others() -> Vec<Damage> {
    fn extremes(found: &mut Measurement) -> &mut Extremes {
        found.extremes.get_or_insert_default()
    }
    /// Of the self-test's 384 elements, none of them zero: so many with the largest magnitude, the others in the lowest bin.
    fn two_bins(found: &Measurement, largest: u32) -> MagnitudeHistogram {
        let magnitude = found.moments.max.max(-found.moments.min);
        let mut dense = vec![0u32; BINS];
        (dense[0], dense[bin_of(magnitude)]) = (384 - largest, largest);
        MagnitudeHistogram::from_dense(&dense)
    }
    fn errors(found: &mut Measurement) -> &mut QuantizationErrors {
        found.quantization_errors.get_or_insert_default()
    }
    fn sums(found: &mut Measurement) -> &mut RowColumnSums {
        found.row_column_sums.get_or_insert_default()
    }
    vec![
        ("Count", |found| found.histogram = Some(MagnitudeHistogram::from_dense(&[3u32, 1]))),
        ("Bin", |found| found.histogram = Some(MagnitudeHistogram::from_dense(&[384u32]))),
        // All but the largest in the lowest bin, and all in the bin of the largest.
        ("Squares", |found| found.histogram = Some(two_bins(found, 1))),
        ("Squares", |found| found.histogram = Some(two_bins(found, 384))),
        ("Position", |found| extremes(found).highest[1].position = 1 << 40),
        ("Position", |found| extremes(found).lowest[1].position = extremes(found).lowest[0].position),
        ("Extreme", |found| extremes(found).highest.swap(0, 40)),
        ("Extreme", |found| extremes(found).highest.swap(20, 40)),
        ("Extreme", |found| extremes(found).lowest[0].value -= 1.0),
        ("Extreme", |found| extremes(found).highest[63].value = -1e300),
        ("Extreme", |found| extremes(found).lowest[63].value = 1e300),
        // One element with two values.
        ("Extreme", |found| extremes(found).lowest[5].position = extremes(found).highest[9].position),
        // Elements of the lower end above those of the higher one, which would list them then.
        ("Extreme", |found| {
            let Extremes { highest, lowest } = extremes(found);
            let taken: Vec<u64> = highest.iter().chain(&lowest[..1]).map(|extreme| extreme.position).collect();
            let free = (0..).filter(|position| !taken.contains(position));
            let most = highest[0].value;
            lowest[1..].iter_mut().zip(free).for_each(|(low, position)| *low = Extreme { position, value: most });
        }),
        ("NotFinite", |found| extremes(found).lowest[3].value = f64::NAN),
        ("Count", |found| extremes(found).highest.truncate(63)),
        ("Count", |found| sums(found).rows.truncate(2)),
        ("Count", |found| sums(found).columns.truncate(2)),
        ("NotFinite", |found| sums(found).rows[1] = f32::NAN),
        ("Negative", |found| sums(found).columns[1] = -1.0),
        ("Totals", |found| sums(found).rows[1] *= 2.0),
        ("FourthPowers", |found| {
            sums(found).rows.iter_mut().for_each(|sum| *sum = 0.0);
            sums(found).columns.iter_mut().for_each(|sum| *sum = 0.0);
        }),
        ("FourthPowers", |found| {
            sums(found).rows.iter_mut().for_each(|sum| *sum *= 1e20);
            sums(found).columns.iter_mut().for_each(|sum| *sum *= 1e20);
        }),
        ("FourthPowers", |found| {
            sums(found).rows[0] = f32::INFINITY;
            sums(found).columns[0] = f64::INFINITY;
        }),
        ("Squares", |found| {
            let columns = found.column_errors.get_or_insert_default();
            columns.squares.iter_mut().chain(&mut columns.errors).for_each(|sum| *sum = 0.0);
        }),
        ("Count", |found| errors(found).errors.truncate(3)),
        ("NotFinite", |found| errors(found).blocks.all = f64::INFINITY),
        ("Negative", |found| errors(found).rows.sampled = -1.0),
        ("Error", |found| {
            errors(found).errors[4] = Some(SquaredErrors { in_full: 1e9, sampled: 0.0 });
        }),
    ]
}

#[test]
fn impossible_answers_are_refused_with_the_reason() {
    for (number, (reason, damage)) in of_moments().into_iter().chain(of_the_others()).enumerate() {
        let mut found = self_test();
        damage(&mut found);
        let refused = found.check(&Requests::LARGEST, &SELF_TEST_SPAN, 1e-10).expect_err(reason);
        let name = alloc::format!("{refused:?}");
        assert!(name.starts_with(reason), "{number}: {name} instead of {reason}");
        assert!(!alloc::format!("{refused}").is_empty());
    }
}

#[test]
fn powers_out_of_range_are_possible() {
    let span = |count| ChunkSpan { offset: 0, count, row: 0 };
    for values in
        [&[1e200, -1e200, 5e199][..], &[1e-100, -1e-100, 3e-100], &[1e308, -1e308, 1e308, 1e308], &[5e-324, 0.0]]
    {
        let mut found = Measurement::reference(values, &Requests::TAILS, &span(values.len() as u64));
        assert_eq!(found.check(&Requests::TAILS, &span(values.len() as u64), 1e-10), Ok(()), "{values:?}");
        found.moments.m4 = f64::INFINITY;
        let is_far_from = values.iter().all(|value| value.abs() < 1e50);
        assert_eq!(
            found.check(&Requests::TAILS, &span(values.len() as u64), 1e-10).is_err(),
            is_far_from,
            "{values:?}"
        );
    }
}

#[test]
fn constant_and_two_valued_chunks_are_possible() {
    let span = |count| ChunkSpan { offset: 0, count, row: 0 };
    for values in [&[0.1; 7][..], &[-0.0; 3], &[f64::NAN; 4], &[1.0, -1.0], &[1e3, 1e3, 1_000.000_1], &[]] {
        let found = Measurement::reference(values, &Requests::FULL, &span(values.len() as u64));
        assert_eq!(found.check(&Requests::FULL, &span(values.len() as u64), 0.0), Ok(()), "{values:?}");
    }
}
