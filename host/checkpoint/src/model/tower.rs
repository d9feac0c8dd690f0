//! Tells the stacks of layers of one model apart: encoder and decoder, vision, audio, multi-token prediction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::path::Path;
use super::pattern::NAMES;

/// The two towers that are such only beside each other: a single stack may be called either.
const PAIR: [&str; 2] = ["encoder", "decoder"];

/// Parts of names that call a stack the language model of a model of several modalities.
const LANGUAGE: [&str; 5] = ["language_model", "text_model", "llm", "llm_backbone", "text_backbone"];

/// Which tower each stack of layers of one model is.
#[derive(Debug, Clone, Default)]
pub(super) struct Towers {
    /// Whether the model has both of [`PAIR`].
    has_pair: bool,
    /// Stacks that are not the one that their names say, by [`Path::stack`].
    others: HashMap<String, Arc<str>>,
    /// Layers that their modules put into a tower, by stack.
    marked: HashMap<String, HashMap<u32, &'static str>>,
}

impl Towers {
    /// The towers of a model with these tensors.
    ///
    /// A stack whose name says no tower is the model's own. Of several stacks with one tower, one that is called the language
    /// model has it, otherwise the one with the most tensors, and each of the others is a tower of its own, called by its path.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut stacks: Vec<Stack> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut towers = Self::default();
        for name in names {
            let path = Path::new(name);
            let Some(layer) = path.layer else { continue };
            let stack = path.stack();
            if let Some(tower) = path.module.iter().find_map(|part| NAMES.mark(part)) {
                towers.marked.entry(stack.clone()).or_default().insert(layer, tower);
            }
            let place = *places.entry(stack).or_insert_with_key(|stack| {
                let is_language = path.prefix.iter().any(|part| LANGUAGE.contains(part));
                stacks.push(Stack { name: stack.clone(), named: named(&path), is_language, tensors: 0 });
                stacks.len() - 1
            });
            stacks[place].tensors += 1;
        }
        towers.has_pair = PAIR.iter().all(|half| stacks.iter().any(|stack| stack.named == Some(half)));
        // The first of those with the most tensors stays in front.
        stacks.sort_by_key(|stack| std::cmp::Reverse((stack.is_language, stack.tensors)));
        let mut taken = HashSet::new();
        for stack in stacks {
            if !taken.insert(towers.counted(stack.named)) {
                towers.others.insert(stack.name.clone(), stack.name.into());
            }
        }
        towers
    }

    /// The tower of a tensor; `None` for the model's main or only stack and for what is outside all towers.
    pub(super) fn find(&self, path: &Path<'_>) -> Option<Arc<str>> {
        let named = || self.counted(named(path)).map(Arc::from);
        let Some(layer) = path.layer else { return named() };
        let stack = path.stack();
        if let Some(tower) = self.marked.get(&stack).and_then(|layers| layers.get(&layer)) {
            return Some(Arc::from(*tower));
        }
        self.others.get(&stack).cloned().or_else(named)
    }

    /// The tower that a name says, as far as the model has it.
    fn counted(&self, named: Option<&'static str>) -> Option<&'static str> {
        named.filter(|tower| self.has_pair || !PAIR.contains(tower))
    }
}

/// A list of layers.
struct Stack {
    name: String,
    named: Option<&'static str>,
    is_language: bool,
    tensors: usize,
}

