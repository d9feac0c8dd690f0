//! The module of the model that a node was made from, as exporters note it, and which names of initializers were made up
//! by exporters and quantizers.

use super::proto::Node;

/// How names end that ONNX Runtime's and Optimum's tools derive from the name of a weight.
const DERIVED: &[&str] = &["_quantized", "_transposed", "_merged_0", "_DQ", "_fp16"];

/// How names begin that exporters make up, in front of a number.
const GENERATED: &[&str] =
    &["val_", "_val_", "const_", "Constant_", "_tensor_constant", "lifted_tensor_", "_to_copy_", "tensor_", "_v_"];

/// Last parts of the names that parameters have in frameworks.
const LEAVES: &[&str] = &["weight", "bias", "kernel", "embedding", "gamma", "beta", "qweight", "in_proj_weight"];

/// The module that a node was made from: by its own name, by what PyTorch's exporter of `torch.export` programs adds to
/// nodes, or by the value that it makes, whose name optimizers keep.
pub(super) fn of_node(node: &Node) -> Option<String> {
    let metadata = |key: &str| node.metadata.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    of_path(&node.name)
        .or_else(|| metadata("pkg.torch.onnx.name_scopes").and_then(of_scopes))
        .or_else(|| metadata("namespace").and_then(of_namespace))
        .or_else(|| of_path(node.outputs.first()?))
}

/// `/model/layers.0/self_attn/q_proj/MatMul`: modules, then the node's own name, then what optimizers add
/// (`MatMulAddFusion`).
fn of_path(name: &str) -> Option<String> {
    let (mut modules, _) = name.strip_prefix('/')?.rsplit_once('/')?;
    while let Some((outer, last)) = modules.rsplit_once('/')
        && is_operator(last.split('_').next().unwrap_or(last))
    {
        modules = outer;
    }
    Some(modules.replace('/', ".")).filter(|module| !module.is_empty() && !is_operator(module))
}

/// Whether a part of a path is the name of an operator that weights are read by.
fn is_operator(part: &str) -> bool {
    matches!(part, "MatMul" | "Add" | "Gemm" | "Gather" | "Conv")
}

/// `['', 'model', 'model.layers.0', 'linear']`: every module around the node, the last entry being the node.
fn of_scopes(scopes: &str) -> Option<String> {
    let mut quoted = scopes.split('\'').skip(1).step_by(2).collect::<Vec<_>>();
    quoted.pop();
    quoted.pop().filter(|module| !module.is_empty()).map(str::to_owned)
}

/// `: LM/model.layers.0: Block/linear: aten.linear.default`: the same, each with its class.
fn of_namespace(namespace: &str) -> Option<String> {
    let (modules, _) = namespace.rsplit_once('/')?;
    let (module, _) = modules.rsplit('/').next()?.split_once(": ")?;
    Some(module.trim_start_matches(": ")).filter(|module| !module.is_empty()).map(str::to_owned)
}

/// A name without the endings that quantizers and optimizers give it: `_quantized`, `_transposed`, `_Q4`, `_Q4G32`.
pub(crate) fn without_derivation(name: &str) -> &str {
    let mut name = name;
    loop {
        let shorter = DERIVED.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(without_bits(name));
        if shorter.len() == name.len() || shorter.is_empty() {
            return name;
        }
        name = shorter;
    }
}

/// A name without the ending `_Q4` or `_Q4G32`.
pub(super) fn without_bits(name: &str) -> &str {
    let Some((stem, end)) = name.rsplit_once("_Q") else { return name };
    let (bits, group) = end.split_once('G').unwrap_or((end, "0"));
    if is_number(bits) && is_number(group) { stem } else { name }
}

