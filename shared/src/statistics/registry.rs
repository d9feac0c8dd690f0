//! The list of statistics as types: [`statistics!`] makes of it the structs that everybody passes around, their encoding as
//! (tag, length, bytes), and merging and checking of all statistics at once.

use alloc::vec::Vec;
use core::marker::PhantomData;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
    ser::{Error as _, SerializeTuple},
};

use super::{ChunkSpan, Context, ImplausibleAnswer, MeasuredPart, Part, Statistic};

/// Makes `Measurement` and `Requests` of the list of statistics; the first is always measured.
macro_rules! statistics {
    ($d:tt $always:ident: $first:ty; $($field:ident: $statistic:ty),+ $(,)?) => {
        /// What was measured of a chunk, or merged of several.
        ///
        /// Encoded as a list of (tag, length, bytes); a reader skips the tags that it does not know.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Measurement {
            #[doc = concat!("[`", stringify!($first), "`], always measured.")]
            pub $always: $first,
            $(
                #[doc = concat!("[`", stringify!($statistic), "`]; `None` where it was not asked for or does not exist.")]
                pub $field: Option<$statistic>,
            )+
        }

        /// What is to be measured besides the moments.
        ///
        /// Encoded as a list of (tag, length, bytes); a reader skips the tags that it does not know.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Requests {
            $(
                #[doc = concat!("[`", stringify!($statistic), "`]; `None` to leave it out.")]
                pub $field: Option<<$statistic as $crate::statistics::Statistic>::Request>,
            )+
        }

        /// Every statistic of this build.
        pub const KNOWN: &[$crate::statistics::StatisticKey] = &[
            $crate::statistics::StatisticKey::of::<$first>(),
            $($crate::statistics::StatisticKey::of::<$statistic>(),)+
        ];

        /// What messages call the statistic with this tag; `None` for one that this build does not know.
        pub fn name_of(tag: u16) -> Option<&'static str> {
            use $crate::statistics::Statistic as _;
            match tag {
                <$first>::TAG => Some(<$first>::NAME),
                $(<$statistic>::TAG => Some(<$statistic>::NAME),)+
                _ => None,
            }
        }

        impl $crate::statistics::Registered for $first {
            fn find(measurement: &Measurement) -> Option<&Self> {
                Some(&measurement.$always)
            }

            fn put(self, measurement: &mut Measurement) {
                measurement.$always = self;
            }

            fn request(_: &Requests) -> Option<Self::Request> {
                Some(<Self as $crate::statistics::Statistic>::LARGEST_REQUEST)
            }
        }

        $(
            impl $crate::statistics::Registered for $statistic {
                fn find(measurement: &Measurement) -> Option<&Self> {
                    measurement.$field.as_ref()
                }

                fn put(self, measurement: &mut Measurement) {
                    measurement.$field = Some(self);
                }

                fn request(requests: &Requests) -> Option<Self::Request> {
                    requests.$field
                }
            }
        )+

        /// Calls a generic function for every statistic of the list.
        #[cfg(test)]
        macro_rules! for_each_statistic {
            ($call:ident, $d($argument:expr),*) => {
                $call::<$first>($d($argument),*);
                $($call::<$statistic>($d($argument),*);)+
            };
        }

        impl Requests {
            /// The moments alone.
            pub const MOMENTS: Self = Self { $($field: None,)+ };
            /// Every statistic, each with the request that has the longest answer.
            pub const LARGEST: Self = Self {
                $($field: Some(<$statistic as $crate::statistics::Statistic>::LARGEST_REQUEST),)+
            };

            /// What is left of it for a device that knows these statistics.
            #[must_use]
            pub fn limited_to(self, known: &[$crate::statistics::StatisticKey]) -> Self {
                Self { $($field: self.$field.filter(|_| {
                    known.contains(&$crate::statistics::StatisticKey::of::<$statistic>())
                }),)+ }
            }

            /// What is left of it where nothing that goes by row can be measured.
            #[must_use]
            pub fn without_rows(self) -> Self {
                use $crate::statistics::Statistic as _;
                Self { $($field: self.$field.filter(|_| !<$statistic>::BY_ROW),)+ }
            }

            /// Whether something that goes by row is asked for.
            pub fn goes_by_row(&self) -> bool {
                self.without_rows() != *self
            }

            /// The statistics that an answer holds, the moments among them.
            pub fn keys(&self) -> alloc::vec::Vec<$crate::statistics::StatisticKey> {
                let mut keys = alloc::vec![$crate::statistics::StatisticKey::of::<$first>()];
                $(keys.extend(self.$field.map(|_| $crate::statistics::StatisticKey::of::<$statistic>()));)+
                keys
            }

            /// The most bytes that the answer takes for a chunk at `span`.
            pub fn largest_encoded_len(&self, span: &$crate::statistics::ChunkSpan) -> usize {
                use $crate::statistics::{Statistic as _, registry::largest_entry_len};
                let count = 1;
                let always = largest_entry_len::<$first>(Some(<$first>::LARGEST_REQUEST), span);
                count + always $(+ largest_entry_len::<$statistic>(self.$field, span))+
            }
        }

        impl Measurement {
            /// Adds the next chunk of the same tensor, at `span`; chunks come in order of their offsets, the first
            /// of them to an empty measurement. What one chunk lacks, the whole lacks.
            pub fn append(&mut self, next: &Self, requests: &Requests, span: &$crate::statistics::ChunkSpan) {
                use $crate::statistics::{Statistic as _, registry::append};
                if span.count == 0 {
                    return;
                }
                if span.offset == 0 {
                    self.clone_from(next);
                    return;
                }
                self.$always.append(&next.$always, <$first>::LARGEST_REQUEST, span);
                $(append(&mut self.$field, next.$field.as_ref(), requests.$field, span);)+
            }

            /// The measurement of a fused tensor, from those of its parts.
            pub fn join(parts: &[$crate::statistics::MeasuredPart<'_>]) -> Self {
                use $crate::statistics::registry::join;
                Self { $always: join::<$first>(parts).unwrap_or_default(), $($field: join::<$statistic>(parts),)+ }
            }

            /// Whether this can be the answer to `requests` about a chunk at `span`, by a device that states this relative
            /// `accuracy`.
            ///
            /// # Errors
            /// What is missing, was not asked for, or is impossible.
            pub fn check(
                &self,
                requests: &Requests,
                span: &$crate::statistics::ChunkSpan,
                accuracy: f64,
            ) -> Result<(), $crate::statistics::ImplausibleAnswer> {
                use $crate::statistics::{Context, Statistic as _, registry::check};
                let context = Context { span, moments: &self.$always, accuracy };
                self.$always.check(<$first>::LARGEST_REQUEST, &context)?;
                $(check(self.$field.as_ref(), requests.$field, &context)?;)+
                Ok(())
            }

            /// What [`Statistic::reference`]($crate::statistics::Statistic::reference) gives for each of `requests`.
            pub fn reference(values: &[f64], requests: &Requests, span: &$crate::statistics::ChunkSpan) -> Self {
                use $crate::statistics::{Statistic as _, registry::reference};
                let always = <$first>::reference(values, <$first>::LARGEST_REQUEST, span);
                Self { $always: always, $($field: reference(values, requests.$field, span),)+ }
            }
        }

        impl serde::Serialize for Measurement {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use $crate::statistics::{Statistic as _, registry::Entry};
                use serde::ser::SerializeSeq as _;
                let length = 1 $(+ usize::from(self.$field.is_some()))+;
                let mut list = serializer.serialize_seq(Some(length))?;
                list.serialize_element(&Entry { tag: <$first>::TAG, content: &self.$always })?;
                $(
                    if let Some(content) = &self.$field {
                        list.serialize_element(&Entry { tag: <$statistic>::TAG, content })?;
                    }
                )+
                list.end()
            }
        }

        impl serde::Serialize for Requests {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use $crate::statistics::{Statistic as _, registry::Entry};
                use serde::ser::SerializeSeq as _;
                let length = 0 $(+ usize::from(self.$field.is_some()))+;
                let mut list = serializer.serialize_seq(Some(length))?;
                $(
                    if let Some(content) = &self.$field {
                        list.serialize_element(&Entry { tag: <$statistic>::TAG, content })?;
                    }
                )+
                list.end()
            }
        }

        impl $crate::statistics::registry::FromEntries for Measurement {
            fn take<E: serde::de::Error>(&mut self, tag: u16, content: &[u8]) -> Result<(), E> {
                use $crate::statistics::{Statistic as _, registry::decode};
                match tag {
                    <$first>::TAG => self.$always = decode(content)?,
                    $(<$statistic>::TAG => self.$field = Some(decode(content)?),)+
                    _ => {}
                }
                Ok(())
            }
        }

        impl $crate::statistics::registry::FromEntries for Requests {
            fn take<E: serde::de::Error>(&mut self, tag: u16, content: &[u8]) -> Result<(), E> {
                use $crate::statistics::{Statistic as _, registry::decode};
                match tag {
                    $(<$statistic>::TAG => self.$field = Some(decode(content)?),)+
                    _ => {}
                }
                Ok(())
            }
        }

        impl<'de> serde::Deserialize<'de> for Measurement {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::statistics::registry::read(deserializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for Requests {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::statistics::registry::read(deserializer)
            }
        }
    };
}

