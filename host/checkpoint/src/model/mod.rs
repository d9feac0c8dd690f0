//! What is known about a model from its names and its configuration: family, component, layer, tower and layout.

mod component;
mod config;
mod family;
mod identity;
mod layout;
mod path;
mod pattern;
mod runs;
mod tied;
mod tower;

pub use component::Component;
pub use family::Family;
pub use identity::{Identity, Naming, is_named_as_buffer};
pub use layout::{Division, Part, Parts, Projection, row_length};
pub use runs::{Runs, unravel};
pub use tied::{Candidate, Tied, tied_pairs};
