#!/usr/bin/env python3
"""Holds the parts of fused tensors in a run.json against what transformers' own code makes of the same model.

    python tests/validation/fused_layouts.py make MODELS
    for model in MODELS/*; do kurtoscope analyze $model --out $model/run; done
    python tests/validation/fused_layouts.py check MODELS

`make` writes small models of random weights. Which output of a fused layer is a query, a key or a value is found by
letting the layer put out the numbers of its outputs and looking at what reaches the attention, at a position that rotary
embeddings leave alone; which is a gate, by what reaches the activation. `check` then compares each view's minimum, maximum, mean,
variance and kurtosis, and the place of its farthest weight, with the rows that were found. Needs `pip install torch
transformers safetensors numpy`.
"""

import json
import pathlib
import sys

import numpy
import torch
import transformers
from safetensors.torch import load_file, save_file

HEADS, SHARED, WIDTH, INNER = 4, 2, 64, 96
SIZES = dict(hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=1, num_attention_heads=HEADS, vocab_size=64)
PADS = dict(pad_token_id=0, bos_token_id=0, eos_token_id=0)
GROUPED = dict(SIZES, num_key_value_heads=SHARED)
EXPERTS = dict(GROUPED, head_dim=16, num_experts_per_tok=1)
GPT = dict(n_embd=WIDTH, n_head=HEADS, n_layer=1, vocab_size=64)
MODELS = {
    "phi3": ("Phi3", dict(GROUPED, **PADS)),
    "gpt_neox": ("GPTNeoX", SIZES),
    "gpt2": ("GPT2", GPT),
    "gpt_bigcode": ("GPTBigCode", dict(GPT, multi_query=True)),
    "falcon_multi_query": ("Falcon", dict(SIZES, multi_query=True)),
    "falcon_new": ("Falcon", dict(SIZES, new_decoder_architecture=True, num_kv_heads=SHARED)),
    "falcon_heads": ("Falcon", dict(SIZES, multi_query=False, alibi=False)),
    "codegen": ("CodeGen", dict(GPT, rotary_dim=8)),
    "persimmon": ("Persimmon", dict(SIZES, qk_layernorm=False)),
    "modernbert": ("ModernBert", dict(SIZES, **PADS, cls_token_id=0, sep_token_id=0)),
    "glm4": ("Glm4", dict(GROUPED, head_dim=16, **PADS)),
    "granitemoe": ("GraniteMoe", dict(GROUPED, num_local_experts=3, num_experts_per_tok=1)),
    "gpt_oss": ("GptOss", dict(EXPERTS, num_local_experts=3, **PADS)),
    "qwen3_moe": (
        "Qwen3Moe",
        dict(EXPERTS, num_experts=3, moe_intermediate_size=INNER, decoder_sparse_step=1, mlp_only_layers=[]),
    ),
    "mixtral": ("Mixtral", dict(GROUPED, num_local_experts=3, num_experts_per_tok=1)),
    "llama4": (
        "Llama4Text",
        dict(EXPERTS, num_local_experts=3, intermediate_size_mlp=INNER, moe_layers=[0], pad_token_id=0),
    ),
}
QKV = ("qkv_proj", "query_key_value", "c_attn", "Wqkv")


def build(name):
    family, sizes = MODELS[name]
    config = getattr(transformers, family + "Config")(**sizes)
    model = getattr(transformers, family.removesuffix("Text") + ("TextModel" if family.endswith("Text") else "Model"))
    torch.manual_seed(1)
    attention = "sdpa" if name.startswith("falcon") else "eager"
    model = model._from_config(config, attn_implementation=attention).float().eval()
    # Some experts are left as the memory was.
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.randn(parameter.shape) * (1 + number % 5))
    return model, config


def make(folder):
    for name in MODELS:
        model, config = build(name)
        (folder / name).mkdir(parents=True, exist_ok=True)
        state = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
        save_file(state, folder / name / "model.safetensors")
        (folder / name / "config.json").write_text(json.dumps(config.to_dict(), default=str))


class Labels(torch.nn.Module):
    """Puts out the numbers of its outputs, whatever comes in."""

    def __init__(self, outputs):
        super().__init__()
        self.labels = torch.arange(outputs, dtype=torch.float32)

    def forward(self, hidden):
        return self.labels.expand(*hidden.shape[:-1], -1)


