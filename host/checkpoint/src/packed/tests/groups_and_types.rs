//! Group sizes that do not divide a row, types that a scheme does not have, and sizes that would overflow.

use kurtoscope_shared::Element;
use serde_json::{Value, json};

use super::super::matmul_nbits::{self, Attributes};
use super::super::members::Role;
use super::super::settings::Configuration;
use super::super::{Listed, recognize};
use super::super::{PackedFault, PackedTensor};
use super::{Component, bytes, component, floats, members, words};

/// Opens the only weight of a checkpoint.
fn open(list: &[Component], config: &Value) -> Result<PackedTensor, PackedFault> {
    let listed: Vec<Listed> =
        list.iter().map(|part| Listed { name: &part.name, stored: part.stored.clone(), shape: &part.shape }).collect();
    let found = recognize(&listed, &Configuration::new(config));
    assert_eq!(found.weights.len(), 1);
    let tensor = found.weights[0].open(|at| list[at].clone())?;
    tensor.verify().map(|()| tensor)
}

fn message(list: &[Component], config: &Value) -> String {
    match open(list, config) {
        Ok(tensor) => panic!("no fault: {tensor:?}"),
        Err(fault) => fault.to_string(),
    }
}

fn longs(name: &str, shape: &[u64], values: impl IntoIterator<Item = i64>) -> Component {
    component(name, Element::I64, shape, values.into_iter().flat_map(i64::to_le_bytes).collect())
}

fn all(tensor: &PackedTensor) -> Vec<f32> {
    let mut values = vec![f32::NAN; tensor.count() as usize];
    tensor.dequantize(0..tensor.count(), &mut values).unwrap();
    values
}

/// compressed-tensors of 4 bits with one row of 96 columns, every code 1 above the middle, and `scales`.
fn row_of_96(scales: &[f32]) -> Vec<Component> {
    vec![
        words("a.weight_packed", &[1, 12], [0x9999_9999; 12]),
        floats("a.weight_scale", &[1, scales.len() as u64], scales.iter().copied()),
        longs("a.weight_shape", &[2], [1, 96]),
    ]
}

fn ragged(first: usize) -> Vec<f32> {
    (0..96).map(|column| if column < first { 1.0 } else { 2.0 }).collect()
}

#[test]
fn the_last_group_may_be_shorter() {
    let weights = |group: u64| json!({"config_groups": {"g": {"weights": {"num_bits": 4, "group_size": group}}}});
    let config = |group: u64| json!({"quantization_config": weights(group)});
    let tensor = open(&row_of_96(&[1.0, 2.0]), &config(64)).unwrap();
    assert_eq!((all(&tensor), tensor.stored().group), (ragged(64), Some(64)));
    // 48 is stated, so it is no 64.
    let tensor = open(&row_of_96(&[1.0, 2.0]), &config(48)).unwrap();
    assert_eq!((all(&tensor), tensor.stored().group), (ragged(48), Some(48)));
    // Nothing is stated: of the sizes that tools offer, only 64 makes two groups.
    let tensor = open(&row_of_96(&[1.0, 2.0]), &Value::Null).unwrap();
    assert_eq!((all(&tensor), tensor.stored().group), (ragged(64), Some(64)));
    let fault = message(&row_of_96(&[1.0, 2.0]), &config(32));
    assert_eq!(fault, "packed codes of a.weight: the configuration states group_size = 32, the tensors have 64");
    let fault = message(&row_of_96(&[1.0; 5]), &Value::Null);
    assert_eq!(fault, "packed codes of a.weight: the group size is not known: 5 scales for 96 columns");
    let whole = json!({"config_groups": {"g": {"weights": {"num_bits": 4, "strategy": "channel"}}}});
    let fault = message(&row_of_96(&[1.0, 2.0]), &json!({"quantization_config": whole}));
    let expected = "the configuration states strategy = channel, the tensors have 2 scales a row";
    assert_eq!(fault, format!("packed codes of a.weight: {expected}"));
}

#[test]
fn tiles_are_the_only_square_ones_that_fit() {
    let weight = |scales: &[u64]| {
        let count: u64 = scales.iter().product();
        vec![
            bytes("a.weight", Element::F8E4m3, &[384, 300], vec![0x38; 384 * 300]),
            floats("a.weight_scale_inv", scales, (0..count).map(|at| at as f32)),
        ]
    };
    for (side, scales) in [(64, [6, 5]), (128, [3, 3]), (32, [12, 10])] {
        let tensor = open(&weight(&scales), &Value::Null).unwrap();
        let right = (0..384 * 300).map(|at| (at / 300 / side * scales[1] + at % 300 / side) as f32);
        assert_eq!((all(&tensor), tensor.stored().group), (right.collect(), Some(side)));
    }
    let config = json!({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}});
    let fault = message(&weight(&[1]), &config);
    let expected = "weight_block_size = [128, 128], the tensors have 1 x 1 scales for 384 x 300";
    assert_eq!(fault, format!("packed codes of a.weight: the configuration states {expected}"));
}

