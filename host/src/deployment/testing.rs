//! Hand-made matrices with the figures that a test is about.

use kurtoscope_shared::quantization::Scheme;

use crate::{
    deployment::weights::{self, Matrix},
    fixture,
    record::{Concentration, QuantizationError, Run, Tensor, WithoutTop},
    scheme_key::{SchemeKey, TensorScheme},
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
    pub fn measured(self, scheme: impl Into<SchemeKey>, decibels: f64) -> Self {
        self.error(scheme.into(), decibels, false)
    }

    /// A predicted one.
    pub fn predicted(self, scheme: impl Into<SchemeKey>, decibels: f64) -> Self {
        self.error(scheme.into(), decibels, true)
    }

    fn error(self, scheme: SchemeKey, decibels: f64, predicted: bool) -> Self {
        let relative_mse = Some(10f64.powf(-decibels / 10.0));
        let error =
            QuantizationError { sqnr_db: Some(decibels), relative_mse, predicted, ..QuantizationError::UNDEFINED };
        self.with(|tensor| {
            tensor.quantization.insert(scheme.to_string(), error);
        })
    }

    /// A scheme that was measured where there was no signal.
    pub fn undefined(self, scheme: impl Into<SchemeKey>) -> Self {
        self.with(|tensor| {
            tensor.quantization.insert(scheme.into().to_string(), QuantizationError::UNDEFINED);
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
        for (scheme, decibels) in NORMAL {
            let is_predicted = matches!(scheme, SchemeKey::Tensor(_));
            self = self.error(scheme, (decibels - loss).max(0.1), is_predicted);
        }
        self
    }

    /// The record.
    pub fn tensor(self) -> Tensor {
        self.0
    }
}

/// What normal weights have in rows of 1024.
const NORMAL: [(SchemeKey, f64); 16] = [
    (SchemeKey::Tensor(TensorScheme::Int8), 38.9),
    (SchemeKey::Tensor(TensorScheme::Int8Clipped), 40.6),
    (SchemeKey::Tensor(TensorScheme::Int4), 13.7),
    (SchemeKey::Tensor(TensorScheme::Int4Clipped), 19.4),
    (SchemeKey::Blocks(Scheme::Int8PerRow), 42.3),
    (SchemeKey::Blocks(Scheme::Int8G128), 43.9),
    (SchemeKey::Blocks(Scheme::Int8G64), 44.6),
    (SchemeKey::Blocks(Scheme::Int8G32), 45.4),
    (SchemeKey::Blocks(Scheme::Int4PerRow), 17.1),
    (SchemeKey::Blocks(Scheme::Int4G128), 18.7),
    (SchemeKey::Blocks(Scheme::Int4G64), 19.4),
    (SchemeKey::Blocks(Scheme::Int4G32), 20.3),
    (SchemeKey::Blocks(Scheme::Q8_0), 45.4),
    (SchemeKey::Blocks(Scheme::Q4_0), 21.3),
    (SchemeKey::Blocks(Scheme::Nf4B64), 20.6),
    (SchemeKey::Blocks(Scheme::Mxfp4), 18.8),
];

/// The matrix of a record whose rows are output channels.
pub fn matrix(tensor: &Tensor) -> Matrix<'_> {
    weights::matrix(tensor, &run(Vec::new()).model)
}

/// A LLaMA-like run of these tensors.
pub fn run(tensors: Vec<Tensor>) -> Run {
    let mut run = fixture::clean();
    run.model.family = Family::Llama;
    run.model.config = Some(serde_json::json!({ "model_type": "llama" }));
    run.model.source = "models/tiny-llama".into();
    run.model.parameters = tensors.iter().map(|tensor| tensor.count).sum();
    run.tensors = tensors;
    run
}
