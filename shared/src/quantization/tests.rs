use super::*;

#[test]
fn schemes_are_numbered_in_the_order_of_their_list() {
    for (index, scheme) in Scheme::ALL.into_iter().enumerate() {
        assert_eq!(scheme as usize, index);
        assert!(scheme.block().is_none_or(|block| LARGEST_BLOCK.is_multiple_of(block)));
    }
}

#[test]
fn symmetric_blocks_by_hand() {
    // The scale is 7 / 7 = 1, so each goes to the nearest whole number, halves to the even one.
    let block = [7.0, -3.4, 2.5, 0.2, -7.0];
    assert_eq!(dequantized(Scheme::Int4G32, &block), [7.0, -3.0, 2.0, 0.0, -7.0]);
    assert_eq!(dequantized(Scheme::Int8G32, &[127.0, 0.6, -126.7]), [127.0, 1.0, -127.0]);
    assert_eq!(dequantized(Scheme::Int8PerRow, &[0.0, 0.0]), [0.0, 0.0]);
}

#[test]
fn gguf_blocks_by_hand() {
    // The extreme 4 gives d = -0.5: levels from 4 (code 0) down to -3.5 (code 15).
    assert_eq!(dequantized(Scheme::Q4_0, &[4.0, -3.8, 0.3, 1.0]), [4.0, -3.5, 0.5, 1.0]);
    // Of two extremes the negative one decides.
    assert_eq!(dequantized(Scheme::Q4_0, &[4.0, -4.0]), [3.5, -4.0]);
    // d = 1 / 127 as binary16 is 0.00787353515625: the largest does not come back exactly.
    let back = dequantized(Scheme::Q8_0, &[1.0, 0.5]);
    assert_eq!(back, [127.0 * 0.007_873_535, 64.0 * 0.007_873_535]);
}

#[test]
fn four_bit_floats_by_hand() {
    // The largest, 11, is in [8, 16): the scale is 8 / 4 = 2.
    assert_eq!(dequantized(Scheme::Mxfp4, &[11.0, 15.9, 4.9, -0.4, 1.5]), [12.0, 12.0, 4.0, -0.0, 2.0]);
    assert_eq!([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 7.0].map(e2m1), [0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 6.0]);
    assert_eq!(dequantized(Scheme::Nf4B64, &[2.0, 0.1, -1.2]), [2.0, 2.0 * 0.079_580_3, 2.0 * -0.525_073_05]);
    assert_eq!(dequantized(Scheme::Mxfp4, &[0.0; 3]), [0.0; 3]);
    assert!(dequantized(Scheme::Mxfp4, &[f32::MAX, 1e-45]).iter().all(|x| x.is_finite()));
}