pub(super) use statistics;

/// One entry of a list: tag, length of the content, content. The same bytes as a tag and a byte string, without holding the
/// content's bytes a second time.
pub(super) struct Entry<'a, T> {
    pub(super) tag: u16,
    pub(super) content: &'a T,
}

impl<T: Serialize> Serialize for Entry<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let length = postcard::experimental::serialized_size(self.content).map_err(S::Error::custom)?;
        let mut entry = serializer.serialize_tuple(3)?;
        entry.serialize_element(&self.tag)?;
        entry.serialize_element(&(length as u64))?;
        entry.serialize_element(self.content)?;
        entry.end()
    }
}

/// What a list of (tag, length, bytes) is read into.
pub(super) trait FromEntries: Default {
    /// Takes one entry; ignores a tag that it does not know.
    fn take<E: serde::de::Error>(&mut self, tag: u16, content: &[u8]) -> Result<(), E>;
}

/// Reads a list. A known tag twice, and bytes that are no such statistic, make it unreadable.
pub(super) fn read<'de, D: Deserializer<'de>, T: FromEntries>(deserializer: D) -> Result<T, D::Error> {
    struct Entries<T>(PhantomData<T>);

    impl<'de, T: FromEntries> Visitor<'de> for Entries<T> {
        type Value = T;

        fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str("a list of tags and bytes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
            let mut all = T::default();
            // Tags ascend, so that none comes twice.
            let mut last = None;
            while let Some((tag, content)) = list.next_element::<(u16, &'de [u8])>()? {
                if last.is_some_and(|last| tag <= last) {
                    return Err(A::Error::custom("tags out of order"));
                }
                last = Some(tag);
                all.take(tag, content)?;
            }
            Ok(all)
        }
    }

    deserializer.deserialize_seq(Entries(PhantomData))
}