/// GPTQ of 4 bits, 32 inputs and 8 outputs, in groups of 16.
fn gptq() -> Vec<Component> {
    super::gptq().into_iter().map(|(_, part)| part).collect()
}

/// Replaces the part of this name.
fn with(mut list: Vec<Component>, part: Component) -> Vec<Component> {
    list.retain(|other| other.name != part.name);
    list.push(part);
    list
}

#[test]
fn types_that_a_scheme_does_not_have() {
    let narrow = |name: &str, shape: &[u64]| {
        let count = shape.iter().product::<u64>() as usize * 2;
        component(name, Element::I16, shape, vec![0; count])
    };
    let cases = [
        (with(gptq(), narrow("a.qweight", &[4, 8])), "a.qweight is of the type i16, not i32 or u32"),
        (with(gptq(), narrow("a.qzeros", &[2, 1])), "a.qzeros is of the type i16, not i32 or u32"),
        (with(gptq(), longs("a.qweight", &[4, 8], [0; 32])), "a.qweight is of the type i64, not i32 or u32"),
        (with(gptq(), floats("a.qzeros", &[2, 1], [0.0; 2])), "a.qzeros is of the type f32, not i32 or u32"),
        (
            with(row_of_96(&[1.0]), bytes("a.weight_scale", Element::F8E4m3, &[1, 1], [0x38])),
            "a.weight_scale is of the type f8_e4m3, not a float of 16 bits or more",
        ),
        (
            with(row_of_96(&[1.0]), bytes("a.weight_scale", Element::I8, &[1, 1], [1])),
            "a.weight_scale is of the type i8, not f64, f32, f16, bf16, f8_e4m3, u8 or f8_e8m0",
        ),
        (
            vec![bytes("e_blocks", Element::U8, &[2, 1, 16], [0; 32]), floats("e_scales", &[2, 1], [1.0; 2])],
            "e_scales is of the type f32, not u8 or f8_e8m0",
        ),
        (
            vec![bytes("a.weight", Element::I8, &[2, 4], [1; 8]), bytes("a.SCB", Element::I8, &[2], [1; 2])],
            "a.SCB is of the type i8, not f64, f32, f16 or bf16",
        ),
        (with(hqq([1, 64], 4, 64, 1), bytes("a.scale", Element::U8, &[1, 1], [1])), HQQ_SCALE),
    ];
    for (list, expected) in cases {
        assert_eq!(message(&list, &Value::Null), expected);
    }
    let list = vec![(Role::Codes, words("b", &[1, 1, 16], [0; 16])), (Role::Scales, floats("scales", &[1], [1.0]))];
    let attributes = Attributes { inputs: 32, outputs: 1, bits: 4, block: 32 };
    let fault = matmul_nbits::open(&members(list), attributes).unwrap_err();
    assert_eq!(fault.to_string(), "b is of the type i32, not u8");
}

const HQQ_SCALE: &str = "a.scale is of the type u8, not f64, f32, f16 or bf16";

/// HQQ with codes that are all 0.
fn hqq(shape: [i64; 2], bits: i64, group: i64, axis: i64) -> Vec<Component> {
    let one = |name: &str, value: i64| longs(name, &[1], [value]);
    vec![
        bytes("a.W_q", Element::U8, &[1, 64], [0; 64]),
        floats("a.scale", &[1, 1], [1.0]),
        floats("a.zero", &[1, 1], [0.0]),
        longs("a.shape", &[2], shape),
        one("a.nbits", bits),
        one("a.group_size", group),
        one("a.axis", axis),
    ]
}

