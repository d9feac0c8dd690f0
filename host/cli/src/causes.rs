//! An error and its causes in one line.

use std::error::Error;

/// The message of `error`, followed by those of its causes, each behind a colon.
///
/// Our errors print their source or return it, never both. Some of other libraries do both: a cause with which the text
/// already ends is not repeated.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Example {
        #[error("cannot open the model")]
        Returns(#[source] std::io::Error),
        #[error("cannot open the model: {0}")]
        PrintsAndReturns(#[source] std::io::Error),
    }

    #[test]
    fn every_cause_is_named_once() {
        for error in [Example::Returns, Example::PrintsAndReturns] {
            assert_eq!(with_causes(&error(std::io::Error::other("no disk"))), "cannot open the model: no disk");
        }
    }
}
