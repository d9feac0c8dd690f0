//! Any range of elements is what packing by the plainest means put there.

use kurtoscope_shared::Element;
use proptest::prelude::*;

use super::super::codes::{Order, unpack};
use super::super::members::Role;
use super::super::settings::Settings;
use super::super::{PackedTensor, fp8, gptq, mlx, nvfp4, rectangles};
use super::{bytes, component, floats, members, words};

/// Packs codes bit by bit, the lowest bit of the first code first.
fn stream(codes: &[u8], bits: usize) -> Vec<u32> {
    let mut packed = vec![0; (codes.len() * bits).div_ceil(32)];
    for (position, code) in codes.iter().enumerate() {
        for bit in 0..bits {
            let at = position * bits + bit;
            packed[at / 32] |= u32::from(code >> bit & 1) << (at % 32);
        }
    }
    packed
}

/// Codes, scales and zero points that depend on nothing but their place.
fn code(seed: u64, place: u64, bits: u32) -> u8 {
    let mixed = (seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 40) as u8 & ((1u16 << bits) - 1) as u8
}

fn scale(place: u64) -> f32 {
    (place % 13 + 1) as f32 / 64.0
}

fn holds(tensor: &PackedTensor, range: std::ops::Range<u64>, right: impl Fn(u64) -> f32) {
    let mut out = vec![f32::NAN; (range.end - range.start) as usize];
    tensor.dequantize(range.clone(), &mut out).unwrap();
    for (place, found) in range.zip(out) {
        assert_eq!(found, right(place), "element {place}");
    }
}

#[test]
fn each_expert_of_a_stack_has_a_second_scale() {
    // Two experts of three rows of 32 codes, all of them 0.5; the E4M3 scales are 1 (0x38) and 2 (0x40).
    let scales = [0x38, 0x40].repeat(6);
    let second = [3.0, -0.25];
    let list = |role| {
        vec![
            (Role::Codes, bytes("e", Element::U8, &[2, 3, 16], [0x11; 96])),
            (Role::Scales, bytes("e_weight_scale", Element::F8E4m3, &[2, 3, 2], scales.clone())),
            (role, floats("e_weight_scale_2", &[2], second)),
        ]
    };
    let right = |place: u64| 0.5 * (place % 32 / 16 + 1) as f32;
    let times = nvfp4::open(&members(list(Role::ScaleTimes))).unwrap();
    assert_eq!(times.shape(), [2, 3, 32]);
    holds(&times, 5..190, |place| right(place) * second[place as usize / 96]);
    let over = nvfp4::open(&members(list(Role::ScaleOver))).unwrap();
    holds(&over, 0..192, |place| right(place) / second[place as usize / 96]);
}

