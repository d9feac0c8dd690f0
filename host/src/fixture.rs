//! Hand-made runs for tests: a clean one, and one with everything that a report must not get wrong.

use std::collections::BTreeMap;

use crate::record::{
    Adapter, Device, DeviceShare, Model, Outlier, QuantizationError, Role, Run, SCHEMA, SelfTest, Stored, Tensor, Tool,
    Unmeasured, WithoutTop,
};
use kurtoscope_checkpoint::model::{Component, Family};

/// One trusted device, a real model of three plain tensors.
pub fn clean() -> Run {
    let device = local();
    Run {
        schema: SCHEMA,
        tool: Tool { name: "kurtoscope".into(), version: "0.1.0".into() },
        model: Model {
            source: "models/tiny-gpt2".into(),
            revision: None,
            format: "safetensors".into(),
            family: Family::Gpt2,
            config: Some(serde_json::json!({ "model_type": "gpt2", "attn_pdrop": 0.1 })),
            parameters: 2_360_064,
            fingerprint: "6f1c0a9be0b14e2d8f5a7c3311d0e942".into(),
            synthetic: false,
        },
        devices: vec![share(device.clone(), 12, 9_440_256)],
        device,
        started: "2026-01-03T12:00:00Z".into(),
        seconds: 0.048,
        bytes: 9_440_256,
        resumed_bytes: 0,
        tensors: vec![
            matrix("h.0.attn.c_proj.weight", Component::AttentionOutput, Some(0), 3.4),
            matrix("h.0.mlp.c_fc.weight", Component::MlpUp, Some(0), 3.1),
            vector("h.0.ln_1.weight", Component::Norm, Some(0), 5.2),
        ],
        unmeasured: vec![],
        remarks: vec![],
        missing_statistics: vec![],
    }
}

/// Synthetic data, two devices of which one failed its self-test, fused, tied, constant and unmeasured tensors, and
/// names that no one should print as they are.
pub fn full() -> Run {
    let mut board = local();
    board.url = "serial:/dev/serial/by-id/usb-Raspberry_Pi_Pico_2_E6614C311B-if00?baud=921600".into();
    board.board = "Raspberry Pi 5 | bench".into();
    board.engine = "gpu".into();
    board.adapter = Some(Adapter { name: "V3D 7.1.7".into(), backend: "vulkan".into(), kind: "integrated".into() });
    board.self_test = SelfTest { passed: false, max_relative_error: None, tolerance: Some(1e-6) };
    let mut second = share(board.clone(), 3, 1_048_576);
    (second.resent, second.damaged, second.dropped, second.reconnects) = (2, 1, 3, 1);
    let mut run = clean();
    run.device = board;
    run.devices = vec![second, share(local(), 121, 249_430_016)];
    run.model.source = "facebook/opt-125m".into();
    run.model.family = Family::Opt;
    run.model.parameters = 125_239_296;
    run.model.synthetic = true;
    (run.bytes, run.seconds) = (250_478_592, 1.4249);
    (run.resumed_bytes, run.devices[1].resumed_bytes) = (120_000_000, 120_000_000);
    run.tensors = tensors();
    run.unmeasured = vec![
        unmeasured("model.decoder.lookup", "i64", "Integers of 64 bits are no weights that Kurtoscope knows."),
        unmeasured("packed|`codes`\u{1b}[31m", "u8", "The type is packed; its layout is not stated in the file."),
    ];
    run
}

/// Two text layers beside three layers of a vision tower, which has the heaviest matrix.
pub fn two_towers() -> Run {
    let mut run = clean();
    run.model.source = "models/tiny-vision-language".into();
    run.model.family = Family::Llama;
    let text = [(0, 3.2), (1, 5.5)].map(|(layer, kurtosis)| {
        let name = format!("language_model.layers.{layer}.mlp.up_proj.weight");
        matrix(&name, Component::MlpUp, Some(layer), kurtosis)
    });
    let vision = [(0, 4.1), (1, 77.0), (2, 3.6)].map(|(layer, kurtosis)| {
        let name = format!("vision_tower.encoder.layers.{layer}.mlp.fc1.weight");
        Tensor { tower: Some("vision".into()), ..matrix(&name, Component::MlpUp, Some(layer), kurtosis) }
    });
    run.tensors = text.into_iter().chain(vision).collect();
    run
}

/// Two matrices of a LoRA adapter, one of which is all zeros, as it is before training.
pub fn adapter() -> Run {
    let mut run = clean();
    run.model.source = "models/tiny-adapter".into();
    run.model.family = Family::Unknown;
    run.model.config = Some(serde_json::json!({"peft_type": "LORA", "base_model_name_or_path": "some/model"}));
    let name = |part: &str| format!("base_model.model.model.layers.0.self_attn.q_proj.{part}.weight");
    let zeros = Tensor { kurtosis: None, ..matrix(&name("lora_B"), Component::Adapter, Some(0), 1.0) };
    run.tensors = vec![matrix(&name("lora_A"), Component::Adapter, Some(0), 3.1), zeros];
    run
}

