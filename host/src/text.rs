//! Text that is safe to print: names from files and devices with control characters spelled out, shortened and wrapped by the columns
//! that they take on a terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that `text` takes on a terminal.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// `name` with control and direction-changing characters spelled out. Names come from checkpoints and devices; printed
/// as they are, an escape sequence in one could rewrite the screen.
pub fn plain(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
                text.extend(character.escape_unicode());
            }
            _ if character.is_control() => text.extend(character.escape_default()),
            _ => text.push(character),
        }
    }
    text
}

/// `text` in at most `columns` columns: where it is too long, `…` replaces its middle. More of the end is kept than
/// of the start, because tensors' names differ at the end.
pub fn shorten(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    let head = take(text.chars(), room / 3);
    let tail = take(text.chars().rev(), room - width(&head));
    let tail: String = tail.chars().rev().collect();
    if columns == 0 { String::new() } else { format!("{head}…{tail}") }
}

/// The first characters that fit `columns` columns.
fn take(characters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    characters
        .take_while(|character| {
            used += UnicodeWidthChar::width(*character).unwrap_or(0);
            used <= columns
        })
        .collect()
}

/// `text` broken at spaces into lines of at most `columns` columns; the first line begins with `lead`, the others are
/// indented as far. A word longer than a line is shortened.
pub fn wrap(text: &str, lead: &str, columns: usize) -> Vec<String> {
    let indent = width(lead);
    let room = columns.saturating_sub(indent).max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word = shorten(word, room);
        if !line.is_empty() && width(&line) + 1 + width(&word) > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    let hanging = " ".repeat(indent);
    lines
        .into_iter()
        .enumerate()
        .map(|(place, line)| format!("{}{line}", if place == 0 { lead } else { &hanging }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out() {
        assert_eq!(plain("a\u{1b}[2Jb\n重み"), "a\\u{1b}[2Jb\\n重み");
        assert_eq!(plain("a\u{202e}b"), "a\\u{202e}b");
    }

    #[test]
    fn shortening_keeps_both_ends_and_the_width() {
        let name = "model.decoder.layers.11.self_attn.out_proj.weight";
        assert_eq!(shorten(name, 30), "model.dec…attn.out_proj.weight");
        assert_eq!(shorten(name, 80), name);
        for columns in 0..60 {
            assert!(width(&shorten(name, columns)) <= columns);
            assert!(width(&shorten("重みの名前はとても長い", columns)) <= columns);
        }
    }

    #[test]
    fn wrapping_hangs() {
        assert_eq!(wrap("one two three four", "- ", 11), ["- one two", "  three", "  four"]);
        assert_eq!(wrap("", "- ", 11), ["- "]);
        assert_eq!(wrap("abcdefghijklm", "", 5), ["a…klm"]);
    }
}
