//! Groups the tensors of a checkpoint into packed weights, by names, types, shapes and the configuration.
//!
//! What belongs together is data: a row of [`RULES`] for each way to name it. Whether the
//! tensors of a weight agree is found out by its scheme, when it is opened.

use std::collections::{BTreeSet, HashMap};

use super::component::{Component, StoredType};
use super::fault::{PackedFault, Shape};
use super::members::{Members, Role};
use super::rules::{RULES, Rule, is_left_over, is_scale};
use super::settings::{Configuration, Settings, contradiction};
use super::{PackedTensor, awq, bitsandbytes, compressed_tensors, fp8, gptq, hqq, mlx, mxfp4, nvfp4, torchao, widths};

/// A tensor of the checkpoint.
#[derive(Debug, Clone)]
pub struct Listed<'a> {
    /// Its name.
    pub name: &'a str,
    /// The type of its elements.
    pub stored: StoredType,
    /// Its dimensions, outermost first.
    pub shape: &'a [u64],
}

/// A way to store weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// See [`gptq`].
    Gptq,
    /// See [`awq`].
    Awq,
    /// See [`compressed_tensors`].
    CompressedTensors,
    /// See [`bitsandbytes::open_4bit`].
    BitsAndBytes4,
    /// See [`bitsandbytes::open_int8`].
    BitsAndBytes8,
    /// See [`fp8`].
    Fp8,
    /// Bytes with scales beside them: integers, read as [`fp8`] is, or with E8M0 scales E2M1 codes.
    Int8,
    /// See [`mxfp4`].
    Mxfp4,
    /// See [`nvfp4`].
    Nvfp4,
    /// See [`mlx`].
    Mlx,
    /// See [`hqq`].
    Hqq,
    /// See [`torchao`].
    Torchao,
}

/// A weight whose codes and scales are tensors of the checkpoint.
#[derive(Debug, Clone)]
pub struct PackedWeight {
    /// Its name: `STEM.weight`, or the stem of stacked experts.
    pub name: String,
    /// How it is stored.
    pub scheme: Scheme,
    /// Its tensors, by their positions in the list; the codes come first.
    pub members: Vec<(Role, usize)>,
    /// What the configuration says about it.
    pub settings: Settings,
}

/// A tensor of integers that no scheme explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexplained {
    /// Its position in the list.
    pub tensor: usize,
    /// Why it is not measured, in one sentence.
    pub reason: String,
}

/// What the tensors of a checkpoint are, as far as quantization is concerned.
#[derive(Debug, Clone, Default)]
pub struct Recognition {
    /// The packed weights, in the order of their codes in the list.
    pub weights: Vec<PackedWeight>,
    /// Positions of tensors that are scales, zero points and the like, in order.
    pub quantization: Vec<usize>,
    /// Tensors of integers that nothing explains. Buffers are among them where they are integers (`position_ids`):
    /// names tell those, which is not done here.
    pub unexplained: Vec<Unexplained>,
}

/// The longest dimension that is computed with, so that no product of a few of them overflows.
const LONGEST: u64 = 1 << 40;

/// Groups tensors into packed weights; `configuration` is that of the checkpoint's config.json, empty without one.
pub fn recognize(listed: &[Listed], configuration: &Configuration) -> Recognition {
    let places: HashMap<&str, usize> = listed.iter().enumerate().map(|(at, tensor)| (tensor.name, at)).collect();
    let mut recognition = Recognition::default();
    let mut claimed = vec![false; listed.len()];
    for rule in RULES {
        for (at, tensor) in listed.iter().enumerate() {
            if claimed[at] || !(rule.accepts)(&tensor.stored) || is_left_over(tensor.name) {
                continue;
            }
            let Some(weight) = packed(rule, at, tensor, &places, configuration) else { continue };
            for &(_, member) in &weight.members {
                claimed[member] = true;
            }
            recognition.quantization.extend(weight.members.iter().skip(1).map(|&(_, member)| member));
            recognition.weights.push(weight);
        }
    }
    for weight in &mut recognition.weights {
        tell_apart(weight, listed);
    }
    settle_widths(&mut recognition.weights, listed);
    sort_out_the_rest(&mut recognition, listed, &claimed, configuration);
    recognition.weights.sort_by_key(|weight| weight.members[0].1);
    recognition.quantization.sort_unstable();
    recognition
}

/// What the tensors are that belong to no packed weight.
fn sort_out_the_rest(
    recognition: &mut Recognition,
    listed: &[Listed],
    claimed: &[bool],
    configuration: &Configuration,
) {
    let quantized = !recognition.weights.is_empty() || configuration.is_stated();
    let codes = |tensor: &&Listed| tensor.stored.is_integer() && tensor.shape.len() > 1;
    let free = || listed.iter().enumerate().filter(|&(at, _)| !claimed[at]);
    let unknown: BTreeSet<&str> =
        free().map(|(_, tensor)| tensor).filter(codes).map(|tensor| module(tensor.name)).collect();
    for (at, tensor) in free() {
        let beside_codes = || is_scale(tensor.name) && unknown.contains(module(tensor.name));
        if !tensor.stored.is_integer() && beside_codes() || quantized && is_left_over(tensor.name) {
            recognition.quantization.push(at);
        } else if tensor.stored.is_integer() {
            let shape = Shape(tensor.shape.to_vec());
            let reason = format!("packed codes of {}: no known scheme explains {} {shape}", tensor.name, tensor.stored);
            recognition.unexplained.push(Unexplained { tensor: at, reason });
        }
    }
}

/// A name without its last part.
fn module(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(module, _)| module)
}

