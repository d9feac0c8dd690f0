//! Finds output heads and embeddings that are another embedding, stored a second time.

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
    /// The output head, or an embedding.
    pub copy: usize,
    /// The embedding that it is tied to, which is not tied itself.
    pub of: usize,
}

/// The heads that have the shape, the type and the data of an embedding, and the embeddings that have those of an earlier
/// one, as encoder and decoder of one model often do. Only matrices are looked at.
///
/// `same_data` compares two tensors by their numbers; it is asked only where shape and type agree.
pub fn tied_pairs<'a>(
    tensors: impl IntoIterator<Item = Candidate<'a>>,
    same_data: impl Fn(usize, usize) -> bool,
) -> Vec<Tied> {
    let (mut heads, mut embeddings) = (Vec::new(), Vec::new());
    for tensor in tensors {
        // Vectors, such as those of special tokens that were never trained, may be equal without being tied.
        let is_matrix = !tensor.shape.contains(&0) && tensor.shape.iter().filter(|length| **length > 1).count() >= 2;
        match tensor.component {
            Component::Head if is_matrix => heads.push(tensor),
            Component::Embedding if is_matrix => embeddings.push(tensor),
            _ => {}
        }
    }
    // The first that is equal is not tied itself, or what it is tied to would have come before it.
    let first_equal = |copy: &Candidate<'_>, among: &[Candidate<'_>]| {
        let equal = |original: &&Candidate<'_>| {
            (copy.shape, copy.element) == (original.shape, original.element) && same_data(copy.index, original.index)
        };
        let original = among.iter().find(equal)?;
        Some(Tied { copy: copy.index, of: original.index })
    };
    let repeated = embeddings.iter().enumerate().filter_map(|(i, copy)| first_equal(copy, &embeddings[..i]));
    repeated.chain(heads.iter().filter_map(|head| first_equal(head, &embeddings))).collect()
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
        assert_eq!(tied_pairs(tensors, |_, _| true), [Tied { copy: 0, of: 2 }]);
    }

    #[test]
    fn equal_embeddings_are_tied_to_the_first() {
        let tensors = [0, 1, 2].map(|index| tensor(index, Component::Embedding, &[2, 2]));
        let head = tensor(3, Component::Head, &[2, 2]);
        let tied = tied_pairs(tensors.into_iter().chain([head]), |a, b| (a == 0) == (b == 0));
        assert_eq!(tied, [Tied { copy: 2, of: 1 }, Tied { copy: 3, of: 1 }]);
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
        for shape in [&[0, 2][..], &[0, 2, 2], &[1, 1, 4], &[4]] {
            let tokens = [tensor(0, Component::Embedding, shape), tensor(1, Component::Embedding, shape)];
            assert_eq!(tied_pairs(tokens, |_, _| true), [], "{shape:?}");
        }
    }
}
