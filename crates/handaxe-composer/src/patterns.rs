//! Every regular expression that the Rust reading and the emitted Python share.
//!
//! Only what both engines read alike is used: explicit classes, no look-around, no back-reference,
//! no `\d`, `\w` or `\s` (their Unicode tables differ by version).

/// A number in text: sign, currency, thousands commas, fraction, exponent, percent sign (`12%` is
/// 12). Groups: sign, digits, exponent.
pub(crate) const NUMBER: &str = r"([+-]?)[$€£]?((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})? ?%?";

/// A number with a decimal comma, as a semicolon-separated file holds them. Groups: sign, whole
/// part with its points between thousands, fraction.
pub(crate) const DECIMAL_COMMA: &str = r"([+-]?)([0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+),([0-9]+)";

/// Times that a whole value may be. Groups: Y year, M month, N month's name, D day, h m s, f
/// fraction, p am or pm, z offset, E epoch seconds. A time with an offset is read in UTC.
pub(crate) const TIMES: &[&str] = &[
    r"(?P<Y>[12][0-9]{3})[-/](?P<M>[0-9]{1,2})[-/](?P<D>[0-9]{1,2})(?:[T ](?P<h>[0-9]{1,2}):(?P<m>[0-9]{2})(?::(?P<s>[0-9]{2})(?:[.,](?P<f>[0-9]{1,9}))?)?(?: ?(?P<z>Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2}))?)?",
    r"(?:[A-Za-z]{3,9},? )?(?P<D>[0-9]{1,2})[-/ ](?P<N>[A-Za-z]{3,9})[-/ ](?P<Y>[12][0-9]{3})(?:[: ](?P<h>[0-9]{1,2}):(?P<m>[0-9]{2})(?::(?P<s>[0-9]{2}))?(?: ?(?P<z>Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2}))?)?",
    r"(?:[A-Za-z]{3,9},? )?(?P<N>[A-Za-z]{3,9}) {1,2}(?P<D>[0-9]{1,2}),? (?P<Y>[12][0-9]{3})(?:,? (?P<h>[0-9]{1,2}):(?P<m>[0-9]{2})(?::(?P<s>[0-9]{2}))?(?: ?(?P<p>[AaPp][Mm]))?)?",
    r"[A-Za-z]{3} (?P<N>[A-Za-z]{3}) {1,2}(?P<D>[0-9]{1,2}) (?P<h>[0-9]{2}):(?P<m>[0-9]{2}):(?P<s>[0-9]{2}) (?P<Y>[12][0-9]{3})",
    r"(?P<M>[0-9]{1,2})/(?P<D>[0-9]{1,2})/(?P<Y>[12][0-9]{3})(?:,? (?P<h>[0-9]{1,2}):(?P<m>[0-9]{2})(?::(?P<s>[0-9]{2}))?(?: ?(?P<p>[AaPp][Mm]))?)?",
    r"(?P<D>[0-9]{1,2})\.(?P<M>[0-9]{1,2})\.(?P<Y>[12][0-9]{3})(?:,? (?P<h>[0-9]{1,2}):(?P<m>[0-9]{2})(?::(?P<s>[0-9]{2}))?)?",
    r"(?P<Y>[12][0-9]{3})(?P<M>[01][0-9])(?P<D>[0-3][0-9])",
    r"(?P<Y>[12][0-9]{3})-(?P<M>[0-9]{1,2})",
    r"(?P<Y>[12][0-9]{3})",
    r"(?P<E>1[0-9]{9})(?:\.(?P<f>[0-9]{1,9}))?",
    r"(?P<E>1[0-9]{9})(?P<f>[0-9]{3}|[0-9]{6}|[0-9]{9})",
];

/// A time somewhere in a line; what it finds is read by [`TIMES`].
pub(crate) const TIME_INSIDE: &str = r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?: ?(?:Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2}))?|[0-9]{1,2}/[A-Za-z]{3}/[12][0-9]{3}:[0-9]{2}:[0-9]{2}:[0-9]{2}(?: ?[+-][0-9]{4})?";

pub(crate) const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A word: starts with a letter of any script, then letters, digits and inner apostrophes.
pub(crate) const WORD: &str = r"[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u1fff\u2c00-\ud7ff][0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u1fff\u2c00-\ud7ff]*(?:['’][A-Za-z]+)*";

/// A token for sentiment: English words and numbers.
pub(crate) const TOKEN: &str = r"[A-Za-z]+(?:['’][A-Za-z]+)?|[0-9]+";

/// What `Extract` finds, by the name of the kind; the first group where there is one, and nothing
/// where it matched nothing. `ips` finds candidates, which are then checked.
///
/// Python's engine tries again at every character of what did not match: a run that one attempt reads
/// to its end and gives up must be passed over whole, or a long line takes the square of its length.
/// So `emails` matches a run that is no address too, outside its group.
pub(crate) const EXTRACTS: &[(&str, &str)] = &[
    (
        "emails",
        r"([A-Za-z0-9_.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24})|[A-Za-z0-9_.+-]+",
    ),
    (
        "urls",
        r#"(?:https?|ftp)://[^ \t\r\n<>"'`{}|\\^]*[^ \t\r\n<>"'`{}|\\^.,;:!?)\]]"#,
    ),
    ("ips", r"[0-9A-Za-z_:.]+"),
    (
        "dates",
        r"(?:^|[^0-9])([12][0-9]{3}[-/][0-9]{1,2}[-/][0-9]{1,2}|[0-9]{1,2}/[0-9]{1,2}/[12][0-9]{3}|[0-9]{1,2}\.[0-9]{1,2}\.[12][0-9]{3}|[0-9]{1,2}[-/ ](?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*[-/ ][12][0-9]{3}|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* {1,2}[0-9]{1,2},? [12][0-9]{3})",
    ),
    (
        "numbers",
        r"(?:^|[^0-9A-Za-z_.])([+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?)",
    ),
];

pub(crate) const STOP_WORDS: &str = "a about above after again against all am an and any are aren't as at be because been before being below between both but by can can't could did didn't do does doesn't doing don't down during each few for from further had has have having he her here hers him his how i i'm if in into is isn't it it's its just me more most my no nor not now of off on once only or other our out over own s same she should so some such t than that that's the their theirs them then there these they this those through to too under until up us very was we were what when where which while who whom why will with won't would you you're your yours";

/// A pattern that must match a whole text. The patterns are constants of this file and a test
/// compiles each; a broken one would match nothing.
pub(crate) fn whole(pattern: &str) -> regex::Regex {
    let never = || regex::Regex::new("[^\\x00-\\u{10ffff}]");
    match regex::Regex::new(&format!("^(?:{pattern})$")).or_else(|_| never()) {
        Ok(pattern) => pattern,
        Err(_) => unreachable!("an empty class is a valid pattern"),
    }
}
