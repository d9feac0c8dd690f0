//! The fingerprint by which a journal recognises the checkpoint: a hash of everything but most of the data.

use std::ops::Range;

use xxhash_rust::xxh3::Xxh3Default;

use super::Checkpoint;
use crate::source::Access;

/// Samples taken from each tensor.
const SAMPLES: usize = 8;

/// Bytes in a sample.
const SAMPLE: usize = 64;

/// Hashes names, shapes and types of all tensors, in their order, and samples of the data.
pub(super) fn fingerprint(checkpoint: &Checkpoint) -> String {
    let mut hash = Xxh3Default::new();
    checkpoint.advise(Access::Sampling);
    // How many tensors of each file may be anywhere in it.
    let mut anywhere = vec![0; checkpoint.files.len()];
    let mut add = |bytes: &[u8], file: usize, hash: &mut Xxh3Default| match anywhere.get_mut(file) {
        Some(count) if checkpoint.files.get(file).is_some_and(|file| file.bytes().len() == bytes.len()) => *count += 1,
        _ => sample(hash, bytes, SAMPLES),
    };
    for tensor in &checkpoint.tensors {
        describe(&mut hash, &tensor.name, &tensor.shape, &tensor.stored);
        add(checkpoint.stored_bytes(tensor), tensor.file, &mut hash);
    }
    for tensor in &checkpoint.quantization {
        describe(&mut hash, &tensor.name, &tensor.shape, &tensor.dtype);
        add(checkpoint.bytes_of(tensor.file, &tensor.data), tensor.file, &mut hash);
    }
    for (file, tensors) in checkpoint.files.iter().zip(anywhere) {
        if tensors > 0 {
            sample(&mut hash, file.bytes(), SAMPLES * tensors);
        }
    }
    checkpoint.advise(Access::Sequential);
    for tensor in &checkpoint.unmeasured {
        describe(&mut hash, &tensor.name, &tensor.shape, &tensor.dtype);
    }
    format!("{:032x}", hash.digest128())
}

/// Hashes samples of `bytes`.
fn sample(hash: &mut Xxh3Default, bytes: &[u8], count: usize) {
    for sample in samples(bytes.len(), count) {
        hash.update(bytes.get(sample).unwrap_or_default());
    }
}

/// Hashes one tensor's description; lengths go first, so no two lists of tensors hash alike by running together.
fn describe(hash: &mut Xxh3Default, name: &str, shape: &[u64], dtype: &str) {
    for text in [name, dtype] {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.update(&(shape.len() as u64).to_le_bytes());
    for dimension in shape {
        hash.update(&dimension.to_le_bytes());
    }
}

/// `count` evenly spaced samples of `length` bytes, the first and the last bytes among them; all of what is short.
fn samples(length: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let (count, size) = if length / SAMPLE < count || length == count * SAMPLE { (1, length) } else { (count, SAMPLE) };
    let room = length - size;
    let gaps = (count - 1).max(1);
    (0..count).map(move |i| {
        // Divided first, so that no product can overflow.
        let start = room / gaps * i + room % gaps * i / gaps;
        start..start + size
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_over_all_of_the_tensor() {
        for length in [0, 1, 511, 512] {
            assert!(samples(length, SAMPLES).eq(std::iter::once(0..length)), "{length}");
        }
        for length in [513, 1000, 1 << 40, usize::MAX] {
            let ranges: Vec<_> = samples(length, SAMPLES).collect();
            assert_eq!(ranges.len(), SAMPLES);
            assert_eq!(ranges.first(), Some(&(0..SAMPLE)), "{length}");
            assert_eq!(ranges.last(), Some(&(length - SAMPLE..length)), "{length}");
            assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "{length}: {ranges:?}");
        }
    }
}
