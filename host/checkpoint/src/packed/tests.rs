//! Faults, each of which costs one weight; recognition; and packing in the plainest way against any range of elements.

mod damage;
mod groups_and_types;
mod naming;
mod ranges;

use std::sync::Arc;

use kurtoscope_shared::Element;

use super::component::{Component, StoredType};
use super::members::{Members, Role};

/// A tensor of 32-bit integers.
fn words(name: &str, shape: &[u64], values: impl IntoIterator<Item = u32>) -> Component {
    let bytes = values.into_iter().flat_map(u32::to_le_bytes).collect();
    component(name, Element::I32, shape, bytes)
}

/// A tensor of bytes.
fn bytes(name: &str, element: Element, shape: &[u64], values: impl IntoIterator<Item = u8>) -> Component {
    component(name, element, shape, values.into_iter().collect())
}

/// A tensor of 32-bit floats.
fn floats(name: &str, shape: &[u64], values: impl IntoIterator<Item = f32>) -> Component {
    component(name, Element::F32, shape, values.into_iter().flat_map(f32::to_le_bytes).collect())
}

fn component(name: &str, element: Element, shape: &[u64], bytes: Vec<u8>) -> Component {
    assert_eq!(bytes.len() as u64, shape.iter().product::<u64>() * element.size() as u64, "{name}");
    Component {
        name: name.to_owned(),
        stored: StoredType::Element(element),
        shape: shape.to_vec(),
        bytes: Arc::new(bytes),
    }
}

/// The tensors of a weight called `a.weight`.
fn members(list: Vec<(Role, Component)>) -> Members {
    Members::new("a.weight", list)
}

/// GPTQ of 4 bits, 32 inputs and 8 outputs, in groups of 16; every code is 3, every zero point 8, every scale 0.5.
fn gptq() -> Vec<(Role, Component)> {
    vec![
        (Role::Codes, words("a.qweight", &[4, 8], [0x3333_3333; 32])),
        (Role::Scales, floats("a.scales", &[2, 8], [0.5; 16])),
        (Role::Zeros, words("a.qzeros", &[2, 1], [0x7777_7777; 2])),
        (Role::Groups, words("a.g_idx", &[32], (0..32).map(|input| input / 16))),
    ]
}
