//! Moments by plain burn tensor operations: the readable form of what the engines compute, for tests to hold them
//! against. Several passes over memory, whole-tensor sums; in f64, where a device has it, good to about 1e-12.

use burn::tensor::Tensor;
use kurtoscope_shared::Moments;

/// The moments of a tensor of finite values. `None` when the device's answers cannot be read.
///
/// The result is as precise as the tensor's float type. Of the special counts only `zeros` can be filled.
pub fn moments(values: Tensor<1>) -> Option<Moments> {
    let read = |tensor: Tensor<1>| tensor.into_data().iter::<f64>().next();
    let count = values.dims()[0];
    if count == 0 {
        return Some(Moments::EMPTY);
    }
    let mean = values.clone().mean();
    let distance = values.clone() - mean.clone();
    let square = distance.clone() * distance.clone();
    Some(Moments {
        count: count as u64,
        mean: read(mean)?,
        m2: read(square.clone().sum())?,
        m3: read((square.clone() * distance).sum())?,
        m4: read((square.clone() * square).sum())?,
        min: read(values.clone().min())?,
        max: read(values.clone().max())?,
        non_finite: 0,
        zeros: values.equal_elem(0.0).int().sum().into_data().iter::<u64>().next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ChunkSpec, CpuEngine, Engine};
    use burn::tensor::{DType, Device, TensorData};
    use kurtoscope_shared::{Element, Requests};
    use std::vec::Vec;

    fn by_tensor_operations(values: &[f64]) -> Moments {
        let data = TensorData::new(values.to_vec(), [values.len()]);
        moments(Tensor::from_data(data, (&Device::flex(), DType::F64))).expect("readable")
    }

    fn by_the_engine(values: &[f64]) -> Moments {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        CpuEngine::default().measure(ChunkSpec::of(Element::F64, Requests::MOMENTS), &bytes).expect("measured").moments
    }

    #[test]
    fn the_engine_agrees_with_plain_tensor_operations() {
        let wave =
            |count: u32| (0..count).map(|i| (f64::from(i) * 0.7).sin() + f64::from(i % 13) * 0.1).collect::<Vec<_>>();
        let mut spiked = wave(20_000);
        spiked[12_345] = 135.0;
        spiked[17] = 0.0;
        let shifted: Vec<f64> = wave(9_000).iter().map(|value| value + 1000.0).collect();
        for values in [wave(1), wave(2), wave(4_097), spiked, shifted] {
            let (found, expected) = (by_the_engine(&values), by_tensor_operations(&values));
            assert_eq!((found.count, found.zeros), (expected.count, expected.zeros));
            assert_eq!((found.min, found.max), (expected.min, expected.max));
            let near = |name: &str, found: Option<f64>, expected: Option<f64>| match (found, expected) {
                (Some(a), Some(b)) => assert!((a - b).abs() <= 1e-10 * b.abs().max(1.0), "{name}: {a} against {b}"),
                (a, b) => assert_eq!(a, b, "{name}"),
            };
            near("mean", Some(found.mean), Some(expected.mean));
            near("variance", found.variance(), expected.variance());
            near("skewness", found.skewness(), expected.skewness());
            near("kurtosis", found.kurtosis(), expected.kurtosis());
        }
        assert_eq!(by_tensor_operations(&[]), Moments::EMPTY);
    }
}