#[test]
fn columns_out_of_order_take_the_scales_of_their_groups() {
    let groups = [1, 0, 0, 1, 1, 0, 1, 0];
    let list = vec![
        (
            Role::Codes,
            component("a.weight", Element::I8, &[3, 8], (0..24).map(|code: u8| code.wrapping_sub(9)).collect()),
        ),
        (Role::Scales, floats("a.weight_scale", &[3, 2], (0..6).map(scale))),
        (Role::Zeros, component("a.weight_zero_point", Element::I8, &[3, 2], vec![1, 2, 3, 4, 5, 6])),
        (Role::Groups, words("a.weight_g_idx", &[8], groups)),
    ];
    let tensor = fp8::open(&members(list), &Settings::default(), "int8").unwrap();
    holds(&tensor, 2..23, |place| {
        let group = place / 8 * 2 + u64::from(groups[place as usize % 8]);
        (place as f32 - 9.0 - (group + 1) as f32) * scale(group)
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn gptq_of_any_bits_and_order(
        bits in prop::sample::select(vec![2u32, 3, 4, 8]),
        blocks in 1u64..5,
        outputs in prop::sample::select(vec![32u64, 64, 96]),
        seed: u64,
        version_1: bool,
        ordered: bool,
        ends in (0.0f64..1.0, 0.0f64..1.0),
    ) {
        let inputs = blocks * 32;
        let groups = inputs / 16;
        let at = |output: u64, input: u64| code(seed, output * inputs + input, bits);
        let zero = |group: u64, output: u64| code(!seed, group * outputs + output, bits);
        let group = |input: u64| if ordered { code(seed, input, 8) as u64 % groups } else { input / 16 };
        let columns: Vec<Vec<u32>> = (0..outputs)
            .map(|output| stream(&(0..inputs).map(|input| at(output, input)).collect::<Vec<_>>(), bits as usize))
            .collect();
        let rows = columns[0].len();
        let packed = (0..rows).flat_map(|row| columns.iter().map(move |column| column[row]));
        let zeros: Vec<u32> = (0..groups)
            .flat_map(|group| {
                let stored = (0..outputs).map(|output| zero(group, output).wrapping_sub(u8::from(version_1)));
                stream(&stored.collect::<Vec<_>>(), bits as usize)
            })
            .collect();
        let list = vec![
            (Role::Codes, words("a.qweight", &[rows as u64, outputs], packed.collect::<Vec<_>>())),
            (Role::Scales, floats("a.scales", &[groups, outputs], (0..groups * outputs).map(scale))),
            (Role::Zeros, words("a.qzeros", &[groups, outputs * u64::from(bits) / 32], zeros)),
            (Role::Groups, words("a.g_idx", &[inputs], (0..inputs).map(|input| group(input) as u32))),
        ];
        let format = if version_1 { "gptq" } else { "gptq_v2" };
        let settings = Settings { format: Some(format.to_owned()), ..Settings::default() };
        let tensor = gptq::open(&members(list), &settings).unwrap();
        let count = inputs * outputs;
        let (start, end) = ((ends.0 * count as f64) as u64, (ends.1 * count as f64) as u64);
        holds(&tensor, start.min(end)..start.max(end), |place| {
            let (output, input) = (place / inputs, place % inputs);
            let difference = f32::from(at(output, input)) - f32::from(zero(group(input), output));
            difference * scale(group(input) * outputs + output)
        });
    }

    #[test]
    fn mlx_of_any_bits(
        bits in prop::sample::select(vec![2u32, 3, 4, 5, 6, 8]),
        group in prop::sample::select(vec![32u64, 64, 128]),
        groups in 1u64..4,
        rows in 1u64..6,
        seed: u64,
        ends in (0.0f64..1.0, 0.0f64..1.0),
    ) {
        let columns = groups * group;
        let at = |place: u64| code(seed, place, bits);
        let packed: Vec<u32> = (0..rows)
            .flat_map(|row| {
                let codes: Vec<u8> = (0..columns).map(|column| at(row * columns + column)).collect();
                stream(&codes, bits as usize)
            })
            .collect();
        let shape = [rows, columns * u64::from(bits) / 32];
        let bytes = packed.into_iter().flat_map(u32::to_le_bytes).collect();
        let list = vec![
            (Role::Codes, component("a.weight", Element::U32, &shape, bytes)),
            (Role::Scales, floats("a.scales", &[rows, groups], (0..rows * groups).map(scale))),
            (Role::Biases, floats("a.biases", &[rows, groups], (0..rows * groups).map(|place| -scale(place + 5)))),
        ];
        let settings = Settings { bits: Some(bits.into()), group: Some(group), ..Settings::default() };
        let tensor = mlx::open(&members(list), &settings).unwrap();
        let count = rows * columns;
        let (start, end) = ((ends.0 * count as f64) as u64, (ends.1 * count as f64) as u64);
        holds(&tensor, start.min(end)..start.max(end), |place| {
            let block = place / columns * groups + place % columns / group;
            f32::from(at(place)) * scale(block) - scale(block + 5)
        });
    }

    #[test]
    fn bits_come_out_as_they_went_in(
        bits in 1usize..=8,
        skipped in 0usize..40,
        codes in prop::collection::vec(any::<u8>(), 41..90),
    ) {
        let codes: Vec<u8> = codes.into_iter().map(|code| (u16::from(code) & ((1 << bits) - 1)) as u8).collect();
        let bytes: Vec<u8> = stream(&codes, bits).into_iter().flat_map(u32::to_le_bytes).collect();
        let mut out = vec![0; codes.len() - skipped];
        unpack(&bytes[skipped * bits / 8..], skipped * bits % 8, bits, Order::LowFirst, &mut out);
        prop_assert_eq!(out, &codes[skipped..]);
    }

    #[test]
    fn rectangles_cover_a_range_once_and_in_order(width in 1u64..9, start in 0u64..50, length in 0u64..50) {
        let covered: Vec<u64> = rectangles(start..start + length, width)
            .into_iter()
            .flat_map(|(rows, columns)| {
                rows.flat_map(move |row| columns.clone().map(move |column| row * width + column))
            })
            .collect();
        prop_assert_eq!(covered, (start..start + length).collect::<Vec<_>>());
    }
}
