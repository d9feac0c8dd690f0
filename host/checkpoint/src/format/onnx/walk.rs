//! Walks a model's graphs, the graphs inside their nodes, and its functions, and gathers what holds or explains weights.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use kurtoscope_shared::Element;
use prost::Message;

use super::external::ExternalFiles;
use super::fault::OnnxFault;
use super::operation::Operation;
use super::proto::{Attribute, Function, Graph, Model, Node, Sparse};
use super::scope::Scope;
use super::storage::{ElementStorage, Source};
use super::tensor::{GraphTensor, Reader, shape};
use crate::format::cache::LastValue;
use crate::source::MappedFile;

/// Graphs within graphs that are followed. Models in use have a handful.
const DEPTH: usize = 32;

const SPARSE: &str = "sparse tensors are not measured by this version";

/// Where a model keeps a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Among the initializers of a graph, where exporters put parameters.
    Initializer,
    /// In a node.
    Node,
}

/// A constant of a model.
#[derive(Debug)]
pub(super) struct Constant {
    pub(super) tensor: GraphTensor,
    /// The name of the value in its graph.
    pub(super) value: String,
    pub(super) origin: Origin,
}

/// What was gathered so far.
pub(super) struct Walk<'a> {
    reader: Reader<'a>,
    /// How often each name was wanted.
    names: HashMap<String, u64>,
    pub(super) tensors: Vec<Constant>,
    pub(super) graphs: Vec<Scope>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(file: &'a MappedFile) -> Self {
        let beside = ExternalFiles::new(file.path());
        let reader = Reader { file, beside, cache: Arc::new(LastValue::default()) };
        Self { reader, names: HashMap::new(), tensors: Vec::new(), graphs: Vec::new() }
    }

    /// The whole model.
    pub(super) fn model(&mut self, model: Model) -> Result<(), OnnxFault> {
        self.graph(model.graph.ok_or(OnnxFault::NoGraph)?, "", None, 0)?;
        for message in model.functions {
            let function: Function = self.decode("a function", &message)?;
            let prefix = format!("functions/{}/", function.name);
            self.graphs.push(Scope::default());
            self.nodes(&function.nodes, &prefix, self.graphs.len() - 1, 0)?;
        }
        Ok(())
    }

    fn graph(&mut self, message: Bytes, prefix: &str, parent: Option<usize>, depth: usize) -> Result<(), OnnxFault> {
        if depth > DEPTH {
            return Err(OnnxFault::TooDeep { offset: self.reader.offset(&message), limit: DEPTH });
        }
        let graph: Graph = self.decode("a graph", &message)?;
        let scope = self.graphs.len();
        self.graphs.push(Scope { parent, ..Scope::default() });
        for message in &graph.initializers {
            let tensor = self.reader.decode(message)?;
            let (value, name) = (tensor.name.clone(), self.name(format!("{prefix}{}", tensor.name)));
            let found = self.reader.find(name, message, tensor)?;
            self.add(scope, value, Origin::Initializer, found);
        }
        for message in &graph.sparse_initializers {
            self.sparse(scope, message, |values| format!("{prefix}{values}"))?;
        }
        self.nodes(&graph.nodes, prefix, scope, depth)
    }

    fn nodes(&mut self, nodes: &[Bytes], prefix: &str, scope: usize, depth: usize) -> Result<(), OnnxFault> {
        for (position, message) in nodes.iter().enumerate() {
            let node: Node = self.decode("a node", message)?;
            let mut attributes = Vec::with_capacity(node.attributes.len());
            for message in &node.attributes {
                attributes.push(self.decode::<Attribute>("an attribute", message)?);
            }
            if node.operator == "Constant" {
                let output = node.outputs.into_iter().next().unwrap_or_default();
                for attribute in attributes {
                    self.constant(prefix, scope, &output, attribute)?;
                }
                continue;
            }
            let label = if node.name.is_empty() { format!("{}_{position}", node.operator) } else { node.name.clone() };
            for attribute in &mut attributes {
                let inner = format!("{prefix}{label}/{}/", attribute.name);
                let graphs = attribute.graph.take().into_iter().chain(std::mem::take(&mut attribute.graphs));
                for graph in graphs {
                    self.graph(graph, &inner, Some(scope), depth + 1)?;
                }
            }
            if let Some(scope) = self.graphs.get_mut(scope) {
                scope.operations.push(Operation::new(node, &attributes));
            }
        }
        Ok(())
    }

    /// The value of a Constant node, which is one of its attributes.
    fn constant(&mut self, prefix: &str, scope: usize, output: &str, attribute: Attribute) -> Result<(), OnnxFault> {
        let name = |values: &str| format!("{prefix}Constant:{values}");
        let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        let ints = |values: &[i64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        let (dtype, element, shape, bytes) = match attribute.name.as_str() {
            "value" => {
                let Some(tensor) = attribute.tensor else { return Ok(()) };
                let name = self.name(name(output));
                let decoded = self.reader.decode(&tensor)?;
                let found = self.reader.find(name, &tensor, decoded)?;
                self.add(scope, output.to_owned(), Origin::Node, found);
                return Ok(());
            }
            "sparse_value" => {
                let Some(sparse) = attribute.sparse_tensor else { return Ok(()) };
                return self.sparse(scope, &sparse, |_| name(output));
            }
            // Absent means 0, as everywhere in protobuf.
            "value_float" => ("FLOAT", Element::F32, vec![], floats(&[attribute.float.unwrap_or_default()])),
            "value_int" => ("INT64", Element::I64, vec![], ints(&[attribute.int.unwrap_or_default()])),
            "value_floats" => ("FLOAT", Element::F32, vec![attribute.floats.len() as u64], floats(&attribute.floats)),
            "value_ints" => ("INT64", Element::I64, vec![attribute.ints.len() as u64], ints(&attribute.ints)),
            _ => return Ok(()),
        };
        let count = (bytes.len() / element.size()) as u64;
        let stored = Ok(ElementStorage { source: Source::Inline(bytes.into()), element, count });
        let found = GraphTensor { name: self.name(name(output)), shape, dtype: dtype.to_owned(), stored, small: None };
        self.add(scope, output.to_owned(), Origin::Node, found);
        Ok(())
    }

    fn sparse(&mut self, scope: usize, message: &Bytes, name: impl Fn(&str) -> String) -> Result<(), OnnxFault> {
        let sparse: Sparse = self.decode("a sparse tensor", message)?;
        let values = self.reader.decode(&sparse.values.unwrap_or_default())?;
        let name = self.name(name(&values.name));
        let shape = shape(&name, self.reader.offset(message), &sparse.dims)?;
        let found = GraphTensor { name, shape, dtype: "sparse".to_owned(), stored: Err(SPARSE), small: None };
        self.add(scope, values.name, Origin::Initializer, found);
        Ok(())
    }

    fn add(&mut self, scope: usize, value: String, origin: Origin, tensor: GraphTensor) {
        if let Some(scope) = self.graphs.get_mut(scope) {
            scope.values.insert(value.clone(), self.tensors.len());
        }
        self.tensors.push(Constant { tensor, value, origin });
    }

    /// A name that no other tensor has: nodes need no names, and those of two nodes may be the same.
    fn name(&mut self, wanted: String) -> String {
        let mut name = wanted.clone();
        while self.names.contains_key(&name) {
            let count = self.names.entry(wanted.clone()).or_default();
            *count += 1;
            name = format!("{wanted}#{count}");
        }
        self.names.insert(name.clone(), 1);
        name
    }

    fn decode<M: Message + Default>(&self, what: &str, message: &Bytes) -> Result<M, OnnxFault> {
        M::decode(message.clone()).map_err(|error| OnnxFault::Wire {
            what: what.to_owned(),
            offset: self.reader.offset(message),
            detail: error.to_string(),
        })
    }
}