/// The tower that a name alone says: the outermost, and encoder or decoder only where nothing else is said, as towers of
/// images and sound have encoders.
fn named(path: &Path<'_>) -> Option<&'static str> {
    // Outside the layers, the last part of a module's path is its own name; a parameter beside modules has its own behind that.
    let outer = match path.module.split_last() {
        Some((_, outer)) if matches!(path.leaf, "weight" | "weights" | "kernel" | "embedding" | "bias") => outer,
        _ => &path.module,
    };
    let parts = if path.layer.is_some() { &path.prefix[..] } else { outer };
    let list = path.layer.is_some().then_some(path.list);
    let towers = || {
        let parts = parts.iter().copied().chain(list).enumerate();
        parts.filter_map(|(place, part)| NAMES.tower(part, place == 0))
    };
    towers().find(|tower| !PAIR.contains(tower)).or_else(|| towers().next())
}

/// Whether the name alone says that a tensor belongs to a tower other than encoder or decoder.
pub(super) fn is_of_another_modality(path: &Path<'_>) -> bool {
    named(path).is_some_and(|tower| !PAIR.contains(&tower))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn towers<'a>(names: &[&'a str]) -> Vec<(&'a str, Option<String>)> {
        let towers = Towers::of(names.iter().copied());
        names.iter().map(|name| (*name, towers.find(&Path::new(name)).map(|tower| tower.to_string()))).collect()
    }

    #[track_caller]
    fn check(expected: &[(&str, &str)]) {
        let names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
        let expected: Vec<(&str, Option<String>)> =
            expected.iter().map(|(name, tower)| (*name, Some((*tower).to_owned()).filter(|t| t != "-"))).collect();
        assert_eq!(towers(&names), expected);
    }

    #[test]
    fn encoder_and_decoder_are_towers_beside_each_other_only() {
        check(&[
            ("shared.weight", "-"),
            ("encoder.block.0.layer.0.SelfAttention.q.weight", "encoder"),
            ("encoder.final_layer_norm.weight", "encoder"),
            ("decoder.block.0.layer.1.EncDecAttention.q.weight", "decoder"),
            ("lm_head.weight", "-"),
        ]);
        check(&[("model.decoder.layers.0.fc1.weight", "-"), ("model.decoder.embed_tokens.weight", "-")]);
        check(&[("bert.encoder.layer.0.output.dense.weight", "-"), ("cls.predictions.decoder.weight", "-")]);
        check(&[("enc.blk.0.attn_q.weight", "encoder"), ("dec.blk.0.attn_q.weight", "decoder")]);
    }

    #[test]
    fn the_language_model_is_the_main_stack_however_many_tensors_others_have() {
        check(&[
            ("eyes.featurizer.blocks.0.attn.qkv.weight", "eyes.featurizer.blocks"),
            ("eyes.featurizer.blocks.0.attn.proj.weight", "eyes.featurizer.blocks"),
            ("language_model.model.layers.0.self_attn.q_proj.weight", "-"),
        ]);
        check(&[
            ("vision_backbone.featurizer.blocks.0.attn.qkv.weight", "vision"),
            ("language_model.model.layers.0.self_attn.q_proj.weight", "-"),
        ]);
    }

    #[test]
    fn images_and_sound_have_encoders_of_their_own() {
        check(&[
            ("model.language_model.layers.0.self_attn.q_proj.weight", "-"),
            ("model.vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight", "vision"),
            ("model.vision_tower.vision_model.embeddings.patch_embedding.weight", "vision"),
            ("audio_tower.layers.0.self_attn.q_proj.weight", "audio"),
            ("language_model.model.decoder.layers.0.fc1.weight", "language_model.model.decoder.layers"),
            ("blk.0.attn_q.weight", "blk"),
            ("v.blk.0.attn_q.weight", "v.blk"),
        ]);
        check(&[("v.blk.0.attn_q.weight", "vision"), ("mm.0.weight", "-"), ("model.v.blk.0.x.weight", "-")]);
    }

    #[test]
    fn layers_of_multi_token_prediction_follow_the_others_in_their_list() {
        check(&[
            ("model.layers.0.self_attn.q_proj.weight", "-"),
            ("model.layers.1.self_attn.q_proj.weight", "multi_token_prediction"),
            ("model.layers.1.eh_proj.weight", "multi_token_prediction"),
            ("mtp.layers.0.self_attn.q_proj.weight", "multi_token_prediction"),
            ("mtp.fc.weight", "multi_token_prediction"),
        ]);
        check(&[("blk.0.attn_q.weight", "-"), ("blk.46.nextn.eh_proj.weight", "multi_token_prediction")]);
    }

    #[test]
    fn a_further_stack_is_called_by_its_path() {
        check(&[
            ("model.layers.0.self_attn.q_proj.weight", "-"),
            ("model.layers.1.self_attn.q_proj.weight", "-"),
            ("talker.model.layers.0.self_attn.q_proj.weight", "talker.model.layers"),
        ]);
    }
}
