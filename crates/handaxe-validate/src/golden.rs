//! Goldens: cases that a person gives before any code exists. JSON Lines.

use handaxe_types::json::{self, Bounds, JsonError};
use handaxe_types::{Case, Origin};

const MAX_BYTES: usize = 64 << 20;
const MAX_CASES: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    #[error("the golden file is {bytes} bytes; at most {MAX_BYTES} are read")]
    TooLarge { bytes: usize },
    #[error("the golden file has more than {MAX_CASES} cases")]
    TooMany,
    #[error("the golden file has no cases")]
    Empty,
    #[error("line {line} of the golden file is not a case")]
    Line { line: usize, source: JsonError },
}

/// Reads one case a line: `{"input": {…}, "expect": …}` (or `raises`, or `holds`). Blank lines are
/// skipped. Whatever the lines say of themselves, they are the user's and held out.
pub fn parse_goldens(bytes: &[u8]) -> Result<Vec<Case>, GoldenError> {
    if bytes.len() > MAX_BYTES {
        return Err(GoldenError::TooLarge { bytes: bytes.len() });
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut cases = Vec::new();
    for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if cases.len() == MAX_CASES {
            return Err(GoldenError::TooMany);
        }
        let number = index + 1;
        let mut case: Case =
            json::parse_as(line, Bounds::DEFAULT).map_err(|source| GoldenError::Line {
                line: number,
                source,
            })?;
        case.origin = Origin::User;
        case.held_out = true;
        if case.name.is_empty() {
            case.name = format!("golden line {number}");
        }
        cases.push(case);
    }
    if cases.is_empty() {
        return Err(GoldenError::Empty);
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_marks() {
        let text = "\u{feff}{\"input\":{\"a\":1},\"expect\":2}\r\n\n{\"name\":\"n\",\"origin\":\"author\",\"input\":{},\"raises\":\"ValueError\"}\n";
        let cases = parse_goldens(text.as_bytes()).unwrap();
        assert_eq!(cases.len(), 2);
        assert!(cases.iter().all(|c| c.held_out && c.origin == Origin::User));
        assert_eq!(cases[0].name, "golden line 1");
    }

    #[test]
    fn names_the_bad_line() {
        for (bad, needle) in [
            ("{\"input\":{},\"expect\":1}\n{oops\n", "line 2"),
            ("\n\n{\"input\":{}}", "line 3"),
            ("{\"input\":{},\"input\":{},\"expect\":1}", "line 1"),
            ("{\"input\":{},\"expect\":NaN}", "line 1"),
            ("[]", "line 1"),
            ("\n \n", "no cases"),
        ] {
            let message = parse_goldens(bad.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(needle), "{bad:?}: {message}");
        }
        assert!(parse_goldens(b"{\"input\":{},\"expect\":\"\xff\"}").is_err());
    }
}
