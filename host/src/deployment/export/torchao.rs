//! Filters for torchao's `quantize_`, in Python: which linear module gets which configuration. ExecuTorch uses the same
//! function with configurations that quantize activations as well.

use std::collections::BTreeSet;

use super::python::literal;
use super::{Assignment, Tool, head};
use crate::deployment::precision::{Precision, Scale};

/// The configuration that stores weights so; `None` where the tool has none. torchao's whole numbers have a scale per channel
/// or group.
pub fn configuration(tool: Tool, precision: Precision) -> Option<String> {
    let Precision::Integer { bits, scale } = precision else { return None };
    let granularity = match scale {
        Scale::Tensor => return None,
        Scale::Channel => "PerAxis(0)".to_owned(),
        Scale::Group(size) => format!("PerGroup({})", size.inputs()),
    };
    Some(match tool {
        Tool::Executorch => format!(
            "Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int{bits}, weight_granularity={granularity})"
        ),
        _ => format!("IntxWeightOnlyConfig(weight_dtype=torch.int{bits}, granularity={granularity})"),
    })
}

/// The filters.
pub(super) fn render(tool: Tool, assignment: &Assignment<'_>) -> String {
    let class = match tool {
        Tool::Executorch => "Int8DynamicActivationIntxWeightConfig",
        _ => "IntxWeightOnlyConfig",
    };
    let mut text = head(assignment);
    text += &format!(
        "import torch\nfrom torchao.quantization import {class}, quantize_\nfrom torchao.quantization.granularity import \
         PerAxis, PerGroup\n\n"
    );
    text += "# How weights are stored; what has no configuration stays as it is.\nCONFIGURATIONS = {\n";
    let precisions: BTreeSet<Precision> = assignment.stored.iter().map(|stored| stored.precision).collect();
    for precision in precisions {
        if let Some(configuration) = configuration(tool, precision) {
            text += &format!("    \"{precision}\": {configuration},\n");
        }
    }
    text += "}\n\n# Linear modules by the names that the checkpoint has for them.\nMODULES = {\n";
    for stored in &assignment.stored {
        let module = stored.name.strip_suffix(".weight").unwrap_or(stored.name);
        text += &format!("    {}: \"{}\",\n", literal(module), stored.precision);
    }
    text += "}\n";
    text += FILTER;
    text
}

const FILTER: &str = r#"

def precision_of(fqn: str) -> str | None:
    """How the module is stored; a model may add a prefix to the checkpoint's names."""
    parts = fqn.split(".")
    return next((MODULES[name] for start in range(len(parts)) if (name := ".".join(parts[start:])) in MODULES), None)


def filter_for(precision: str):
    """A filter_fn for quantize_: the linear modules that are stored so."""
    return lambda module, fqn: isinstance(module, torch.nn.Linear) and precision_of(fqn) == precision


def quantize(model: torch.nn.Module) -> None:
    """Quantizes the model in place, as planned."""
    for precision, configuration in CONFIGURATIONS.items():
        quantize_(model, configuration, filter_fn=filter_for(precision))
"#;
