//! A question as tokens: words, numbers, dates, quoted text and comparison signs.

/// One token; `low` is what is matched, `raw` what is shown.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) raw: String,
    pub(super) low: String,
    pub(super) kind: TokenKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    Word,
    Number(f64),
    Quoted,
    Sign,
    /// `YYYY-MM-DD` or `YYYY-MM`, with `/` or `-`.
    Date,
}

/// Longest question that is read, and most tokens of it.
pub(super) const MAX_CHARS: usize = 2000;
const MAX_TOKENS: usize = 200;

pub(super) fn tokens(question: &str) -> Vec<Token> {
    let text: String = question.chars().take(MAX_CHARS).collect();
    let text = text
        .replace(['\u{2018}', '\u{2019}'], "'")
        .replace(['\u{201c}', '\u{201d}'], "\"")
        .replace('\u{2265}', ">=")
        .replace('\u{2264}', "<=");
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let mut i = 0;
    while i < chars.len() && out.len() < MAX_TOKENS {
        let c = chars[i];
        let opens = i == 0 || chars[i - 1].is_whitespace() || "(=<>,".contains(chars[i - 1]);
        if (c == '"' || c == '`' || (c == '\'' && opens))
            && let Some(end) = (i + 1..chars.len()).find(|j| {
                chars[*j] == c
                    && (c != '\'' || chars.get(j + 1).is_none_or(|n| !n.is_alphanumeric()))
            })
        {
            let raw: String = chars[i + 1..end].iter().collect();
            out.push(token(&raw, TokenKind::Quoted));
            i = end + 1;
            continue;
        }
        if "<>=!".contains(c) {
            let end = (i..chars.len())
                .find(|j| !"<>=!".contains(chars[*j]))
                .unwrap_or(chars.len());
            let raw: String = chars[i..end].iter().collect();
            if raw != "!" {
                out.push(token(&raw, TokenKind::Sign));
            }
            i = end;
            continue;
        }
        if c.is_whitespace() || !(c.is_alphanumeric() || "-.@/%#".contains(c)) {
            i += 1;
            continue;
        }
        let end = (i..chars.len())
            .find(|j| chars[*j].is_whitespace() || "?!;()[]{}\"`<>=".contains(chars[*j]))
            .unwrap_or(chars.len());
        let run: String = chars[i..end].iter().collect();
        run_tokens(&run, &mut out);
        i = end.max(i + 1);
    }
    out.truncate(MAX_TOKENS);
    out
}

fn token(raw: &str, kind: TokenKind) -> Token {
    Token {
        raw: raw.to_owned(),
        low: raw.to_lowercase(),
        kind,
    }
}

/// A run without blanks: a date, a number, or words between its punctuation.
fn run_tokens(run: &str, out: &mut Vec<Token>) {
    let run = run
        .trim_end_matches([',', '.', ':', '\''])
        .trim_start_matches([',', '\'']);
    if run.is_empty() {
        return;
    }
    if let Some(date) = iso_date(run) {
        out.push(Token {
            raw: run.to_owned(),
            low: date,
            kind: TokenKind::Date,
        });
        return;
    }
    if let Some(n) = number(run) {
        out.push(token(run, TokenKind::Number(n)));
        return;
    }
    // An address, a path or an IP is one word: it can only be a value.
    let dotted = run.matches('.').count() == 3 && run.split('.').all(|p| p.parse::<u8>().is_ok());
    let path = run.starts_with('/') && run[1..].contains(char::is_alphanumeric);
    if path || run.contains('@') || run.contains("://") || dotted {
        out.push(token(run, TokenKind::Word));
        return;
    }
    for raw in words(run) {
        match number(&raw) {
            Some(n) => out.push(token(&raw, TokenKind::Number(n))),
            None => out.push(token(&raw, TokenKind::Word)),
        }
    }
    if run.ends_with('%') {
        out.push(token("%", TokenKind::Word));
    }
}

/// `2021-03-05`, `2021/3/5`, `5.3.2021` or `2021-03`, normalised.
fn iso_date(text: &str) -> Option<String> {
    let mut parts: Vec<&str> = text.split(['-', '/']).collect();
    if parts.len() == 1 && text.matches('.').count() == 2 {
        parts = text.rsplit('.').collect();
    }
    let year = parts
        .first()
        .filter(|y| y.len() == 4)?
        .parse::<u32>()
        .ok()?;
    let small = |p: &str, max: u32| {
        (p.len() <= 2)
            .then(|| p.parse::<u32>().ok())
            .flatten()
            .filter(|n| (1..=max).contains(n))
    };
    match parts.as_slice() {
        [_, m] => Some(format!("{year:04}-{:02}", small(m, 12)?)),
        [_, m, d] => Some(format!(
            "{year:04}-{:02}-{:02}",
            small(m, 12)?,
            small(d, 31)?
        )),
        _ => None,
    }
}

