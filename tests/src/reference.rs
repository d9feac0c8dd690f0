//! References: what an independent program found in a checkpoint, and how far a run is from it.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use kurtoscope_host::record::{Run, Tensor};

/// The columns of a reference.
const COLUMNS: &str = "name,shape,dtype,n,mean,variance,skewness,kurtosis,min,max,n_nonfinite";

/// One tensor's statistics; NaN where there are none.
#[derive(Debug, Clone)]
pub struct Row {
    /// Dimensions, joined by `x`.
    pub shape: String,
    /// The element type, as safetensors names it.
    pub dtype: String,
    /// Elements, finite or not.
    pub n: u64,
    /// Mean.
    pub mean: f64,
    /// Population variance.
    pub variance: f64,
    /// Population skewness.
    pub skewness: f64,
    /// Pearson's population kurtosis.
    pub kurtosis: f64,
    /// Smallest finite element.
    pub min: f64,
    /// Largest finite element.
    pub max: f64,
    /// NaN and infinite elements.
    pub non_finite: u64,
}

/// A reference: rows by tensor name.
#[derive(Debug)]
pub struct Reference(pub BTreeMap<String, Row>);

/// The largest errors of a run, over all its tensors.
#[derive(Debug, Clone, Copy, Default)]
pub struct Errors {
    /// Tensors compared.
    pub tensors: usize,
    /// Of the mean, in standard deviations.
    pub mean: f64,
    /// Of the variance, relative.
    pub variance: f64,
    /// Of the skewness: relative, absolute where it is below 1.
    pub skewness: f64,
    /// Of the kurtosis, relative.
    pub kurtosis: f64,
}

impl Errors {
    /// The largest of all.
    pub fn max(&self) -> f64 {
        [self.mean, self.variance, self.skewness, self.kurtosis].into_iter().fold(0.0, f64::max)
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tensors, mean, variance, skewness, kurtosis } = self;
        write!(
            f,
            "{tensors:>3} tensors; worst error: mean {mean:.1e} sd, variance {variance:.1e}, skewness {skewness:.1e}, \
             kurtosis {kurtosis:.1e}"
        )
    }
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Panics
    /// When it is not one.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(COLUMNS), "{}: columns", path.display());
        let rows: BTreeMap<_, _> = lines.map(row).collect();
        assert!(!rows.is_empty(), "{}: no rows", path.display());
        Self(rows)
    }

    /// The same statistics for a checkpoint that stores these values in another type.
    #[must_use]
    pub fn stored_as(mut self, dtype: &str) -> Self {
        self.0.values_mut().for_each(|row| row.dtype = dtype.into());
        self
    }

    /// The rows of tensors of floats with more than one element: without the shapes, indices and limits of an ONNX graph.
    #[must_use]
    pub fn without_constants(mut self) -> Self {
        self.0.retain(|_, row| row.dtype == "FLOAT" && row.n > 1);
        self
    }

    /// How many rows there are.
    pub fn tensors(&self) -> usize {
        self.0.len()
    }

    /// The errors of `run`. Every row must be in the run, and every tensor of the run but `[q]`, `[k]` and `[v]` in the
    /// reference; counts, shapes, types, least and greatest elements and what is undefined must agree exactly.
    ///
    /// # Panics
    /// Where one of these does not.
    pub fn compare(&self, run: &Run) -> Errors {
        let tensors: BTreeMap<&str, &Tensor> =
            run.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        assert_eq!(tensors.len(), run.tensors.len(), "names are unique");
        for name in tensors.keys() {
            assert!(self.0.contains_key(*name) || name.ends_with(']'), "{name} is not in the reference");
        }
        let mut errors = Errors::default();
        for (name, row) in &self.0 {
            let tensor = tensors.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not in the run"));
            compare(name, row, tensor, &mut errors);
        }
        errors
    }

    /// The errors of a run of a format whose names of types and of shapes are its own: every row must be in the run, with
    /// the same counts; least and greatest elements may differ by `tolerance`, relative to the standard deviation.
    ///
    /// # Panics
    /// Where one of these does not hold.
    pub fn compare_values(&self, run: &Run, tolerance: f64) -> Errors {
        let tensors: BTreeMap<&str, &Tensor> =
            run.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let mut errors = Errors::default();
        for (name, row) in &self.0 {
            let tensor = tensors.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not in the run"));
            for (statistic, found, expected) in [("min", tensor.min, row.min), ("max", tensor.max, row.max)] {
                let near = found.is_some_and(|found| (found - expected).abs() <= tolerance * row.variance.sqrt());
                assert!(near || same(found, expected), "{name}: {statistic} is {found:?}, should be {expected}");
            }
            compare_statistics(name, row, tensor, &mut errors);
        }
        errors
    }
}

