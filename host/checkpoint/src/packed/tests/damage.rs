//! What is wrong with a weight is said with names and numbers.

use kurtoscope_shared::Element;

use super::super::members::{Members, Role};
use super::super::settings::Settings;
use super::super::{PackedFault, PackedTensor, awq, bitsandbytes, compressed_tensors, fp8, gptq, mlx, mxfp4, nvfp4};
use super::{bytes, component, floats, gptq, members, words};

type Result = std::result::Result<PackedTensor, PackedFault>;

fn message(result: Result) -> String {
    match result {
        Ok(tensor) => panic!("no fault: {tensor:?}"),
        Err(fault) => fault.to_string(),
    }
}

/// GPTQ with one tensor taken away or replaced.
fn damaged(role: Role, replacement: Option<super::Component>) -> Members {
    let mut list = gptq();
    list.retain(|(found, _)| *found != role);
    list.extend(replacement.map(|component| (role, component)));
    members(list)
}

#[test]
fn the_whole_weight_opens() {
    let tensor = gptq::open(&members(gptq()), &Settings::default()).unwrap();
    assert_eq!((tensor.shape(), tensor.stored().bits, tensor.stored().group), (&[8, 32][..], 4, Some(16)));
    let mut out = [0.0; 256];
    tensor.dequantize(0..256, &mut out).unwrap();
    assert_eq!(out, [-2.5; 256]);
}

#[test]
fn a_missing_scale() {
    let fault = message(gptq::open(&damaged(Role::Scales, None), &Settings::default()));
    assert_eq!(fault, "packed codes of a.weight: scales is missing");
    let codes = bytes("a.weight", Element::F8E4m3, &[2, 2], [0; 4]);
    let fault = message(fp8::open(&members(vec![(Role::Codes, codes)]), &Settings::default(), "fp8"));
    assert_eq!(fault, "packed codes of a.weight: a.weight_scale is missing");
}

#[test]
fn shapes_that_disagree() {
    let scales = floats("a.scales", &[2, 7], [0.5; 14]);
    let fault = message(gptq::open(&damaged(Role::Scales, Some(scales)), &Settings::default()));
    assert_eq!(fault, "a.scales has the shape [2, 7], the tensors beside it call for [2, 8]");
    let zeros = words("a.qzeros", &[3, 1], [0; 3]);
    let fault = message(gptq::open(&damaged(Role::Zeros, Some(zeros)), &Settings::default()));
    assert_eq!(fault, "a.qzeros has the shape [3, 1], the tensors beside it call for [2, 1]");
    let list = vec![
        (Role::Codes, bytes("e_blocks", Element::U8, &[2, 3, 16], [0; 96])),
        (Role::Scales, bytes("e_scales", Element::U8, &[2, 2], [0; 4])),
    ];
    let fault = message(mxfp4::open(&members(list)));
    assert_eq!(fault, "e_scales has the shape [2, 2], the tensors beside it call for [2, 3]");
}

#[test]
fn second_scales_that_are_not_one_for_each_expert() {
    let list = |count: u64| {
        vec![
            (Role::Codes, bytes("e", Element::U8, &[2, 3, 16], [0x11; 96])),
            (Role::Scales, bytes("e_weight_scale", Element::F8E4m3, &[2, 3, 2], [0x38; 12])),
            (Role::ScaleTimes, floats("e_weight_scale_2", &[count], (0..count).map(|at| at as f32))),
        ]
    };
    let fault = message(nvfp4::open(&members(list(3))));
    assert_eq!(fault, "e_weight_scale_2 has the shape [3], the tensors beside it call for [2]");
    assert_eq!(message(nvfp4::open(&members(list(2)))), "e_weight_scale_2[0] is 0");
}

