//! Measuring a tensor again, straight from its file: every element decoded by the plain reference, two passes in f64,
//! a full sort for the farthest. Slow, short, and sharing nothing with the engines, the merging or the plan.

use std::{collections::HashMap, fs, path::Path};

use kurtoscope_host::record::{Role, Run, Tensor};
use kurtoscope_shared::{Element, Moments};
use safetensors::SafeTensors;

/// The elements farthest from the mean that are looked at.
const TOP: usize = 16;

/// How far apart, relative, two distances from the mean must be for their order to be certain.
const TIE: f64 = 1e-12;

/// A part of a fourth moment below which the record may leave a kurtosis without outliers out, and one below which it must.
const UNRESOLVED: (f64, f64) = (1.1e-7, 0.9e-7);

/// The elements of a checkpoint's tensors, by the names in the record: stored tensors and parts of fused ones.
#[derive(Debug)]
pub struct Stored(HashMap<String, Vec<f64>>);

impl Stored {
    /// Decodes every tensor of `run` that is in the safetensors files at `path`, a file or a folder.
    ///
    /// # Panics
    /// When a file cannot be read.
    pub fn read(path: &Path, run: &Run) -> Self {
        let files: Vec<_> = if path.is_dir() {
            let entries = fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path());
            entries.filter(|path| path.extension().is_some_and(|end| end == "safetensors")).collect()
        } else {
            vec![path.into()]
        };
        let mut all = HashMap::new();
        for file in files {
            let bytes = fs::read(&file).expect("a readable file");
            let stored = SafeTensors::deserialize(&bytes).expect("a safetensors file");
            for tensor in run.tensors.iter().filter(|tensor| tensor.role != Role::View) {
                let Ok(view) = stored.tensor(&tensor.name) else { continue };
                let element = Element::ALL.into_iter().find(|element| element.name() == tensor.dtype);
                let element = element.unwrap_or_else(|| panic!("{} is a type", tensor.dtype));
                let values = view.data().chunks_exact(element.size()).map(|bytes| element.decode(bytes));
                all.insert(tensor.name.clone(), values.map(|value| value.expect("whole elements")).collect());
            }
        }
        for view in run.tensors.iter().filter(|tensor| tensor.role == Role::View) {
            let positions = part(run, view);
            let whole: &Vec<f64> = &all[view.of.as_ref().expect("a view is of something")];
            let values = positions.into_iter().map(|position| whole[position]).collect();
            all.insert(view.name.clone(), values);
        }
        Self(all)
    }

    /// The elements of the tensor with this name in the record.
    ///
    /// # Panics
    /// When there is none.
    pub fn values(&self, name: &str) -> &[f64] {
        self.0.get(name).unwrap_or_else(|| panic!("{name} is in no file"))
    }

    /// Checks the farthest elements of `tensor` and its kurtosis without them. Returns the largest error of the latter,
    /// relative to the accuracy that can be had of a difference.
    ///
    /// # Panics
    /// Where the record is not what the elements give.
    pub fn check_top(&self, tensor: &Tensor) -> f64 {
        let name = &tensor.name;
        let values = self.values(name);
        let whole = Moments::from_values(values.iter().copied());
        let distance = |position: usize| (values[position] - whole.mean).abs();
        let mut order: Vec<usize> = (0..values.len()).filter(|position| values[*position].is_finite()).collect();
        order.sort_by(|a, b| distance(*b).total_cmp(&distance(*a)).then(a.cmp(b)));

        let found: Vec<usize> = tensor.top.iter().map(|outlier| ravel(&outlier.index, &tensor.shape)).collect();
        assert_eq!(found.len(), order.len().min(TOP), "{name}: elements at the top");
        for (rank, (outlier, position)) in tensor.top.iter().zip(&found).enumerate() {
            assert_eq!(outlier.value, values[*position], "{name}: the value at {:?}", outlier.index);
            // Two elements on opposite sides of the mean may be equally far to within the mean's rounding.
            let tie = (distance(*position) - distance(order[rank])).abs() <= TIE * distance(order[rank]);
            assert!(*position == order[rank] || tie, "{name}: rank {rank} is {position}, should be {}", order[rank]);
            if let Some(sigma) = whole.standard_deviation().filter(|sigma| *sigma > 0.0) {
                let z = (values[*position] - whole.mean) / sigma;
                assert!(
                    (outlier.z.expect("defined") - z).abs() <= 1e-10 * z.abs().max(1.0),
                    "{name}: z of rank {rank}"
                );
            }
        }

        let mut worst = 0f64;
        let without = &tensor.kurtosis_without_top;
        for (k, kurtosis) in [(1, without.one), (4, without.four), (16, without.sixteen)] {
            let rest = found.get(..k).map(|left_out| {
                let left = (0..values.len()).filter(|position| !left_out.contains(position));
                Moments::from_values(left.map(|position| values[position]).collect::<Vec<_>>().into_iter())
            });
            let expected = rest.and_then(|rest| Some((rest.kurtosis()?, (rest.m4 / whole.m4).min(rest.m2 / whole.m2))));
            match (expected, kurtosis) {
                (Some((expected, share)), Some(kurtosis)) => {
                    // What is left is a difference: its error is the whole's, divided by the share that is left.
                    let error = (kurtosis / expected - 1.0).abs() * share;
                    worst = worst.max(error);
                    assert!(error <= 1e-10, "{name}: without {k}: {kurtosis}, should be {expected}, share {share:e}");
                    assert!(share >= UNRESOLVED.1, "{name}: without {k}: not to be had of a share of {share:e}");
                }
                (Some((_, share)), None) => {
                    assert!(share <= UNRESOLVED.0, "{name}: kurtosis without {k} is missing, share {share:e}");
                }
                (None, kurtosis) => assert_eq!(kurtosis, None, "{name}: kurtosis without {k} does not exist"),
            }
        }
        worst
    }
}

/// Positions of a part's elements in its whole: three blocks of columns in GPT-2, rows by turns and heads elsewhere.
fn part(run: &Run, view: &Tensor) -> Vec<usize> {
    let of = view.of.as_ref().expect("a view is of something");
    let whole = run.tensors.iter().find(|tensor| tensor.name == *of).expect("the whole is in the record");
    let number = ["[q]", "[k]", "[v]"].iter().position(|suffix| view.name.ends_with(suffix)).expect("q, k or v");
    let size = whole.shape.iter().product::<u64>() as usize;
    let period = if run.model.family.name() == "gpt2" {
        *whole.shape.last().expect("no scalar") as usize
    } else {
        let config = run.model.config.as_ref().expect("a configuration");
        let heads = config.get("n_head").or(config.get("num_attention_heads")).and_then(serde_json::Value::as_u64);
        size / heads.expect("a number of heads") as usize
    };
    (0..size).filter(|position| position % period / (period / 3) == number).collect()
}

/// The position of an index in a row-major tensor.
fn ravel(index: &[u64], shape: &[u64]) -> usize {
    assert_eq!(index.len(), shape.len(), "an index has one number a dimension");
    assert!(index.iter().zip(shape).all(|(index, length)| index < length), "{index:?} is outside {shape:?}");
    index.iter().zip(shape).fold(0, |position, (index, length)| position * length + index) as usize
}