/// A name without what is put in front where a function is inlined into a branch: `If_0_else_branch__Inline_0__`.
fn without_inlining(name: &str) -> &str {
    let inlined = name.split_once("__Inline_").and_then(|(_, rest)| rest.split_once("__"));
    inlined.filter(|(number, _)| is_number(number)).map_or(name, |(_, rest)| rest)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether an exporter made this name up, so that it says nothing: `onnx::MatMul_208`, `val_2`, `207`,
/// `/model/Constant_output_0`.
pub(super) fn is_generated(name: &str) -> bool {
    let name = without_derivation(name);
    let is_numbered = |start: &str| name.strip_prefix(start).is_some_and(is_number);
    name.starts_with("onnx::")
        // What `torch.scalar_tensor` makes of a number in a formula.
        || name.starts_with("scalar_tensor_")
        || is_number(name)
        || GENERATED.iter().any(|start| is_numbered(start))
        || name.rsplit_once("_output_").is_some_and(|(_, number)| is_number(number))
}

/// The parameter's name in the model that an initializer's name is, possibly with what tools added: names of operators
/// as modules (`q_proj.MatMul.weight`) and endings. `None` for other names.
pub(super) fn parameter(name: &str) -> Option<String> {
    let name = without_inlining(without_derivation(name));
    let (modules, leaf) = name.rsplit_once('.')?;
    if is_generated(name) || !LEAVES.contains(&leaf) {
        return None;
    }
    let modules: Vec<_> = modules.split('.').filter(|part| !is_operator(part)).collect();
    let leaf = if leaf == "qweight" { "weight" } else { leaf };
    Some(format!("{}.{leaf}", modules.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::onnx::proto::StringEntry;

    #[test]
    fn modules_by_every_exporter() {
        let entry = |key: &str, value: &str| StringEntry { key: key.to_owned(), value: value.to_owned() };
        let node = |name: &str, output: &str, metadata: &[StringEntry]| {
            let (name, outputs) = (name.to_owned(), vec![output.to_owned()]);
            of_node(&Node { name, outputs, metadata: metadata.to_vec(), ..Node::default() })
        };
        let q_proj = Some("model.layers.0.self_attn.q_proj".to_owned());
        assert_eq!(node("/model/layers.0/self_attn/q_proj/MatMul_quant", "", &[]), q_proj);
        assert_eq!(node("/model/layers.0/self_attn/q_proj/MatMul/MatMulAddFusion", "", &[]), q_proj);
        assert_eq!(node("MatMul_3", "/model/layers.0/self_attn/q_proj/MatMul_output_0", &[]), q_proj);
        let scopes = "['', 'model', 'model.layers.0', 'model.layers.0.self_attn.q_proj', 'linear_4']";
        assert_eq!(node("node_linear_4", "", &[entry("pkg.torch.onnx.name_scopes", scopes)]), q_proj);
        let namespace =
            ": LM/model: Model/model.layers.0.self_attn.q_proj: torch.nn.Linear/linear: aten.linear.default";
        assert_eq!(node("node_linear_4", "", &[entry("namespace", namespace)]), q_proj);
        for (name, output) in [("MatMul_3", "5"), ("/MatMul", ""), ("/MatMul/MatMulAddFusion", ""), ("", "")] {
            assert_eq!(node(name, output, &[]), None, "{name}");
        }
        assert_eq!(node("", "", &[entry("namespace", ": LM/linear: aten.linear.default")]), None);
    }

    #[test]
    fn names_that_tools_made() {
        for name in [
            "onnx::MatMul_208",
            "onnx::MatMul_208_quantized",
            "val_2",
            "207",
            "/m/Constant_1_output_0",
            "9_Q4",
            "scalar_tensor_default",
        ] {
            assert!(is_generated(name), "{name}");
            assert_eq!(parameter(name), None, "{name}");
        }
        for name in ["logit_scale", "val_proj.weight", "a.weight_quantized", "shared", "h.7"] {
            assert!(!is_generated(name), "{name}");
        }
        for (name, expected) in [
            ("a.b.weight_transposed_Q4G32", "a.b.weight"),
            ("lm_head.MatMul.weight_Q4", "lm_head.weight"),
            ("a.q_proj.MatMul.qweight", "a.q_proj.weight"),
            ("a.q_proj.Add.bias", "a.q_proj.bias"),
            ("a.bias", "a.bias"),
            ("If_0_else_branch__Inline_0__encoder.0.conv.weight", "encoder.0.conv.weight"),
        ] {
            assert_eq!(parameter(name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(parameter("shared"), None);
    }
}
