//! How packed weights and what goes with them are named: data, one row for each way.

use kurtoscope_shared::Element;

use super::component::StoredType;
use super::listing::Scheme;
use super::members::Role;

/// How codes and what goes with them are named.
pub(super) struct Rule {
    /// How the weights are stored.
    pub(super) scheme: Scheme,
    /// How names of codes end.
    pub(super) codes: &'static str,
    /// What stands there in the name of the weight.
    pub(super) weight: &'static str,
    /// Types of codes.
    pub(super) accepts: fn(&StoredType) -> bool,
    /// The other tensors: what stands in their names instead of `codes`.
    pub(super) members: &'static [(Role, &'static str)],
    /// Some member of these roles must exist, unless the configuration states one of `methods`; no roles: no condition.
    pub(super) when: &'static [Role],
    /// Methods of configurations that store weights so.
    pub(super) methods: &'static [&'static str],
}

const ANY: fn(&StoredType) -> bool = |_| true;

/// In this order; the first that fits decides.
pub(super) static RULES: &[Rule] = &[
    Rule {
        scheme: Scheme::Gptq,
        codes: ".qweight",
        weight: ".weight",
        accepts: ANY,
        members: &[(Role::Scales, ".scales"), (Role::Zeros, ".qzeros"), (Role::Groups, ".g_idx")],
        when: &[],
        methods: &[],
    },
    Rule {
        scheme: Scheme::CompressedTensors,
        codes: ".weight_packed",
        weight: ".weight",
        accepts: ANY,
        members: &[
            (Role::Scales, ".weight_scale"),
            (Role::Zeros, ".weight_zero_point"),
            (Role::Shape, ".weight_shape"),
            (Role::ScaleOver, ".weight_global_scale"),
            (Role::Groups, ".weight_g_idx"),
        ],
        when: &[],
        methods: &[],
    },
    Rule {
        scheme: Scheme::Hqq,
        codes: ".W_q",
        weight: ".weight",
        accepts: ANY,
        members: &[
            (Role::Scales, ".scale"),
            (Role::Zeros, ".zero"),
            (Role::Shape, ".shape"),
            (Role::Bits, ".nbits"),
            (Role::Group, ".group_size"),
            (Role::Axis, ".axis"),
            (Role::Extra, ".packing"),
            (Role::Extra, ".unpack_view_dtype"),
            (Role::Extra, ".view_as_float"),
            (Role::Extra, ".quant_scale"),
            (Role::Extra, ".quant_zero"),
            (Role::Extra, ".compute_dtype"),
            (Role::Extra, ".offload_meta"),
            (Role::Extra, ".encoded_state_dict"),
            (Role::Extra, ".stores_quant_config"),
            (Role::Extra, ".channel_wise"),
            (Role::Extra, ".optimize"),
            (Role::Extra, ".round_zero"),
        ],
        when: &[],
        methods: &[],
    },
    Rule {
        scheme: Scheme::Torchao,
        codes: "._weight_qdata",
        weight: ".weight",
        accepts: ANY,
        members: &[
            (Role::Scales, "._weight_scale"),
            (Role::Zeros, "._weight_zero_point"),
            (Role::Extra, "._weight_act_pre_scale"),
        ],
        when: &[],
        methods: &[],
    },
    Rule {
        scheme: Scheme::Mxfp4,
        codes: "_blocks",
        weight: "",
        accepts: |stored| stored.is(Element::U8),
        members: &[(Role::Scales, "_scales")],
        when: &[Role::Scales],
        methods: &["mxfp4"],
    },
    // gpt-oss as OpenAI publishes it.
    Rule {
        scheme: Scheme::Mxfp4,
        codes: ".blocks",
        weight: "",
        accepts: |stored| stored.is(Element::U8),
        members: &[(Role::Scales, ".scales")],
        when: &[Role::Scales],
        methods: &[],
    },
    Rule {
        scheme: Scheme::BitsAndBytes4,
        codes: "",
        weight: "",
        accepts: ANY,
        members: &[
            (Role::Scales, ".absmax"),
            (Role::State, ".quant_state.bitsandbytes__nf4"),
            (Role::State, ".quant_state.bitsandbytes__fp4"),
            (Role::Map, ".quant_map"),
            (Role::NestedScales, ".nested_absmax"),
            (Role::NestedMap, ".nested_quant_map"),
        ],
        when: &[Role::Scales, Role::State],
        methods: &[],
    },
    Rule {
        scheme: Scheme::BitsAndBytes8,
        codes: ".weight",
        weight: ".weight",
        accepts: |stored| stored.is(Element::I8),
        members: &[(Role::Scales, ".SCB"), (Role::Format, ".weight_format")],
        when: &[Role::Scales],
        methods: &["bitsandbytes"],
    },
    Rule {
        scheme: Scheme::Mlx,
        codes: ".weight",
        weight: ".weight",
        accepts: |stored| stored.is(Element::U32),
        members: &[(Role::Scales, ".scales"), (Role::Biases, ".biases")],
        when: &[Role::Scales],
        methods: &["mlx"],
    },
    Rule {
        scheme: Scheme::Nvfp4,
        codes: "",
        weight: "",
        accepts: |stored| stored.is(Element::U8) || *stored == StoredType::F4,
        // Stacked experts are parameters without a module; ModelOpt puts `weight` into the names of their scales.
        members: &[
            (Role::Scales, "_scale"),
            (Role::Scales, "_weight_scale"),
            (Role::ScaleTimes, "_scale_2"),
            (Role::ScaleTimes, "_weight_scale_2"),
        ],
        when: &[Role::Scales, Role::ScaleTimes],
        methods: &[],
    },
    Rule {
        scheme: Scheme::Fp8,
        codes: "",
        weight: "",
        accepts: StoredType::is_f8,
        members: &[
            (Role::Scales, "_scale_inv"),
            (Role::Scales, "_scale"),
            (Role::Scales, "_weight_scale"),
            (Role::Zeros, "_zero_point"),
        ],
        when: &[Role::Scales],
        methods: &[],
    },
    Rule {
        scheme: Scheme::Int8,
        codes: "",
        weight: "",
        accepts: |stored| stored.is(Element::I8),
        members: &[(Role::Scales, "_scale_inv"), (Role::Scales, "_scale"), (Role::Zeros, "_zero_point")],
        when: &[Role::Scales],
        methods: &["compressed-tensors"],
    },
    Rule {
        scheme: Scheme::Fp8,
        codes: ".weight",
        weight: ".weight",
        accepts: StoredType::is_f8,
        members: &[(Role::Scales, ".scale")],
        when: &[Role::Scales],
        methods: &["fp8", "fbgemm_fp8", "compressed-tensors", "modelopt"],
    },
    // ComfyUI's scaled fp8.
    Rule {
        scheme: Scheme::Fp8,
        codes: ".weight",
        weight: ".weight",
        accepts: StoredType::is_f8,
        members: &[(Role::Scales, ".scale_weight")],
        when: &[Role::Scales],
        methods: &[],
    },
    Rule {
        scheme: Scheme::Int8,
        codes: ".weight",
        weight: ".weight",
        accepts: |stored| stored.is(Element::I8),
        members: &[(Role::Scales, ".scale")],
        when: &[Role::Scales],
        methods: &[],
    },
];
