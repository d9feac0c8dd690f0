//! The hypotheses of the recorded investigation, in the format in which users write their own.

use std::path::Path;

use super::{Definition, DefinitionError};

/// The files with their names, in the order of reports. A new one is a line here.
const FILES: &[(&str, &str)] = &[
    ("h1_dimension.toml", include_str!("h1_dimension.toml")),
    ("h2_precision.toml", include_str!("h2_precision.toml")),
    ("h3_layer_position.toml", include_str!("h3_layer_position.toml")),
    ("h4_component.toml", include_str!("h4_component.toml")),
    ("h5_size.toml", include_str!("h5_size.toml")),
    ("h6_language.toml", include_str!("h6_language.toml")),
    ("h7_attention_dropout.toml", include_str!("h7_attention_dropout.toml")),
];

/// The built-in hypotheses, H1 first.
///
/// # Errors
///
/// None that a test has not ruled out: the files ship with the program.
pub fn built_in() -> Result<Vec<Definition>, DefinitionError> {
    FILES.iter().map(|(name, text)| Definition::parse(text, Path::new(name))).collect()
}
