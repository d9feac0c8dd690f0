//! What is known about a model from its names and its configuration: family, component, layer and layout.

mod component;
mod family;

pub use component::Component;
pub use family::Family;
