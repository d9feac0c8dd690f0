//! Finds output heads that are the token embedding, stored a second time.

use kurtoscope_shared::Element;

use super::component::Component;

/// A tensor as the search for ties sees it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The checkpoint's name for it.
    pub name: &'a str,
    /// Its place in the network; only embeddings and heads are looked at.
    pub component: Component,
    /// Dimensions, outermost first.
    pub shape: &'a [u64],
    /// The type of its elements.
    pub element: Element,
    /// Its data.
    pub bytes: &'a [u8],
}

/// A tensor that holds the same data as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tied<'a> {
    /// The output head.
    pub name: &'a str,
    /// The embedding that it is tied to.
    pub of: &'a str,
}

/// The heads that have the shape, the type and the bytes of an embedding.
///
/// Bytes are compared only where shape and type agree, and only up to the first difference: a head of its own costs one
/// page, a tied one is read whole.
pub fn tied_pairs<'a>(tensors: impl IntoIterator<Item = Candidate<'a>>) -> Vec<Tied<'a>> {
    let (mut heads, mut embeddings) = (Vec::new(), Vec::new());
    for tensor in tensors {
        match tensor.component {
            Component::Head => heads.push(tensor),
            Component::Embedding => embeddings.push(tensor),
            _ => {}
        }
    }
    heads
        .iter()
        .filter(|head| !head.bytes.is_empty())
        .filter_map(|head| {
            let same = |embedding: &&Candidate<'_>| {
                (head.shape, head.element, head.bytes) == (embedding.shape, embedding.element, embedding.bytes)
            };
            embeddings.iter().find(same).map(|embedding| Tied { name: head.name, of: embedding.name })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor<'a>(name: &'a str, component: Component, shape: &'a [u64], bytes: &'a [u8]) -> Candidate<'a> {
        Candidate { name, component, shape, element: Element::U8, bytes }
    }

    #[test]
    fn equal_heads_are_tied() {
        let embedding = tensor("wte.weight", Component::Embedding, &[2, 2], &[1, 2, 3, 4]);
        let types = tensor("types.weight", Component::Embedding, &[1, 2], &[1, 2]);
        let head = tensor("lm_head.weight", Component::Head, &[2, 2], &[1, 2, 3, 4]);
        assert_eq!(tied_pairs([head, types, embedding]), [Tied { name: "lm_head.weight", of: "wte.weight" }]);
    }

    #[test]
    fn anything_else_is_not() {
        let embedding = tensor("wte.weight", Component::Embedding, &[2, 2], &[1, 2, 3, 4]);
        for other in [
            tensor("a", Component::Head, &[2, 2], &[1, 2, 3, 5]),
            tensor("a", Component::Head, &[4], &[1, 2, 3, 4]),
            tensor("a", Component::Other, &[2, 2], &[1, 2, 3, 4]),
            Candidate { element: Element::I8, ..tensor("a", Component::Head, &[2, 2], &[1, 2, 3, 4]) },
        ] {
            assert_eq!(tied_pairs([embedding, other]), []);
        }
        let empty = tensor("wte.weight", Component::Embedding, &[0, 2], &[]);
        assert_eq!(tied_pairs([empty, tensor("a", Component::Head, &[0, 2], &[])]), []);
        assert_eq!(tied_pairs([]), []);
    }
}