/// The statistic or request in `content`, which it fills.
pub(super) fn decode<'de, T: Deserialize<'de>, E: serde::de::Error>(content: &'de [u8]) -> Result<T, E> {
    match postcard::take_from_bytes(content) {
        Ok((found, [])) => Ok(found),
        _ => Err(E::custom("no such statistic")),
    }
}

pub(super) fn largest_entry_len<S: Statistic>(request: Option<S::Request>, span: &ChunkSpan) -> usize {
    /// Tag and length as the longest varints of their types.
    const HEADER: usize = 3 + 10;
    request.map_or(0, |request| HEADER + S::largest_encoded_len(request, span))
}

pub(super) fn append<S: Statistic>(
    whole: &mut Option<S>,
    next: Option<&S>,
    request: Option<S::Request>,
    span: &ChunkSpan,
) {
    match (whole.as_mut(), next, request) {
        (Some(whole), Some(next), Some(request)) => whole.append(next, request, span),
        _ => *whole = None,
    }
}

pub(super) fn join<S: super::Registered>(parts: &[MeasuredPart<'_>]) -> Option<S> {
    fn part<'a, S: super::Registered>(part: &MeasuredPart<'a>) -> Option<Part<'a, S>> {
        let (statistic, request) = (S::find(part.measurement)?, S::request(&part.requests)?);
        Some(Part { statistic, request, layout: part.layout })
    }
    let parts: Vec<Part<'_, S>> = parts.iter().map(part).collect::<Option<_>>()?;
    if parts.is_empty() { None } else { S::join(&parts) }
}

pub(super) fn check<S: Statistic>(
    found: Option<&S>,
    request: Option<S::Request>,
    context: &Context<'_>,
) -> Result<(), ImplausibleAnswer> {
    match (found, request.filter(|_| S::is_defined(context.span))) {
        (Some(found), Some(request)) => found.check(request, context),
        (Some(_), None) => Err(ImplausibleAnswer::NotAskedFor { statistic: S::NAME }),
        (None, Some(_)) => Err(ImplausibleAnswer::Missing { statistic: S::NAME }),
        (None, None) => Ok(()),
    }
}

pub(super) fn reference<S: Statistic>(values: &[f64], request: Option<S::Request>, span: &ChunkSpan) -> Option<S> {
    request.filter(|_| S::is_defined(span)).map(|request| S::reference(values, request, span))
}
