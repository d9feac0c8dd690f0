//! `tensors.csv`: one row a tensor for spreadsheets and data frames, columns named as in `run.json`.
//!
//! Nested fields are flattened: `top1_index`, `quantile_0.99`, `int8_per_tensor_sqnr_db`. An undefined value is an empty
//! cell. Numbers are written so that reading them gives the same bits.

use std::collections::BTreeSet;

use super::RenderError;
use super::sections::role;
use crate::number;
use crate::record::{Run, Stored, Tensor};
use crate::scheme_key::TensorScheme;

const FIXED: [&str; 25] = [
    "name",
    "shape",
    "dtype",
    "stored",
    "component",
    "layer",
    "tower",
    "role",
    "of",
    "count",
    "mean",
    "variance",
    "skewness",
    "kurtosis",
    "excess_kurtosis",
    "min",
    "max",
    "non_finite",
    "zeros",
    "top1_index",
    "top1_value",
    "top1_z",
    "kurtosis_without_top_1",
    "kurtosis_without_top_4",
    "kurtosis_without_top_16",
];

/// Quantiles that have a column even where no tensor has them.
const QUANTILES: [&str; 5] = ["0.5", "0.9", "0.99", "0.999", "0.9999"];

/// The table as CSV, with a header.
pub fn render(run: &Run) -> Result<String, RenderError> {
    let quantiles: BTreeSet<&str> = QUANTILES
        .into_iter()
        .chain(run.tensors.iter().flat_map(|tensor| tensor.quantiles.keys().map(String::as_str)))
        .collect();
    let always: [&str; 2] = TensorScheme::UNCLIPPED.map(TensorScheme::key);
    let schemes: BTreeSet<&str> = always
        .into_iter()
        .chain(run.tensors.iter().flat_map(|tensor| tensor.quantization.keys().map(String::as_str)))
        .collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut header: Vec<String> = FIXED.iter().map(|column| (*column).to_owned()).collect();
    header.extend(quantiles.iter().map(|quantile| format!("quantile_{quantile}")));
    for scheme in &schemes {
        header.extend(["sqnr_db", "relative_mse", "predicted"].map(|figure| format!("{scheme}_{figure}")));
    }
    writer.write_record(&header)?;
    for tensor in &run.tensors {
        let mut row = fixed(tensor);
        row.extend(quantiles.iter().map(|quantile| float(tensor.quantiles.get(*quantile).copied())));
        for scheme in &schemes {
            let error = tensor.quantization.get(*scheme);
            row.push(float(error.and_then(|error| error.sqnr_db)));
            row.push(float(error.and_then(|error| error.relative_mse)));
            row.push(error.map_or_else(String::new, |error| error.predicted.to_string()));
        }
        writer.write_record(&row)?;
    }
    let bytes = writer.into_inner().map_err(|error| RenderError::Csv(error.into_error().into()))?;
    // Every field was a string.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn fixed(tensor: &Tensor) -> Vec<String> {
    let top = tensor.top.first();
    let without = &tensor.kurtosis_without_top;
    vec![
        tensor.name.clone(),
        tensor.shape.iter().map(u64::to_string).collect::<Vec<_>>().join("x"),
        tensor.dtype.clone(),
        tensor.stored.as_ref().map_or_else(String::new, stored),
        tensor.component.name().to_owned(),
        tensor.layer.map_or_else(String::new, |layer| layer.to_string()),
        tensor.tower.clone().unwrap_or_default(),
        role(tensor.role).to_owned(),
        tensor.of.clone().unwrap_or_default(),
        tensor.count.to_string(),
        float(tensor.mean),
        float(tensor.variance),
        float(tensor.skewness),
        float(tensor.kurtosis),
        float(tensor.excess_kurtosis),
        float(tensor.min),
        float(tensor.max),
        tensor.non_finite.to_string(),
        tensor.zeros.to_string(),
        top.map_or_else(String::new, |top| number::index(&top.index)),
        float(top.map(|top| top.value)),
        float(top.and_then(|top| top.z)),
        float(without.one),
        float(without.four),
        float(without.sixteen),
    ]
}

/// How a quantized weight is stored, in a word: `gptq-4bit-g128`.
fn stored(stored: &Stored) -> String {
    let group = stored.group.map_or_else(String::new, |group| format!("-g{group}"));
    format!("{}-{}bit{group}", stored.scheme, stored.bits)
}

/// The shortest digits that read back as the same number.
fn float(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn rows(run: &Run) -> (csv::StringRecord, Vec<csv::StringRecord>) {
        let text = render(run).expect("strings only");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().expect("header").clone();
        (header, reader.records().collect::<Result<_, _>>().expect("as many cells as the header"))
    }

    #[test]
    fn everything() {
        insta::assert_snapshot!(render(&fixture::full()).expect("strings only"));
    }

    #[test]
    fn quantized_weights_say_how_they_are_stored() {
        let mut run = fixture::full();
        run.tensors[0].stored = Some(Stored { scheme: "gptq".into(), bits: 4, group: Some(128), assumed: None });
        run.tensors[1].stored = Some(Stored { scheme: "fp8".into(), bits: 8, group: None, assumed: None });
        let (header, rows) = rows(&run);
        let column = header.iter().position(|column| column == "stored").expect("column");
        let cells: Vec<&str> = rows.iter().take(3).map(|row| &row[column]).collect();
        assert_eq!(cells, ["gptq-4bit-g128", "fp8-8bit", ""]);
    }

    #[test]
    fn cells_stand_under_their_names_and_keep_their_bits() {
        let mut run = fixture::full();
        run.tensors[0].kurtosis = Some(0.1 + 0.2);
        let (header, rows) = rows(&run);
        let column = |name: &str| header.iter().position(|column| column == name).expect("column");
        assert_eq!(rows.len(), run.tensors.len());
        for (row, tensor) in rows.iter().zip(&run.tensors) {
            assert_eq!(&row[column("name")], tensor.name);
            let number = |name: &str| row[column(name)].parse::<f64>().ok();
            assert_eq!(number("kurtosis"), tensor.kurtosis);
            assert_eq!(number("kurtosis_without_top_16"), tensor.kurtosis_without_top.sixteen);
            assert_eq!(number("quantile_0.9999"), tensor.quantiles.get("0.9999").copied());
            let int8 = tensor.quantization_error(TensorScheme::Int8).and_then(|error| error.sqnr_db);
            assert_eq!(number("int8_per_tensor_sqnr_db"), int8);
        }
    }

    #[test]
    fn an_empty_run_has_a_header() {
        let mut run = fixture::clean();
        run.tensors.clear();
        let (header, rows) = rows(&run);
        assert!(header.len() > 30 && rows.is_empty());
    }
}