#[test]
fn a_group_that_does_not_divide() {
    let scales = floats("a.scales", &[5, 8], [0.5; 40]);
    let mut list = gptq();
    list.retain(|(role, _)| *role == Role::Codes || *role == Role::Groups);
    list.push((Role::Scales, scales));
    let fault = message(gptq::open(&members(list), &Settings::default()));
    assert_eq!(fault, "packed codes of a.weight: the group size is not known: 5 scales for 32 columns");
    let list = vec![
        (Role::Codes, bytes("a.weight", Element::I8, &[2, 8], [1; 16])),
        (Role::Scales, floats("a.weight_scale", &[2, 3], [1.0; 6])),
    ];
    let fault = message(fp8::open(&members(list), &Settings::default(), "int8"));
    assert_eq!(fault, "packed codes of a.weight: the group size is not known: 3 scales for 8 columns");
}

#[test]
fn unknown_bits() {
    let zeros = words("a.qzeros", &[2, 4], [0; 8]);
    let codes = words("a.qweight", &[16, 8], [0; 128]);
    let mut list = gptq();
    list.retain(|(role, _)| !matches!(role, Role::Codes | Role::Zeros));
    list.extend([(Role::Codes, codes), (Role::Zeros, zeros)]);
    let fault = message(gptq::open(&members(list), &Settings::default()));
    assert_eq!(fault, "packed codes of a.weight: gptq with 16 bits is not known");
}

#[test]
fn group_numbers_out_of_range() {
    for (wrong, printed) in [(2, "2"), (u32::MAX, "-1")] {
        let groups = words("a.g_idx", &[32], (0..32).map(|input| if input == 5 { wrong } else { 0 }));
        let fault = message(gptq::open(&damaged(Role::Groups, Some(groups)), &Settings::default()));
        assert_eq!(fault, format!("a.g_idx[5] is {printed}, there are 2 groups"));
    }
}

#[test]
fn scales_that_are_not_finite() {
    let scales = floats("a.scales", &[2, 8], (0..16).map(|at| if at == 11 { f32::NAN } else { 0.5 }));
    let tensor = gptq::open(&damaged(Role::Scales, Some(scales)), &Settings::default()).unwrap();
    assert_eq!(tensor.verify().unwrap_err().to_string(), "a.scales[11] is NaN");
    // Element 3 * 32 + 16 has the scale of group 1 and output 3.
    let mut out = [0.0; 16];
    assert!(tensor.dequantize(96..112, &mut out).is_ok());
    assert_eq!(tensor.dequantize(112..128, &mut out).unwrap_err().to_string(), "a.scales[11] is NaN");
    let list = vec![
        (Role::Codes, bytes("e_blocks", Element::U8, &[2, 1, 16], [0; 32])),
        (Role::Scales, bytes("e_scales", Element::U8, &[2, 1], [127, 255])),
    ];
    assert_eq!(mxfp4::open(&members(list)).unwrap().verify().unwrap_err().to_string(), "e_scales[1] is NaN");
    let list = vec![
        (Role::Codes, bytes("a.weight", Element::U8, &[1, 8], [0; 8])),
        (Role::Scales, bytes("a.weight_scale", Element::F8E4m3, &[1, 1], [0x38])),
        (Role::ScaleTimes, floats("a.weight_scale_2", &[], [f32::NAN])),
    ];
    assert_eq!(message(nvfp4::open(&members(list))), "a.weight_scale_2[0] is NaN");
}

#[test]
fn a_configuration_that_contradicts_the_tensors() {
    let stated = Settings { bits: Some(8), ..Settings::default() };
    let fault = message(gptq::open(&members(gptq()), &stated));
    assert_eq!(fault, "packed codes of a.weight: the configuration states bits = 8, the tensors have 4");
    let stated = Settings { group: Some(128), ..Settings::default() };
    let fault = message(gptq::open(&members(gptq()), &stated));
    assert_eq!(fault, "packed codes of a.weight: the configuration states group_size = 128, the tensors have 16");
}

#[test]
fn tiles_that_are_not_the_stated_ones() {
    let list = vec![
        (Role::Codes, bytes("a.weight", Element::F8E4m3, &[4, 8], [0; 32])),
        (Role::Scales, floats("a.weight_scale_inv", &[2, 2], [1.0; 4])),
    ];
    let stated = Settings { tile: Some([128, 128]), ..Settings::default() };
    let fault = message(fp8::open(&members(list), &stated, "fp8"));
    let stated = "the configuration states weight_block_size = [128, 128]";
    assert_eq!(fault, format!("packed codes of a.weight: {stated}, the tensors have 2 x 2 scales for 4 x 8"));
}

