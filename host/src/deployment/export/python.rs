//! Names as literals of Python.

/// `text` between quotes, with everything escaped that is not plain ASCII: names come from checkpoints.
pub(super) fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            ' '..='~' => literal.push(character),
            _ => literal += &format!("\\U{:08x}", u32::from(character)),
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn nothing_ends_a_literal_early() {
        assert_eq!(literal("a\"b\\c\n重"), r#""a\"b\\c\U0000000a\U000091cd""#);
    }
}
