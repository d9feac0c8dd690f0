//! Groups the tensors of a checkpoint into packed weights, by names, types, shapes and the configuration.
//!
//! What belongs together is data: a row of [`RULES`] for each way to name it. Whether the
//! tensors of a weight agree is found out by its scheme, when it is opened.

use std::collections::HashMap;

use super::component::Component;
use super::fault::PackedFault;
use super::listing::{Listed, PackedWeight, Recognition, Scheme};
use super::members::{Members, Role};
use super::rest::{self, is_left_over};
use super::rules::{RULES, Rule};
use super::settings::{Configuration, contradiction};
use super::{
    PackedTensor, awq, bitsandbytes, compressed_tensors, fp8, gptq, hqq, mlx, mxfp4, nvfp4, torchao, types, widths,
};

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
    widths::settle(&mut recognition.weights, listed);
    rest::sort_out(&mut recognition, listed, &claimed, configuration);
    recognition.weights.sort_by_key(|weight| weight.members[0].1);
    recognition.quantization.sort_unstable();
    recognition
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
        self.check_method()?;
        self.settings.check_values(&self.name)?;
        types::check(self.scheme, &list)?;
        for (role, component) in &list {
            component.expect_size(&component.shape)?;
            if matches!(role, Role::Codes | Role::Scales) {
                component.expect_elements()?;
            }
        }
        let members = Members::new(self.name.clone(), list);
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
