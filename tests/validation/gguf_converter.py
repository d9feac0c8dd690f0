#!/usr/bin/env python3
"""Holds the names of whole models against llama.cpp's converter itself, which renames, merges and splits before it looks names
up.

Small models of many kinds are made with transformers and converted (tensors only, no vocabulary); the names of the GGUF file's
tensors must be those that Kurtoscope gives to the checkpoint's:

    cargo build --release -p kurtoscope-host --example gguf_names
    python tests/validation/gguf_converter.py LLAMA_CPP target/release/examples/gguf_names

LLAMA_CPP is a checkout of llama.cpp, or the folder `vendor/llama.cpp` of the source package of llama-cpp-python. Needs torch and
transformers. A one-off: torch is several gigabytes. Fails where the names of a model differ, tensors that the converter makes
up aside.
"""

import logging
import pathlib
import subprocess
import sys
import tempfile

SMALL = dict(
    vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=64, head_dim=16, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)
EXPERTS = dict(num_experts=4, num_local_experts=4, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=32)
LATENT = dict(q_lora_rank=16, kv_lora_rank=16, qk_nope_head_dim=16, qk_rope_head_dim=16, v_head_dim=16, n_group=1, topk_group=1)
STACKED = EXPERTS | dict(n_group=1, topk_group=1, first_k_dense_replace=1)
GPT2 = dict(n_embd=64, n_layer=2, n_head=4, n_positions=64)
LINEAR = dict(
    linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=16, linear_value_head_dim=16, full_attention_interval=2,
    layer_types=["linear_attention", "full_attention"],
)
# Kinds of models, and what their configurations need besides.
MODELS = {
    "apertus": {}, "arcee": {}, "bert": {}, "bloom": dict(n_layer=2, n_head=4), "cohere": {}, "cohere2": {},
    "deepseek_v2": STACKED | LATENT, "deepseek_v3": STACKED | LATENT | dict(num_key_value_heads=4), "distilbert": dict(dim=64, n_layers=2, n_heads=4, hidden_dim=96),
    "dots1": STACKED | dict(n_shared_experts=1), "ernie4_5": {}, "ernie4_5_moe": EXPERTS | dict(moe_num_experts=4, moe_k=2),
    "exaone4": {}, "falcon": dict(multi_query=False), "falcon_mamba": dict(state_size=8), "gemma": {}, "gemma2": {}, "glm4": {}, "glm4_moe": STACKED,
    "gpt2": GPT2, "gpt_bigcode": GPT2, "gpt_neox": {}, "gpt_oss": EXPERTS, "granite": {}, "granitemoe": EXPERTS,
    "granitemoeshared": EXPERTS | dict(shared_intermediate_size=32), "hunyuan_v1_dense": {}, "hunyuan_v1_moe": EXPERTS | dict(moe_topk=2),
    "jamba": EXPERTS | dict(mamba_d_state=8, use_mamba_kernels=False), "lfm2": {}, "llama": {}, "mamba": dict(state_size=8),
    "mamba2": dict(num_heads=8, head_dim=16, expand=2, n_groups=1, state_size=8, intermediate_size=128), "minimax_m2": EXPERTS,
    "mistral": {}, "mixtral": EXPERTS, "nemotron": {}, "olmo": {}, "olmo2": {}, "olmoe": EXPERTS, "phi": dict(num_key_value_heads=4),
    "phi3": {}, "qwen2": {}, "qwen2_moe": EXPERTS | dict(shared_expert_intermediate_size=32), "qwen3": {}, "qwen3_moe": EXPERTS,
    "qwen3_next": EXPERTS | LINEAR | dict(shared_expert_intermediate_size=32), "seed_oss": {}, "smollm3": {}, "stablelm": {},
    "starcoder2": {}, "t5": dict(d_model=64, d_kv=16, d_ff=96, num_layers=2, num_heads=4),
}
# Keys that some configurations do not take.
WITHOUT = {"falcon": {"head_dim"}, "deepseek_v2": {"num_key_value_heads", "head_dim"}, "deepseek_v3": {"head_dim"}}


def made(model_type, changes, folder):
    """A model with random weights, saved as transformers saves it."""
    import transformers as t

    names = SMALL if model_type not in ("gpt2", "gpt_bigcode", "t5", "distilbert") else {"vocab_size": 64}
    names = {key: value for key, value in names.items() if key not in WITHOUT.get(model_type, ())}
    t.utils.logging.disable_progress_bar()
    config = t.AutoConfig.for_model(model_type, **(names | changes))
    kinds = [t.AutoModelForCausalLM, t.AutoModelForSeq2SeqLM, t.AutoModelForMaskedLM, t.AutoModel]
    if model_type in ("bert", "distilbert"):
        kinds = kinds[2:]
    for kind in kinds:
        if type(config) in kind._model_mapping.keys():
            kind.from_config(config).save_pretrained(folder)
            return
    raise ValueError("no class")


def converted(folder):
    """The names of the converter's tensors."""
    import gguf
    from conversion.base import ModelBase, ModelType, get_model_architecture
    from conversion import get_model_class

    hparams = ModelBase.load_hparams(folder, False)
    kind = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
    # transformers does not save the layers that predict further tokens.
    kind.no_mtp = getattr(kind, "supports_mtp_export", False)
    model = kind(folder, gguf.LlamaFileType.MOSTLY_F16, folder / "model.gguf", dry_run=True, hparams=hparams)
    model.prepare_tensors()
    return {name for shard in model.gguf_writer.tensors for name in shard}


def ours(program, folder):
    lines = subprocess.run([program, folder], capture_output=True, text=True, check=True).stdout.splitlines()
    answers = [line.split("\t") for line in lines]
    return {name for _, found in answers if not found.startswith("- ") for name in found.split()}, [
        name for name, found in answers if found.startswith("- ")
    ]


def main(llama_cpp, program):
    sys.path[:0] = [llama_cpp, str(pathlib.Path(llama_cpp) / "gguf-py")]
    logging.disable(logging.WARNING)
    compared = wrong = 0
    for model_type, changes in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            try:
                made(model_type, changes, folder)
                theirs = converted(folder)
            except Exception as error:
                print(f"{model_type:<20} not converted: {type(error).__name__}: {str(error)[:120]}")
                continue
            mine, without = ours(program, folder)
        # Rotary factors and scales come from the configuration, not from a tensor.
        theirs -= {name for name in theirs if name.split(".")[0].startswith("rope_")}
        compared += 1
        wrong += mine != theirs
        print(f"{model_type:<20} {len(theirs):>3} tensors{'' if mine == theirs else ' DIFFER'}; without a name: {without}")
        if mine != theirs:
            print(f"   only the converter's: {sorted(theirs - mine)}\n   only here: {sorted(mine - theirs)}")
    print(f"{compared} models, {wrong} differ")
    if wrong or not compared:
        sys.exit(1)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