def attention_orders(name):
    """For each fused layer: its weight's name, and the outputs that are queries, keys and values."""
    model, _ = build(name)
    layers = [(key, module) for key, module in model.named_modules() if key.rsplit(".", 1)[-1] in QKV]
    if not layers:
        return
    (key, layer), = layers
    is_conv = type(layer).__name__ == "Conv1D"
    outputs = layer.weight.shape[1 if is_conv else 0]
    parent = model.get_submodule(key.rsplit(".", 1)[0])
    setattr(parent, key.rsplit(".", 1)[-1], Labels(outputs))
    seen = []

    def stop(*arguments, **named):
        found = [named.get(word, argument) for word, argument in zip(("query", "key", "value"), arguments[-3:])]
        seen.append(found)
        raise StopIteration

    module = sys.modules[type(parent).__module__]
    patched = torch.nn.functional.scaled_dot_product_attention
    torch.nn.functional.scaled_dot_product_attention = lambda q, k, v, *rest, **named: stop(q, k, v)
    if hasattr(module, "eager_attention_forward"):
        module.eager_attention_forward = lambda attention, q, k, v, *rest, **named: stop(q, k, v)
    if hasattr(parent, "_attn"):
        parent._attn = lambda q, k, v, *rest, **named: stop(q, k, v)
    try:
        model(input_ids=torch.zeros(1, 1, dtype=torch.long))
    except (StopIteration, RuntimeError):
        pass
    finally:
        torch.nn.functional.scaled_dot_product_attention = patched
    parts = {}
    for part, labels in zip("qkv", seen[0]):
        labels = labels.detach().reshape(-1).round().long().tolist()
        # Keys that heads share may come once for each of them.
        parts[f"[{part}]"] = list(dict.fromkeys(labels))
    assert sorted(sum(parts.values(), [])) == list(range(outputs)), (name, parts)
    yield key + ".weight", is_conv, parts


def gate_orders(name):
    """For each layer of gate and up: its weight's name, its outputs' axis, the outputs that are gates, and the others."""
    model, _ = build(name)
    for key, module in model.named_modules():
        experts = getattr(module, "gate_up_proj", None)
        if isinstance(experts, torch.nn.Parameter):
            outputs, axis = 2 * INNER, list(experts.shape[1:]).index(2 * INNER)
            yield f"{key}.gate_up_proj", axis, by_probing(module, outputs)
            continue
        for layer in ("gate_up_proj", "Wi", "input_linear"):
            linear = getattr(module, layer, None)
            if linear is not None and not isinstance(linear, torch.nn.Parameter):
                axis = 0
                yield f"{key}.{layer}.weight", axis, by_activation(module)


def by_activation(module):
    name = next(name for name in ("activation_fn", "act_fn", "act", "activation") if hasattr(module, name))
    layer = next(name for name in ("gate_up_proj", "Wi", "input_linear") if hasattr(module, name))
    outputs = 2 * INNER
    delattr(module, layer)
    if layer == "input_linear":
        labels = Labels(outputs)
        setattr(module, layer, lambda hidden, sizes=None: labels(hidden))
    else:
        setattr(module, layer, Labels(outputs))
    seen = []

    class Seen(torch.nn.Module):
        def forward(self, gate):
            seen.append(gate.reshape(-1, INNER)[0])
            return gate

    delattr(module, name)
    setattr(module, name, Seen())
    module(torch.zeros(1, 1, WIDTH))
    gate = seen[0].round().long().tolist()
    return {"[gate]": gate, "[up]": [output for output in range(outputs) if output not in set(gate)]}


def by_probing(module, outputs):
    """Outputs at a time are doubled: what then doubles, or halves the distance to twice, is not the gate, which passes
    through the activation."""
    if hasattr(module, "_apply_gate"):
        combine = module._apply_gate
    else:
        def combine(both):
            gate, up = both.chunk(2, dim=-1)  # the code that each of these classes has in `forward`
            return module.act_fn(gate) * up
    still = combine(torch.ones(1, outputs))[0]
    gate, up = {}, {}
    for output in range(outputs):
        probe = torch.ones(1, outputs)
        probe[0, output] = 2
        ratio = combine(probe)[0] / still
        place = int((ratio - 1).abs().argmax())
        linear = min(abs(float(ratio[place]) - 2), abs(float(ratio[place]) - 1.5)) < 1e-4
        (up if linear else gate)[place] = output
    return {"[gate]": [gate[place] for place in sorted(gate)], "[up]": [up[place] for place in sorted(up)]}


def compare(record, part):
    part = part.astype(numpy.float64)
    spread = part - part.mean()
    variance = (spread**2).mean()
    kurtosis = (spread**4).mean() / variance**2
    for key, expected in [("min", part.min()), ("max", part.max()), ("variance", variance), ("kurtosis", kurtosis)]:
        assert abs(record[key] - expected) <= 1e-9 * abs(expected), (record["name"], key, record[key], expected)
    assert record["shape"] == list(part.shape), (record["name"], record["shape"], part.shape)
    top = record["top"][0]
    assert part[tuple(top["index"])] == top["value"], (record["name"], top)
    assert abs(spread).max() == abs(spread[tuple(top["index"])]), (record["name"], top)


def check(folder):
    for name in MODELS:
        run = json.loads((folder / name / "run" / "run.json").read_text())
        records = {record["name"]: record for record in run["tensors"]}
        state = load_file(folder / name / "model.safetensors")
        checked = 0
        orders = [(key, 1 if is_conv else 0, parts) for key, is_conv, parts in attention_orders(name)]
        for key, axis, parts in orders + list(gate_orders(name)):
            weight = state[key].numpy()
            experts = enumerate(weight) if weight.ndim == 3 else [(None, weight)]
            for number, matrix in experts:
                for label, outputs in parts.items():
                    record = records[f"{key}{'' if number is None else f'[{number}]'}{label}"]
                    compare(record, matrix.take(outputs, axis=axis))
                    checked += 1
        views = sum(record["role"] == "view" and record["component"] != "bias" for record in run["tensors"])
        print(f"{name:20} {checked} parts equal, of {views} views of weights")
        assert checked > 0, name


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))
