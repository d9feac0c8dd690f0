//! `nodes_to_exclude` for ONNX Runtime's quantizers, in Python.
//!
//! The quantizers know nodes by their names, a run knows the weights that nodes read. So the fragment holds the weights and
//! looks the nodes up in the model that is to be quantized. It lists those not found: exporters that transpose
//! a weight give it another name.

use super::python::literal;
use super::{Assignment, head};

/// The list and the look-up.
pub(super) fn render(assignment: &Assignment<'_>) -> String {
    let mut text = head(assignment);
    text += "# ONNX Runtime stores everything in one precision: what the plan stores in another is excluded, and stays as it is.\n";
    text += "import onnx\n\n# Weights of the nodes to exclude.\nWEIGHTS = frozenset([\n";
    for stored in assignment.stored.iter().filter(|stored| stored.precision != assignment.common) {
        text += &format!("    {},  # {}\n", literal(stored.name), stored.precision);
    }
    text += "])\n";
    text += LOOK_UP;
    text
}

const LOOK_UP: &str = r#"

def nodes_to_exclude(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes of the model that read one of the weights."""
    nodes = [node for node in model.graph.node if WEIGHTS.intersection(node.input)]
    missing = WEIGHTS.difference(*(node.input for node in nodes))
    if missing:
        print("not in this model under these names:", *sorted(missing), sep="\n  ")
    if not all(node.name for node in nodes):
        raise SystemExit("some of these nodes have no name; onnxruntime.transformers or onnxslim can give them names")
    return [node.name for node in nodes]


if __name__ == "__main__":
    import sys

    print("nodes_to_exclude =", nodes_to_exclude(onnx.load(sys.argv[1], load_external_data=False)))
    # quantize_dynamic(..., nodes_to_exclude=nodes_to_exclude), quantize_static(...) and
    # MatMulNBitsQuantizer(..., nodes_to_exclude=nodes_to_exclude) take the list.
"#;