#[test]
fn layouts_that_are_not_read() {
    let stated = Settings { format: Some("marlin".to_owned()), ..Settings::default() };
    let fault = message(gptq::open(&members(gptq()), &stated));
    assert_eq!(fault, "packed codes of a.weight: the layout marlin is not read");
    let list = vec![
        (Role::Codes, words("a.qweight", &[32, 1], [0; 32])),
        (Role::Scales, floats("a.scales", &[1, 8], [1.0; 8])),
        (Role::Zeros, words("a.qzeros", &[1, 1], [0])),
    ];
    let list = members(list);
    let stated = |format: &str| Settings { format: Some(format.to_owned()), ..Settings::default() };
    assert!(awq::open(&list, &stated("auto_round:auto_awq")).is_ok());
    let fault = message(awq::open(&list, &stated("gemv_fast")));
    assert_eq!(fault, "packed codes of a.weight: the layout gemv_fast is not read");
}

#[test]
fn a_description_that_is_not_json() {
    let list = vec![
        (Role::Codes, bytes("a.weight", Element::U8, &[32, 1], [0; 32])),
        (Role::Scales, floats("a.weight.absmax", &[1], [1.0])),
        (Role::State, bytes("a.state", Element::U8, &[2], *b"{]")),
    ];
    let fault = message(bitsandbytes::open_4bit(&members(list), &Settings::default()));
    assert!(fault.starts_with("a.state: key must be a string"), "{fault}");
}

#[test]
fn a_shape_that_no_memory_could_hold() {
    let list = vec![
        (Role::Codes, words("a.weight_packed", &[1, 1], [0])),
        (Role::Scales, floats("a.weight_scale", &[1, 1], [1.0])),
        (Role::Shape, component("a.weight_shape", Element::I64, &[2], [1i64 << 62; 2].map(i64::to_le_bytes).concat())),
    ];
    let fault = message(compressed_tensors::open(&members(list), &Settings::default()));
    let huge = "[4611686018427387904, 4611686018427387904]";
    assert_eq!(fault, format!("a.weight_shape calls for the shape {huge}, of more than 2^48 elements"));
}

#[test]
fn bits_that_nothing_states() {
    let list = vec![
        (Role::Codes, component("a.weight", Element::U32, &[2, 8], vec![0; 64])),
        (Role::Scales, floats("a.scales", &[2, 1], [1.0; 2])),
        (Role::Biases, floats("a.biases", &[2, 1], [1.0; 2])),
    ];
    let fault = message(mlx::open(&members(list), &Settings::default()));
    let all = "2 bits in groups of 128, 4 bits in groups of 64, 8 bits in groups of 32";
    assert_eq!(fault, format!("packed codes of a.weight: the width in bits is not known: {all} are possible"));
}

#[test]
fn ranges_outside_the_weight() {
    let tensor = gptq::open(&members(gptq()), &Settings::default()).unwrap();
    let fault = tensor.dequantize(250..257, &mut [0.0; 7]).unwrap_err();
    assert_eq!(fault.to_string(), "elements 250..257 of 256 do not fit into 7 places");
    assert!(tensor.dequantize(0..8, &mut [0.0; 7]).is_err());
}

#[test]
fn bytes_that_end_early() {
    let mut codes = words("a.qweight", &[4, 8], [0; 32]);
    codes.bytes = std::sync::Arc::new(vec![0; 64]);
    let tensor = gptq::open(&damaged(Role::Codes, Some(codes)), &Settings::default()).unwrap();
    let fault = tensor.dequantize(0..256, &mut [0.0; 256]).unwrap_err();
    assert_eq!(fault.to_string(), "a.qweight cannot be read");
    assert!(std::error::Error::source(&fault).is_some());
}