#[test]
fn sizes_that_values_of_tensors_state_do_not_overflow() {
    // 2^62 codes of 3 bits, ten in a word of 4 bytes: the bytes are 0 modulo 2^64.
    let mut list = hqq([1, 1 << 62], 3, 1 << 62, 1);
    list = with(list, words("a.W_q", &[1, 1], [0]));
    let fault = message(&list, &Value::Null);
    assert_eq!(fault, "a.shape calls for the shape [1, 4611686018427387904], of more than 2^48 elements");
    let state = |shape: &str| format!(r#"{{"quant_type": "nf4", "blocksize": 64, "shape": {shape}}}"#).into_bytes();
    let json = state("[9223372036854775808, 2]");
    let list = vec![
        bytes("a.weight", Element::U8, &[1, 1], [0]),
        floats("a.weight.absmax", &[1], [1.0]),
        bytes("a.weight.quant_state.bitsandbytes__nf4", Element::U8, &[json.len() as u64], json),
    ];
    assert!(message(&list, &Value::Null).ends_with("of more than 2^48 elements"));
}

#[test]
fn axes_that_a_matrix_does_not_have() {
    assert!(open(&hqq([1, 64], 4, 64, 1), &Value::Null).is_ok());
    let fault = message(&hqq([1, 64], 4, 64, 5), &Value::Null);
    assert_eq!(fault, "packed codes of a.weight: the layout with groups along the axis 5 is not read");
}

#[test]
fn shapes_without_elements_and_of_other_dimensions() {
    let empty = with(gptq(), floats("a.scales", &[4, 0], []));
    assert_eq!(message(&empty, &Value::Null), "a.scales has no elements: its shape is [4, 0]");
    let flat = with(gptq(), floats("a.scales", &[16], [1.0; 16]));
    assert_eq!(message(&flat, &Value::Null), "a.scales has the shape [16], not two dimensions");
    let list = with(row_of_96(&[1.0]), longs("a.weight_shape", &[2], [1, 85]));
    let expected = "a.weight_shape: no code of 1 to 8 bits makes 85 columns of 12 words";
    assert_eq!(message(&list, &Value::Null), expected);
}

/// GPTQ of 32 inputs in one group: codes, zero points and scales of `outputs` outputs.
fn one_group(rows: u64, outputs: u64, zeros: &[u32]) -> Vec<Component> {
    vec![
        words("a.qweight", &[rows, outputs], vec![0; (rows * outputs) as usize]),
        floats("a.scales", &[1, outputs], vec![1.0; outputs as usize]),
        words("a.qzeros", &[1, zeros.len() as u64], zeros.iter().copied()),
    ]
}

#[test]
fn gptq_zero_points_in_the_middle_are_of_version_2() {
    // 32 zero points of 3 bits that are all 4, or all 3: a stream from the lowest bit of the first word.
    let stream = |zero: u128| {
        let bits = (0..32).fold(0, |bits: u128, at| bits | zero << (3 * at));
        [bits as u32, (bits >> 32) as u32, (bits >> 64) as u32]
    };
    for (stored, zero, assumed) in [(4, 4.0, None), (3, 4.0, None), (1, 2.0, Some("zero points of version 1"))] {
        let tensor = open(&one_group(3, 32, &stream(stored)), &Value::Null).unwrap();
        assert_eq!((tensor.stored().bits, all(&tensor)), (3, vec![-zero; 32 * 32]), "{stored}");
        assert_eq!(tensor.stored().assumed, assumed, "{stored}");
    }
    // Stated, it is what is stated.
    let config = json!({"quantization_config": {"quant_method": "gptq", "checkpoint_format": "gptq", "bits": 3}});
    let tensor = open(&one_group(3, 32, &stream(4)), &config).unwrap();
    assert_eq!((all(&tensor), tensor.stored().assumed), (vec![-5.0; 32 * 32], None));
}

#[test]
fn group_numbers_of_another_length() {
    let list = with(one_group(4, 32, &[0x7777_7777; 4]), words("a.g_idx", &[64], [0; 64]));
    let fault = message(&list, &Value::Null);
    assert_eq!(fault, "a.g_idx has the shape [64], the tensors beside it call for [32]");
}

#[test]
fn gptq_of_few_outputs_leaves_the_bits_open() {
    let list = one_group(4, 4, &[0x7777]);
    let all = "2 bits in groups of 64, 4 bits in groups of 32, 8 bits in groups of 16";
    let fault = message(&list, &Value::Null);
    assert_eq!(fault, format!("packed codes of a.weight: the width in bits is not known: {all} are possible"));
    let config = json!({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32}});
    assert_eq!(open(&list, &config).unwrap().shape(), [4, 32]);
}

#[test]
fn group_numbers_that_are_all_0_mean_groups_in_order() {
    let scales = floats("a.scales", &[2, 8], (0..16).map(|at| if at < 8 { 1.0 } else { 2.0 }));
    let zero = with(with(gptq(), words("a.g_idx", &[32], [0; 32])), scales.clone());
    let ordered = with(gptq(), scales);
    let (zero, ordered) = (open(&zero, &Value::Null).unwrap(), open(&ordered, &Value::Null).unwrap());
    assert_eq!((all(&zero), zero.stored()), (all(&ordered), ordered.stored()));
}

#[test]
fn the_group_is_what_the_group_numbers_say() {
    // 144 inputs in groups of 64, 64 and 16: three equal groups would be of 48.
    let numbers = (0..144).rev().map(|input| input / 64);
    let list = vec![
        words("a.qweight", &[18, 8], [0; 144]),
        floats("a.scales", &[3, 8], [1.0; 24]),
        words("a.qzeros", &[3, 1], [0x7777_7777; 3]),
        words("a.g_idx", &[144], numbers),
    ];
    assert_eq!(open(&list, &Value::Null).unwrap().stored().group, Some(64));
    let config = json!({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 48}});
    let fault = message(&list, &config);
    assert_eq!(fault, "packed codes of a.weight: the configuration states group_size = 48, the tensors have 64");
}
