//! The natural order of tensor names: numbers in them count as numbers, so layer 2 comes before layer 10.

use std::cmp::Ordering;

/// Compares two names piece by piece: runs of digits by value, everything else byte by byte.
///
/// A total order: names that differ only in leading zeros are ordered by their bytes.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    while let (Some(&l), Some(&r)) = (left.first(), right.first()) {
        let ordering = if l.is_ascii_digit() && r.is_ascii_digit() {
            let (l_number, l_rest) = left.split_at(digits(left));
            let (r_number, r_rest) = right.split_at(digits(right));
            (left, right) = (l_rest, r_rest);
            compare_numbers(l_number, r_number)
        } else {
            (left, right) = (&left[1..], &right[1..]);
            l.cmp(&r)
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// How many digits the text begins with.
fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Compares decimal numbers of any length by value.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |number: &[u8]| number.iter().position(|&digit| digit != b'0').unwrap_or(number.len());
    let (a, b) = (&a[significant(a)..], &b[significant(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_by_value() {
        let sorted = [
            "h",
            "h.0.a",
            "h.2.a",
            "h.2.b",
            "h.007",
            "h.7",
            "h.10.a",
            "h.99999999999999999999998",
            "h.99999999999999999999999",
            "h.a",
            "ha",
            "wte",
        ];
        for pair in sorted.windows(2) {
            assert_eq!(natural(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(natural(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
    }

    proptest! {
        #[test]
        fn is_a_total_order(names in proptest::collection::vec("[a.0-2]{0,6}", 3)) {
            let [a, b, c] = [&names[0], &names[1], &names[2]];
            prop_assert_eq!(natural(a, b), natural(b, a).reverse());
            prop_assert_eq!(natural(a, b) == Ordering::Equal, a == b);
            if natural(a, b).is_le() && natural(b, c).is_le() {
                prop_assert!(natural(a, c).is_le());
            }
        }
    }
}
