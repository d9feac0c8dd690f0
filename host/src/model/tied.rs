//! Finds output heads that are the token embedding, stored a second time.

use kurtoscope_shared::Element;

use super::component::Component;

/// A tensor as the search for ties sees it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The caller's number for it.
    pub index: usize,
    /// Its place in the network; only embeddings and heads are looked at.
    pub component: Component,
    /// Dimensions, outermost first.
    pub shape: &'a [u64],
    /// The type of its elements.
    pub element: Element,
}

/// A tensor that holds the same data as another; both by the caller's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tied {
    /// The output head.
    pub head: usize,
    /// The embedding that it is tied to.
    pub of: usize,
}

/// The heads that have the shape, the type and the data of an embedding.
///
/// `same_data` compares two tensors by their numbers; it is asked only where shape and type agree.
pub fn tied_pairs<'a>(
    tensors: impl IntoIterator<Item = Candidate<'a>>,
    same_data: impl Fn(usize, usize) -> bool,
) -> Vec<Tied> {
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
        .filter(|head| !head.shape.contains(&0))
        .filter_map(|head| {
            let tied = |embedding: &&Candidate<'_>| {
                (head.shape, head.element) == (embedding.shape, embedding.element)
                    && same_data(head.index, embedding.index)
            };
            embeddings.iter().find(tied).map(|embedding| Tied { head: head.index, of: embedding.index })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(index: usize, component: Component, shape: &[u64]) -> Candidate<'_> {
        Candidate { index, component, shape, element: Element::U8 }
    }

    #[test]
    fn equal_heads_are_tied() {
        let tensors = [
            tensor(0, Component::Head, &[2, 2]),
            tensor(1, Component::Embedding, &[1, 2]),
            tensor(2, Component::Embedding, &[2, 2]),
        ];
        assert_eq!(tied_pairs(tensors, |_, _| true), [Tied { head: 0, of: 2 }]);
    }

    #[test]
    fn anything_else_is_not() {
        let embedding = tensor(0, Component::Embedding, &[2, 2]);
        for other in [
            tensor(1, Component::Head, &[4]),
            tensor(1, Component::Other, &[2, 2]),
            Candidate { element: Element::I8, ..tensor(1, Component::Head, &[2, 2]) },
        ] {
            assert_eq!(tied_pairs([embedding, other], |_, _| true), []);
        }
        assert_eq!(tied_pairs([embedding, tensor(1, Component::Head, &[2, 2])], |_, _| false), [], "other data");
        let empty = [tensor(0, Component::Embedding, &[0, 2]), tensor(1, Component::Head, &[0, 2])];
        assert_eq!(tied_pairs(empty, |_, _| true), []);
    }
}