/// A model of three matrices, two of which are stored as GPTQ's words and one in another scheme, with their scales.
pub fn quantized() -> Run {
    let mut run = clean();
    run.model.source = "models/tiny-llama-gptq".into();
    run.model.family = Family::Unknown;
    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    run.tensors = vec![
        matrix(&layer("mlp.down_proj"), Component::MlpDown, Some(0), 3.1),
        matrix(&layer("mlp.up_proj"), Component::MlpUp, Some(0), 3.4),
        matrix(&layer("self_attn.o_proj"), Component::AttentionOutput, Some(0), 448.8),
        vector(&layer("input_layernorm"), Component::Norm, Some(0), 5.2),
    ];
    for (tensor, stored) in
        run.tensors.iter_mut().zip([("fp8", 8, None), ("gptq", 4, Some(128)), ("gptq", 4, Some(128))])
    {
        let (scheme, bits, group) = stored;
        tensor.dtype = format!("{scheme} {bits} bits");
        tensor.stored = Some(Stored { scheme: scheme.into(), bits, group, assumed: None });
    }
    let scales = ["mlp.down_proj.weight_scale", "mlp.up_proj.scales", "self_attn.o_proj.scales"];
    run.tensors.extend(scales.map(|name| description(&format!("model.layers.0.{name}"))));
    run
}

/// A tensor that describes quantized weights: nothing of it is measured.
fn description(name: &str) -> Tensor {
    Tensor {
        role: Role::Quantization,
        shape: vec![6, 768],
        count: 0,
        mean: None,
        variance: None,
        skewness: None,
        kurtosis: None,
        excess_kurtosis: None,
        min: None,
        max: None,
        zeros: 0,
        top: vec![],
        kurtosis_without_top: WithoutTop::default(),
        quantiles: BTreeMap::new(),
        quantization: BTreeMap::new(),
        ..matrix(name, Component::Other, Some(0), 3.0)
    }
}

fn tensors() -> Vec<Tensor> {
    let layer = |layer: u32, name: &str| format!("model.decoder.layers.{layer}.{name}");
    let mut embedding = matrix("model.decoder.embed_tokens.weight", Component::Embedding, None, 4.2);
    embedding.shape = vec![50_272, 768];
    let mut head = matrix("lm_head.weight", Component::Head, None, 4.2);
    (head.role, head.of, head.shape) = (Role::Tied, Some(embedding.name.clone()), embedding.shape.clone());
    let mut mask = matrix(&layer(0, "self_attn.mask"), Component::Other, Some(0), 900.0);
    (mask.role, mask.shape) = (Role::Buffer, vec![1, 1, 2048, 2048]);

    let mut outlier = matrix(&layer(1, "self_attn.out_proj.weight"), Component::AttentionOutput, Some(1), 562.3);
    outlier.kurtosis_without_top = WithoutTop { one: Some(3.12), four: Some(3.06), sixteen: Some(2.99) };
    outlier.top = vec![
        Outlier { index: vec![409, 12], value: -4.2149, z: Some(-135.23) },
        Outlier { index: vec![7, 700], value: 0.1502, z: Some(4.83) },
    ];
    outlier.quantization = errors(10.71, 0.17);
    let mut broad = matrix(&layer(0, "self_attn.out_proj.weight"), Component::AttentionOutput, Some(0), 12.48);
    broad.kurtosis_without_top = WithoutTop { one: Some(12.41), four: Some(12.29), sixteen: Some(11.9) };
    let mut unresolved = matrix(&layer(1, "fc2.weight"), Component::MlpDown, Some(1), 88.0);
    unresolved.kurtosis_without_top = WithoutTop::default();
    let mut constant = matrix("unused.weight", Component::Other, None, 0.0);
    (constant.kurtosis, constant.excess_kurtosis, constant.skewness) = (None, None, None);
    (constant.kurtosis_without_top, constant.variance) = (WithoutTop::default(), Some(0.0));
    constant.top.iter_mut().for_each(|outlier| outlier.z = None);
    constant.quantization = BTreeMap::from([(
        "int8_per_tensor".into(),
        QuantizationError { sqnr_db: None, relative_mse: None, predicted: true, share: None, clip: None },
    )]);
    let mut broken = matrix("experts|`odd`.重み.weight", Component::Other, None, 3.6);
    broken.non_finite = 12;
    let long = format!("{}.linear.weight", "encoder.block.submodule".repeat(5));

    let mut tensors = vec![embedding, head, mask];
    tensors.extend(fused(0, 6.0, [5.1, 31.4, 3.2]));
    tensors.extend(fused(1, 9.8, [3.3, 3.4, 2.9]));
    tensors.extend([
        broad,
        outlier,
        matrix(&layer(0, "fc1.weight"), Component::MlpUp, Some(0), 3.5),
        matrix(&layer(0, "fc2.weight"), Component::MlpDown, Some(0), 3.9),
        matrix(&layer(1, "fc1.weight"), Component::MlpUp, Some(1), 3.3),
        unresolved,
        vector(&layer(0, "final_layer_norm.weight"), Component::Norm, Some(0), 41.7),
        vector(&layer(1, "fc1.bias"), Component::Bias, Some(1), 7.7),
        constant,
        broken,
        matrix(&long, Component::Other, None, 2.4),
    ]);
    tensors
}