/// `1,200`, `$3.50`, `10k`, `-4`; not `1e5`, not `5%`.
fn number(text: &str) -> Option<f64> {
    let text = text.trim_start_matches(['$', '€', '£']);
    let (body, factor) = match text.to_ascii_lowercase().strip_suffix('k') {
        Some(b) => (b.to_owned(), 1000.0),
        None => (text.to_owned(), 1.0),
    };
    let digits = body.trim_start_matches('-');
    let grouped = body.contains(',');
    let groups_fit = !grouped
        || digits.split('.').next().is_some_and(|w| {
            w.split(',').enumerate().all(|(i, g)| {
                if i == 0 {
                    !g.is_empty() && g.len() <= 3
                } else {
                    g.len() == 3
                }
            })
        });
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || c == '.' || c == ',');
    if !plain || !groups_fit {
        return None;
    }
    body.replace(',', "")
        .parse::<f64>()
        .ok()
        .filter(|n| n.is_finite())
        .map(|n| n * factor)
}

/// The words of a name or a phrase: cut at punctuation and at camelCase.
pub(super) fn words(text: &str) -> Vec<String> {
    let text = text.replace("'s", "").replace('\'', "");
    let mut out: Vec<String> = Vec::new();
    let mut word = String::new();
    let chars: Vec<char> = text.chars().collect();
    for (i, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            if !word.is_empty() {
                out.push(std::mem::take(&mut word));
            }
            continue;
        }
        let hump = c.is_uppercase()
            && i > 0
            && (chars[i - 1].is_lowercase()
                || (chars[i - 1].is_uppercase()
                    && chars.get(i + 1).is_some_and(|n| n.is_lowercase())
                    && !plural_acronym(&chars, i)));
        if hump && !word.is_empty() {
            out.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

/// `URLs`: the capital before a last `s` is no hump.
fn plural_acronym(chars: &[char], i: usize) -> bool {
    chars.get(i + 1) == Some(&'s') && chars.get(i + 2).is_none_or(|c| !c.is_alphanumeric())
}

/// Words shortened or spelled in several ways, and the one that stands for them.
const SAME: &[(&str, &str)] = &[
    ("temperature", "temp"),
    ("maximum", "max"),
    ("minimum", "min"),
    ("quantity", "qty"),
    ("latitude", "lat"),
    ("longitude", "lon"),
    ("lng", "lon"),
    ("long", "lon"),
    ("address", "addr"),
    ("description", "desc"),
    ("department", "dept"),
    ("precip", "precipitation"),
    ("pct", "percent"),
    ("percentage", "percent"),
    ("amt", "amount"),
    ("colour", "color"),
    ("pounds", "lb"),
    ("lbs", "lb"),
    ("timestamp", "time"),
    ("datetime", "time"),
    ("ms", "millisecond"),
    ("mail", "email"),
    ("people", "person"),
    ("children", "child"),
    ("men", "man"),
    ("women", "woman"),
    ("utilties", "utility"),
];

/// A word as it is compared: lower case, singular, abbreviations unified.
pub(super) fn stem(word: &str) -> String {
    let low = word.to_lowercase();
    let same = |w: &str| {
        SAME.iter()
            .find(|(a, _)| *a == w)
            .map(|(_, b)| (*b).to_owned())
    };
    if let Some(s) = same(&low) {
        return s;
    }
    let single = singular(&low);
    same(&single).unwrap_or(single)
}

fn singular(word: &str) -> String {
    let cut = |n: usize| word[..word.len() - n].to_owned();
    if !word.is_ascii() || word.len() < 4 {
        return if word == "ips" {
            "ip".to_owned()
        } else {
            word.to_owned()
        };
    }
    if word.ends_with("ies") && word.len() > 4 && word != "series" && word != "species" {
        return cut(3) + "y";
    }
    if ["sses", "xes", "ches", "shes", "zes"]
        .iter()
        .any(|e| word.ends_with(e))
    {
        return cut(2);
    }
    if word.ends_with('s')
        && !["ss", "us", "is"].iter().any(|e| word.ends_with(e))
        && word != "series"
        && word != "species"
    {
        return cut(1);
    }
    word.to_owned()
}

pub(crate) fn stems(text: &str) -> Vec<String> {
    words(text).iter().map(|w| stem(w)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits() {
        let shown = |q: &str| {
            tokens(q)
                .iter()
                .map(|t| t.low.clone())
                .collect::<Vec<_>>()
                .join("|")
        };
        assert_eq!(
            shown("How many cars (8-cylinder) cost >= $1,200?"),
            "how|many|cars|8|cylinder|cost|>=|1,200"
        );
        assert_eq!(
            shown("since 2021/3/5, what's temp_max"),
            "since|2021-03-05|what|temp|max"
        );
        assert_eq!(
            shown("sepalLength and URLs and Miles_per_Gallon"),
            "sepal|length|and|urls|and|miles|per|gallon"
        );
        assert_eq!(
            shown("lines with \"connection reset\" from 10.0.0.1."),
            "lines|with|connection reset|from|10.0.0.1"
        );
        assert_eq!(
            shown("it's the customer's 5% share"),
            "it|the|customer|5|%|share"
        );
    }

    #[test]
    fn stems_agree() {
        for (a, b) in [
            ("cities", "city"),
            ("boxes", "box"),
            ("temperature", "temp"),
            ("URLs", "url"),
            ("classes", "class"),
            ("statuses", "statuses"),
        ] {
            assert_eq!(stem(a), stem(b), "{a} {b}");
        }
    }
}
