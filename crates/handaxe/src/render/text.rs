//! Text fitted to a terminal's width.

pub(crate) use handaxe_types::text::{Lines, Shown, bytes, clip};

/// The text in lines of at most `width` characters, broken between words; a longer word stands
/// alone.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let long = word.chars().count();
        if used > 0 && used + 1 + long > width {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += long;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(
            wrap("a incomprehensibilities b", 8),
            ["a", "incomprehensibilities", "b"]
        );
        assert_eq!(wrap("", 8), [""]);
    }

    #[test]
    fn nothing_is_obeyed() {
        assert_eq!(
            Shown("a\x1b[31mb\r\nc\u{202e}d").to_string(),
            "a\\u{1b}[31mb\\r\\nc\\u{202e}d"
        );
        assert_eq!(Lines("a\n\tb\x07").to_string(), "a\n\tb\\u{7}");
        assert_eq!(Shown("naïve – 日本").to_string(), "naïve – 日本");
    }
}