/// A fused weight with its parts behind it.
fn fused(layer: u32, kurtosis: f64, parts: [f64; 3]) -> Vec<Tensor> {
    let name = format!("model.decoder.layers.{layer}.self_attn.qkv.weight");
    let mut whole = matrix(&name, Component::AttentionQkv, Some(layer), kurtosis);
    whole.shape = vec![2304, 768];
    let components = [Component::AttentionQuery, Component::AttentionKey, Component::AttentionValue];
    let parts = ["q", "k", "v"].into_iter().zip(components).zip(parts).map(|((part, component), kurtosis)| {
        let mut view = matrix(&format!("{name}[{part}]"), component, Some(layer), kurtosis);
        (view.role, view.of) = (Role::View, Some(name.clone()));
        view
    });
    std::iter::once(whole.clone()).chain(parts).collect()
}

/// A 768x768 matrix with figures that go with its kurtosis, more or less.
fn matrix(name: &str, component: Component, layer: Option<u32>, kurtosis: f64) -> Tensor {
    let count = 768 * 768;
    let z = 4.0 + 2.0 * kurtosis.max(1.0).ln();
    Tensor {
        name: name.into(),
        shape: vec![768, 768],
        dtype: "f16".into(),
        component,
        layer,
        tower: None,
        role: Role::Parameter,
        of: None,
        path: None,
        output_axis: None,
        stored: None,
        count,
        mean: Some(-1.25e-5),
        variance: Some(0.000_971),
        skewness: Some(0.031),
        kurtosis: Some(kurtosis),
        excess_kurtosis: Some(kurtosis - 3.0),
        min: Some(-0.31),
        max: Some(0.0312 * z),
        non_finite: 0,
        zeros: 17,
        top: vec![Outlier { index: vec![12, 45], value: 0.0312 * z, z: Some(z) }],
        kurtosis_without_top: WithoutTop {
            one: Some(kurtosis * 0.99),
            four: Some(kurtosis * 0.98),
            sixteen: Some(kurtosis * 0.96),
        },
        quantiles: [("0.5", 0.021), ("0.9", 0.0513), ("0.99", 0.0803), ("0.999", 0.103), ("0.9999", 0.121)]
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
        // A heavy tail costs signal to noise; rounding to the nearest level never makes more noise than signal.
        concentration: None,
        column_errors: None,
        quantization: errors(
            (42.0 - 4.0 * kurtosis.max(1.0).ln()).max(0.1),
            (17.0 - 4.0 * kurtosis.max(1.0).ln()).max(0.1),
        ),
    }
}

fn vector(name: &str, component: Component, layer: Option<u32>, kurtosis: f64) -> Tensor {
    let mut tensor = matrix(name, component, layer, kurtosis);
    (tensor.shape, tensor.count) = (vec![768], 768);
    tensor.top.iter_mut().for_each(|outlier| outlier.index = vec![381]);
    tensor
}

fn errors(int8: f64, int4: f64) -> BTreeMap<String, QuantizationError> {
    let error = |decibels: f64| QuantizationError {
        sqnr_db: Some(decibels),
        relative_mse: Some(10f64.powf(-decibels / 10.0)),
        predicted: true,
        share: None,
        clip: None,
    };
    [("int8_per_tensor".to_owned(), error(int8)), ("int4_per_tensor".to_owned(), error(int4))].into()
}

fn unmeasured(name: &str, dtype: &str, reason: &str) -> Unmeasured {
    Unmeasured { name: name.into(), shape: vec![4, 4], dtype: dtype.into(), reason: reason.into() }
}

fn local() -> Device {
    Device {
        url: "local".into(),
        board: "host".into(),
        firmware: "0.1.0".into(),
        engine: "cpu".into(),
        adapter: None,
        self_test: SelfTest { passed: true, max_relative_error: Some(2.1e-13), tolerance: Some(1e-10) },
    }
}

fn share(device: Device, chunks: u64, bytes: u64) -> DeviceShare {
    let (resent, damaged, dropped, reconnects, sent_bytes) = (0, 0, 0, 0, 0);
    DeviceShare {
        device,
        chunks,
        bytes,
        resent,
        damaged,
        dropped,
        reconnects,
        sent_bytes,
        resumed_bytes: 0,
        seconds: 0.5,
    }
}