fn compare(name: &str, row: &Row, tensor: &Tensor, errors: &mut Errors) {
    let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
    assert_eq!(shape.join("x"), row.shape, "{name}: shape");
    assert_eq!(tensor.dtype, row.dtype.to_lowercase(), "{name}: type");
    for (statistic, found, expected) in [("min", tensor.min, row.min), ("max", tensor.max, row.max)] {
        assert!(same(found, expected), "{name}: {statistic} is {found:?}, should be {expected}");
    }
    compare_statistics(name, row, tensor, errors);
}

fn compare_statistics(name: &str, row: &Row, tensor: &Tensor, errors: &mut Errors) {
    assert_eq!((tensor.count + tensor.non_finite, tensor.non_finite), (row.n, row.non_finite), "{name}: counts");
    let excess = tensor.kurtosis.map(|kurtosis| kurtosis - 3.0);
    assert_eq!(tensor.excess_kurtosis, excess, "{name}: excess kurtosis");
    errors.tensors += 1;
    // Without a spread there is no standard deviation to measure the mean's error in: it must be right.
    let sigma = if row.variance > 0.0 { row.variance.sqrt() } else { f64::MIN_POSITIVE };
    for (statistic, found, expected, scale, worst) in [
        ("mean", tensor.mean, row.mean, sigma, &mut errors.mean),
        ("variance", tensor.variance, row.variance, row.variance.max(f64::MIN_POSITIVE), &mut errors.variance),
        ("skewness", tensor.skewness, row.skewness, row.skewness.abs().max(1.0), &mut errors.skewness),
        ("kurtosis", tensor.kurtosis, row.kurtosis, row.kurtosis, &mut errors.kurtosis),
    ] {
        match found {
            Some(found) if expected.is_finite() => {
                *worst = worst.max((found - expected).abs() / scale);
            }
            found => assert!(same(found, expected), "{name}: {statistic} is {found:?}, should be {expected}"),
        }
    }
}

/// Equal, or undefined in both.
fn same(found: Option<f64>, expected: f64) -> bool {
    found == (!expected.is_nan()).then_some(expected)
}

fn row(line: &str) -> (String, Row) {
    let fields: Vec<&str> = line.split(',').collect();
    let [name, shape, dtype, n, mean, variance, skewness, kurtosis, min, max, non_finite] = fields[..] else {
        panic!("not a row of a reference: {line}");
    };
    let number = |text: &str| text.parse::<f64>().unwrap_or_else(|error| panic!("{text:?} in {line}: {error}"));
    let count = |text: &str| text.parse::<u64>().unwrap_or_else(|error| panic!("{text:?} in {line}: {error}"));
    let row = Row {
        shape: shape.into(),
        dtype: dtype.into(),
        n: count(n),
        mean: number(mean),
        variance: number(variance),
        skewness: number(skewness),
        kurtosis: number(kurtosis),
        min: number(min),
        max: number(max),
        non_finite: count(non_finite),
    };
    (name.into(), row)
}
