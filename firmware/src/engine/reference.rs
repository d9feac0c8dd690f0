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