/// The weight whose codes this tensor is by this rule.
fn packed(
    rule: &Rule,
    at: usize,
    tensor: &Listed,
    places: &HashMap<&str, usize>,
    configuration: &Configuration,
) -> Option<PackedWeight> {
    let stem = tensor.name.strip_suffix(rule.codes)?;
    let mut members = vec![(Role::Codes, at)];
    for &(role, end) in rule.members {
        if let Some(&place) = places.get(format!("{stem}{end}").as_str())
            && (role == Role::Extra || members.iter().all(|&(other, _)| other != role))
        {
            members.push((role, place));
        }
    }
    let name = format!("{stem}{}", rule.weight);
    let settings = configuration.of(&name);
    let found = |role: &Role| members.iter().any(|(other, _)| other == role);
    let stated = settings.method.as_deref().is_some_and(|method| rule.methods.contains(&method));
    let named = rule.when.is_empty() || rule.when.iter().any(found);
    let expected = stated && tensor.shape.len() > 1 && !configuration.leaves_out(&name);
    (named || expected).then_some(PackedWeight { name, scheme: rule.scheme, members, settings })
}

/// AWQ has the names of GPTQ; its words are along the outputs, of which scales have one each.
fn tell_apart(weight: &mut PackedWeight, listed: &[Listed]) {
    if weight.scheme != Scheme::Gptq {
        return;
    }
    let last = |role| {
        let member = weight.members.iter().find(|(found, _)| *found == role);
        member.and_then(|&(_, at)| listed[at].shape.last().copied())
    };
    let awq = match (last(Role::Codes), last(Role::Scales)) {
        (Some(words), Some(outputs)) => words != outputs && words.saturating_mul(8) == outputs,
        _ => weight.settings.method.as_deref() == Some("awq"),
    };
    if awq {
        weight.scheme = Scheme::Awq;
    }
}

/// Gives MLX's weights the bits and group that all agree on, where nothing states them.
fn settle_widths(weights: &mut [PackedWeight], listed: &[Listed]) {
    let open = |weight: &&mut PackedWeight| weight.scheme == Scheme::Mlx && weight.settings.bits.is_none();
    let row = |weight: &PackedWeight, role| {
        let member = weight.members.iter().find(|(found, _)| *found == role);
        member.and_then(|&(_, at)| listed[at].shape.last().copied())
    };
    let affine = |weight: &PackedWeight| weight.members.iter().any(|(role, _)| *role == Role::Biases);
    let mut unsettled: Vec<_> = weights.iter_mut().filter(open).filter(|weight| affine(weight)).collect();
    let rows: Option<Vec<_>> =
        unsettled.iter().map(|weight| row(weight, Role::Codes).zip(row(weight, Role::Scales))).collect();
    let matrices = listed.iter().filter(|tensor| tensor.shape.len() > 1);
    let mut lengths: BTreeSet<u64> = matrices.filter_map(|tensor| tensor.shape.iter().rev().nth(1).copied()).collect();
    let vectors = listed.iter().filter(|tensor| tensor.shape.len() == 1 && tensor.stored.is_wide_float());
    lengths.extend(vectors.map(|tensor| tensor.shape[0]));
    if let Some((bits, group)) = rows.and_then(|rows| widths::agreed(&rows, &lengths)) {
        for weight in &mut unsettled {
            (weight.settings.bits, weight.settings.group) = (Some(bits), Some(group));
        }
    }
}

impl PackedWeight {
    /// Opens the weight; `component` gives the tensor at a position of the list that was recognized.
    ///
    /// Reads only what describes it: shapes, group numbers, maps of codes, a description.
    ///
    /// # Errors
    ///
    /// If tensors are missing or do not go together, or contradict the configuration. The weight is not measured then.
    pub fn open(&self, component: impl FnMut(usize) -> Component) -> Result<PackedTensor, PackedFault> {
        let mut component = component;
        let list: Vec<_> = self.members.iter().map(|&(role, at)| (role, component(at))).collect();
        let huge = |component: &Component| component.shape.iter().any(|&dimension| dimension > LONGEST);
        if let Some((_, huge)) = list.iter().find(|(_, component)| huge(component)) {
            return Err(huge.wrong_shape(&[LONGEST]));
        }
        let members = Members::new(self.name.clone(), list);
        self.check_method()?;
        let settings = &self.settings;
        match self.scheme {
            Scheme::Gptq => gptq::open(&members, settings),
            Scheme::Awq => awq::open(&members, settings),
            Scheme::CompressedTensors => compressed_tensors::open(&members, settings),
            Scheme::BitsAndBytes4 => bitsandbytes::open_4bit(&members, settings),
            Scheme::BitsAndBytes8 => bitsandbytes::open_int8(&members),
            Scheme::Fp8 => fp8::open(&members, settings, "fp8"),
            Scheme::Int8 => match members.get(Role::Scales) {
                Some(scales) if nvfp4::is_e8m0(scales) => nvfp4::open(&members),
                _ => fp8::open(&members, settings, "int8"),
            },
            Scheme::Mxfp4 => mxfp4::open(&members),
            Scheme::Nvfp4 => nvfp4::open(&members),
            Scheme::Mlx => mlx::open(&members, settings),
            Scheme::Hqq => hqq::open(&members, settings),
            Scheme::Torchao => torchao::open(&members, settings),
        }
    }

    /// Refuses AWQ's words under the name of GPTQ, and the other way round.
    fn check_method(&self) -> Result<(), PackedFault> {
        let found = match self.scheme {
            Scheme::Gptq => "gptq",
            Scheme::Awq => "awq",
            _ => return Ok(()),
        };
        match self.settings.method.as_deref() {
            Some(stated @ ("gptq" | "awq")) if stated != found => {
                Err(contradiction(&self.name, "quant_method", stated, found))
            }
            _ => Ok(()),
        }
    }
}
