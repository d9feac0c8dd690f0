//! What each input of an operator is to it, where a constant can stand there: data, one row an operator.
//!
//! Sources: the operators of ONNX (`docs/Operators.md`, opset 24) and of ONNX Runtime (`docs/ContribOperators.md`, 1.23).

use super::operation::Operation;

/// What an input is to its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Input {
    /// A shape, an index, an axis, a condition, a limit: no weight.
    Argument,
    /// An operand of arithmetic, which may be a parameter or a constant of a formula.
    Arithmetic,
    /// A table that was computed, not trained: the sines and cosines of rotary positions.
    Table,
    /// An operator that is not listed here reads it.
    Unknown,
    /// A vector of parameters: a gain, a bias, running statistics.
    Vector(&'static str),
    /// A matrix of which rows are looked up by their numbers.
    Lookup,
    /// A matrix or kernel that is multiplied with, by the dimension along which outputs run.
    Weight(Outputs),
    /// The matrices of query, key and value side by side.
    QueryKeyValue(Outputs),
}

/// The dimension along which outputs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outputs {
    /// This one.
    At(usize),
    /// The last.
    Last,
    /// The last but one: the operand on the left.
    BeforeLast,
    /// The first operand of `Gemm`: 0, or 1 where it is transposed.
    Left,
    /// The second operand of `Gemm` and its relatives: the last, or the last but one where it is transposed.
    Right,
}

use Input::{Lookup, QueryKeyValue, Table, Vector, Weight};
use Outputs::{At, BeforeLast, Last, Left, Right};

const GAIN: Input = Vector("weight");
const BIAS: Input = Vector("bias");

/// Operators that have parameters.
const PARAMETERS: &[(&str, &[(usize, Input)])] = &[
    ("MatMul", &[(0, Weight(BeforeLast)), (1, Weight(Last))]),
    ("FusedMatMul", &[(0, Weight(BeforeLast)), (1, Weight(Right))]),
    ("Gemm", &[(0, Weight(Left)), (1, Weight(Right)), (2, BIAS)]),
    ("Conv", &[(1, Weight(At(0))), (2, BIAS)]),
    ("FusedConv", &[(1, Weight(At(0))), (2, BIAS)]),
    ("ConvTranspose", &[(1, Weight(At(1))), (2, BIAS)]),
    ("DeformConv", &[(1, Weight(At(0))), (3, BIAS)]),
    ("Gather", &[(0, Lookup)]),
    ("LSTM", &[(1, Weight(At(1))), (2, Weight(At(1))), (3, BIAS), (7, Vector("peephole"))]),
    ("GRU", &[(1, Weight(At(1))), (2, Weight(At(1))), (3, BIAS)]),
    ("RNN", &[(1, Weight(At(1))), (2, Weight(At(1))), (3, BIAS)]),
    ("BatchNormalization", &[(1, GAIN), (2, BIAS), (3, Vector("running_mean")), (4, Vector("running_var"))]),
    ("InstanceNormalization", &[(1, GAIN), (2, BIAS)]),
    ("GroupNormalization", &[(1, GAIN), (2, BIAS)]),
    ("GroupNorm", &[(1, GAIN), (2, BIAS)]),
    ("LayerNormalization", &[(1, GAIN), (2, BIAS)]),
    ("RMSNormalization", &[(1, GAIN)]),
    ("SimplifiedLayerNormalization", &[(1, GAIN)]),
    ("SkipLayerNormalization", &[(2, GAIN), (3, BIAS), (4, BIAS)]),
    ("SkipSimplifiedLayerNormalization", &[(2, GAIN), (3, BIAS)]),
    ("EmbedLayerNormalization", &[(2, Lookup), (3, Lookup), (4, Lookup), (5, GAIN), (6, BIAS)]),
    ("BiasGelu", &[(1, BIAS)]),
    ("FastGelu", &[(1, BIAS)]),
    ("Attention", &[(1, QueryKeyValue(Last)), (2, BIAS)]),
    ("MultiHeadAttention", &[(3, BIAS)]),
    ("RotaryEmbedding", &[(1, Table), (2, Table), (3, Table)]),
    ("GroupQueryAttention", &[(7, Table), (8, Table)]),
    ("MatMulNBits", &[(1, Weight(At(0))), (5, BIAS)]),
    ("GatherBlockQuantized", &[(0, Lookup)]),
    ("QLinearConv", &[(3, Weight(At(0))), (8, BIAS)]),
    ("QLinearMatMul", &[(0, Weight(BeforeLast)), (3, Weight(Last))]),
    ("QGemm", &[(3, Weight(Right)), (6, BIAS)]),
    ("MatMulInteger", &[(0, Weight(BeforeLast)), (1, Weight(Last))]),
    ("MatMulIntegerToFloat", &[(0, Weight(BeforeLast)), (1, Weight(Last)), (6, BIAS)]),
    ("DynamicQuantizeMatMul", &[(1, Weight(Last)), (4, BIAS)]),
    ("ConvInteger", &[(1, Weight(At(0)))]),
    ("QAttention", &[(1, QueryKeyValue(Last)), (2, BIAS)]),
    ("DynamicQuantizeLSTM", &[(1, Weight(Last)), (2, Weight(Last)), (3, BIAS)]),
];

