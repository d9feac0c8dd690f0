//! Hand-made matrices with the figures that a test is about.

use crate::{
    deployment::weights::{self, Matrix},
    fixture,
    record::{Concentration, QuantizationError, Run, Tensor, WithoutTop},
};
use kurtoscope_checkpoint::model::{Component, Family};

/// A matrix that is being made.
#[derive(Debug, Clone)]
pub struct Made(Tensor);

impl Made {
    /// A matrix without quantization figures.
    pub fn new(name: &str, shape: &[u64]) -> Self {
        let mut tensor = fixture::clean().tensors.remove(0);
        tensor.name = name.into();
        tensor.shape = shape.to_vec();
        tensor.count = shape.iter().product();
        tensor.component = Component::MlpUp;
        tensor.quantization.clear();
        Self(tensor)
    }

    /// Changes the record.
    pub fn with(mut self, change: impl FnOnce(&mut Tensor)) -> Self {
        change(&mut self.0);
        self
    }

    /// A measured signal to noise.
    pub fn measured(self, key: &str, decibels: f64) -> Self {
        self.error(key, decibels, false)
    }

    /// A predicted one.
    pub fn predicted(self, key: &str, decibels: f64) -> Self {
        self.error(key, decibels, true)
    }

    fn error(self, key: &str, decibels: f64, predicted: bool) -> Self {
        let relative_mse = Some(10f64.powf(-decibels / 10.0));
        let error =
            QuantizationError { sqnr_db: Some(decibels), relative_mse, predicted, ..QuantizationError::UNDEFINED };
        self.with(|tensor| {
            tensor.quantization.insert(key.into(), error);
        })
    }

    /// A scheme that was measured where there was no signal.
    pub fn undefined(self, key: &str) -> Self {
        self.with(|tensor| {
            tensor.quantization.insert(key.into(), QuantizationError::UNDEFINED);
        })
    }

    /// Kurtosis, all of it and without the 16 farthest.
    pub fn kurtosis(self, whole: f64, without_16: f64) -> Self {
        self.with(|tensor| {
            (tensor.kurtosis, tensor.excess_kurtosis) = (Some(whole), Some(whole - 3.0));
            tensor.kurtosis_without_top = WithoutTop { one: None, four: None, sixteen: Some(without_16) };
        })
    }

    /// Shares of the heaviest hundredth of rows and columns.
    pub fn concentrated(self, rows: f64, columns: f64) -> Self {
        self.with(|tensor| {
            let (row_count, column_count) = (tensor.shape[0], tensor.shape[1]);
            tensor.concentration = Some(Concentration { rows, columns, row_count, column_count });
        })
    }

    /// Figures of all schemes as normal weights have them, worse by `loss` decibels.
    pub fn all(mut self, loss: f64) -> Self {
        for (key, decibels) in NORMAL {
            self = if key.contains("tensor") {
                self.predicted(key, (decibels - loss).max(0.1))
            } else {
                self.measured(key, (decibels - loss).max(0.1))
            };
        }
        self
    }

    /// The record.
    pub fn tensor(self) -> Tensor {
        self.0
    }
}

/// What normal weights have in rows of 1024.
const NORMAL: [(&str, f64); 16] = [
    ("int8_per_tensor", 38.9),
    ("int8_per_tensor_clipped", 40.6),
    ("int4_per_tensor", 13.7),
    ("int4_per_tensor_clipped", 19.4),
    ("int8_per_row", 42.3),
    ("int8_g128", 43.9),
    ("int8_g64", 44.6),
    ("int8_g32", 45.4),
    ("int4_per_row", 17.1),
    ("int4_g128", 18.7),
    ("int4_g64", 19.4),
    ("int4_g32", 20.3),
    ("q8_0", 45.4),
    ("q4_0", 21.3),
    ("nf4_b64", 20.6),
    ("mxfp4", 18.8),
];

/// The matrix of a record whose rows are output channels.
pub fn matrix(tensor: &Tensor) -> Matrix<'_> {
    weights::matrix(tensor, Family::Llama)
}

/// A LLaMA-like run of these tensors.
pub fn run(tensors: Vec<Tensor>) -> Run {
    let mut run = fixture::clean();
    run.model.family = Family::Llama;
    run.model.source = "models/tiny-llama".into();
    run.model.parameters = tensors.iter().map(|tensor| tensor.count).sum();
    run.tensors = tensors;
    run
}