/// Operators that compute with their operands element by element.
const ARITHMETIC: &[&str] = &[
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Mod",
    "Min",
    "Max",
    "Sum",
    "Mean",
    "PRelu",
    "QLinearAdd",
    "QLinearMul",
    "Sqrt",
    "Reciprocal",
    "Neg",
    "Exp",
    "Sin",
    "Cos",
];

/// Operators that have no parameters: all of their inputs that are not passed on are arguments.
const ARGUMENTS: &[&str] = &[
    "Where",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "And",
    "Or",
    "Not",
    "Xor",
    "Range",
    "ConstantOfShape",
    "Concat",
    "ConcatFromSequence",
    "Slice",
    "Split",
    "Expand",
    "Tile",
    "Pad",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Shape",
    "Size",
    "Scatter",
    "ScatterND",
    "ScatterElements",
    "GatherND",
    "GatherElements",
    "OneHot",
    "TopK",
    "CumSum",
    "Trilu",
    "EyeLike",
    "NonZero",
    "Resize",
    "Upsample",
    "Clip",
    "ReduceSum",
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSumExp",
    "ArgMax",
    "ArgMin",
    "Softmax",
    "LogSoftmax",
    "If",
    "Loop",
    "Scan",
    "STFT",
    "DFT",
    "MelWeightMatrix",
    "Compress",
    "Unique",
    "IsNaN",
    "IsInf",
    "Dropout",
    "RandomNormalLike",
    "RandomUniformLike",
    "Bernoulli",
    "Identity",
    "Cast",
    "CastLike",
    "Transpose",
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
];

/// What the input at `position` is.
pub(super) fn input(operator: &str, position: usize) -> Input {
    if let Some((_, inputs)) = PARAMETERS.iter().find(|(name, _)| *name == operator) {
        // The rest of such an operator's inputs are indices, lengths and masks.
        return inputs.iter().find(|(at, _)| *at == position).map_or(Input::Argument, |&(_, input)| input);
    }
    if ARITHMETIC.contains(&operator) {
        Input::Arithmetic
    } else if ARGUMENTS.contains(&operator) {
        Input::Argument
    } else {
        Input::Unknown
    }
}

impl Outputs {
    /// The dimension, of `rank`.
    pub(super) fn dimension(self, operation: &Operation, rank: usize) -> Option<usize> {
        let [left, right] = operation.transposed;
        let from_end = |back: usize| rank.checked_sub(back);
        match self {
            At(axis) => Some(axis).filter(|&axis| axis < rank),
            Last => from_end(1),
            BeforeLast => from_end(2),
            Left => from_end(if left { 1 } else { 2 }),
            Right => from_end(if right { 2 } else { 1 }),
        }
    }
}

/// What becomes of a value that a node only passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passing {
    /// The same elements in the same dimensions, possibly rounded.
    Same,
    /// The same elements, the dimensions in another order.
    Transposed,
    /// The same elements in other dimensions, or some of them.
    Reshaped,
    /// Rows of it.
    Selected,
}

/// Whether the node passes on the value that it reads at `position`.
pub(super) fn passing(operator: &str, position: usize) -> Option<Passing> {
    Some(match (operator, position) {
        ("Identity" | "Cast" | "CastLike" | "QuantizeLinear" | "DequantizeLinear" | "Dropout", 0) => Passing::Same,
        ("Transpose", 0) => Passing::Transposed,
        ("Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Slice" | "Split" | "Expand" | "Tile" | "Pad", 0)
        | ("Concat", _) => Passing::Reshaped,
        ("Gather", 0) => Passing::Selected,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_operator_is_listed_twice() {
        let names: Vec<_> = PARAMETERS.iter().map(|(name, _)| name).chain(ARITHMETIC).chain(ARGUMENTS).collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name), "{name}");
        }
    }

    #[test]
    fn operands_by_position() {
        assert_eq!(input("MatMul", 1), Weight(Last));
        assert_eq!(input("Gather", 1), Input::Argument);
        assert_eq!(input("Conv", 3), Input::Argument);
        assert_eq!(input("Add", 0), Input::Arithmetic);
        assert_eq!(input("SomebodysOwn", 2), Input::Unknown);
        let gemm = Operation { transposed: [false, true], ..Operation::default() };
        assert_eq!((Right.dimension(&gemm, 2), Left.dimension(&gemm, 2)), (Some(0), Some(0)));
        assert_eq!(Last.dimension(&gemm, 0), None);
    }
}
