//! Formats that were invented here, with separators, alphabets and constants drawn from the seed.

use serde_json::{Map, Value, json};

use super::{Dice, Drawn, Family, Solved, WORDS};

pub(super) const FAMILIES: &[Family] = &[
    ("records", records),
    ("runs", runs),
    ("hex", hex),
    ("query_log", query_log),
    ("signature", signature),
];

const MARKS: &[char] = &['~', '^', '|', ';', '%', '!', '=', '+', '@', '&'];

/// Records of fields, with an escape.
fn records(dice: &mut Dice) -> Drawn {
    let marks = dice.some(MARKS, 4);
    let (record, field, pair, escape) = (marks[0], marks[1], marks[2], marks[3]);
    let rules = format!(
        "Read a text of records. Every record ends with `{record}`. The fields of a record are \
         separated by `{field}`, and a field is a key, then `{pair}`, then a value. Before any of \
         these three marks, or before itself, `{escape}` means that the mark stands for itself and \
         is part of the value. The result is the list of records, each an object of its keys and \
         values, all of them strings."
    );
    let make = move |dice: &mut Dice| {
        let (mut text, mut rows) = (String::new(), Vec::new());
        for _ in 0..dice.within(0, 4) {
            let width = dice.within(1, 4);
            let mut row = Map::new();
            for (n, key) in dice.some(WORDS, width).into_iter().enumerate() {
                let mut value = String::new();
                for _ in 0..dice.within(0, 3) {
                    match dice.within(0, 3) {
                        0 => value.push(dice.of(&[record, field, pair, escape])),
                        1 => value.push_str(&dice.within(0, 999).to_string()),
                        _ => value.push_str(dice.of(WORDS)),
                    }
                }
                if n > 0 {
                    text.push(field);
                }
                text.push_str(key);
                text.push(pair);
                for c in value.chars() {
                    if [record, field, pair, escape].contains(&c) {
                        text.push(escape);
                    }
                    text.push(c);
                }
                row.insert(key.to_owned(), Value::String(value));
            }
            text.push(record);
            rows.push(Value::Object(row));
        }
        Solved {
            text,
            result: Value::Array(rows),
        }
    };
    Drawn {
        rules,
        make: Box::new(make),
    }
}

/// Run-length, with counts in letters.
fn runs(dice: &mut Dice) -> Drawn {
    let mark = dice.of(MARKS);
    let digits: Vec<char> = {
        let letters: Vec<char> = ('A'..='Z').collect();
        let count = dice.within(3, 6);
        dice.some(&letters, count)
    };
    let base = digits.len();
    let shown: String = digits.iter().collect();
    let rules = format!(
        "Unpack a text. Most characters stand for themselves. `{mark}` begins a run: after it come \
         two digits of a number in base {base}, the higher digit first, and then the character that \
         is repeated so many times. The digits from 0 to {} are written {shown}. A `{mark}` that \
         stands for itself is written as a run of one. The result is the unpacked text.",
        base - 1
    );
    let make = move |dice: &mut Dice| {
        let (mut text, mut plain) = (String::new(), String::new());
        for _ in 0..dice.within(1, 9) {
            let c = if dice.chance(15) {
                mark
            } else {
                dice.of(&['a', 'b', 'c', 'x', ' ', '0', '7', digits[0]])
            };
            let count = if c == mark || dice.chance(50) {
                dice.within(1, base * base - 1)
            } else {
                0
            };
            if count == 0 {
                text.push(c);
                plain.push(c);
                continue;
            }
            text.extend([mark, digits[count / base], digits[count % base], c]);
            plain.extend(std::iter::repeat_n(c, count));
        }
        Solved {
            text,
            result: Value::String(plain),
        }
    };
    Drawn {
        rules,
        make: Box::new(make),
    }
}

/// Packed entries with a check byte, written in hexadecimal.
fn hex(dice: &mut Dice) -> Drawn {
    let (magic, mask) = (dice.within(1, 255) as u8, dice.within(1, 255) as u8);
    let little = dice.chance(50);
    let order = if little { "lower" } else { "higher" };
    let rules = format!(
        "Read bytes that are written as pairs of lower-case hexadecimal digits. The first byte is \
         {magic}. The second says how many entries follow. An entry is one byte for its tag and two \
         for its value, the {order} byte first; a value is signed (two's complement, 16 bits). The \
         last byte is the exclusive or of all bytes before it and of {mask}. The result is an object: \
         for each tag (as a decimal string) the sum of its values. Where the first byte, the length \
         or the last byte is not as it should be, the result is the string \"bad\"."
    );
    let make = move |dice: &mut Dice| {
        let count = dice.within(0, 6);
        let mut bytes = vec![magic, count as u8];
        let mut sums: std::collections::BTreeMap<u8, i64> = std::collections::BTreeMap::new();
        for _ in 0..count {
            let tag = dice.within(1, 4) as u8 * 17;
            let value = dice.within(0, 65_535) as u16;
            let pair = if little {
                value.to_le_bytes()
            } else {
                value.to_be_bytes()
            };
            bytes.push(tag);
            bytes.extend(pair);
            *sums.entry(tag).or_default() += i64::from(value as i16);
        }
        let check = bytes.iter().fold(mask, |all, b| all ^ b);
        bytes.push(check);
        let spoiled = dice.chance(25);
        if spoiled {
            match dice.within(0, 2) {
                0 => bytes[0] = magic.wrapping_add(1),
                1 => {
                    let last = bytes.len() - 1;
                    bytes[last] = check.wrapping_add(dice.within(1, 255) as u8);
                }
                _ => bytes.insert(2, 0),
            }
        }
        let sums: Map<String, Value> = sums
            .into_iter()
            .map(|(tag, sum)| (tag.to_string(), json!(sum)))
            .collect();
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            for half in [byte >> 4, byte & 15] {
                text.push(char::from(DIGITS[usize::from(half)]));
            }
        }
        Solved {
            text,
            result: if spoiled {
                json!("bad")
            } else {
                Value::Object(sums)
            },
        }
    };
    Drawn {
        rules,
        make: Box::new(make),
    }
}

/// A log of queries: what failed, by path, and how long it took.
fn query_log(dice: &mut Dice) -> Drawn {
    let marks = dice.some(MARKS, 2);
    let (status_mark, time_mark) = (marks[0], marks[1]);
    let threshold = dice.of(&[300_usize, 400, 500]);
    let rules = format!(
        "Read a log with one query in each line: a time, a blank, a path that may have a `?` and \
         parameters after it, a blank, `{status_mark}` and a status number, a blank, `{time_mark}` \
         and a duration, which is either milliseconds as in `250ms` or seconds as in `2s`. Lines \
         that begin with `#` are no queries. The result is an object: for each path, without its \
         parameters, the milliseconds that its queries with a status of {threshold} or more took \
         together. Paths with no such query are left out."
    );
    let make = move |dice: &mut Dice| {
        let paths = dice.some(WORDS, 3);
        let (mut lines, mut sums) = (Vec::new(), std::collections::BTreeMap::new());
        for _ in 0..dice.within(1, 8) {
            if dice.chance(15) {
                lines.push(format!("# {}", dice.of(WORDS)));
                continue;
            }
            let path = dice.of(&paths);
            let parameters = if dice.chance(50) {
                format!("?{}={}", dice.of(WORDS), dice.within(0, 99))
            } else {
                String::new()
            };
            let status = dice.of(&[200, 204, 301, 304, 400, 404, 500, 503]);
            let (took, ms) = if dice.chance(30) {
                let seconds = dice.within(1, 9);
                (format!("{seconds}s"), seconds * 1000)
            } else {
                let ms = dice.within(1, 999);
                (format!("{ms}ms"), ms)
            };
            lines.push(format!(
                "{:02}:{:02} /{path}{parameters} {status_mark}{status} {time_mark}{took}",
                dice.within(0, 23),
                dice.within(0, 59)
            ));
            if status >= threshold {
                *sums.entry(format!("/{path}")).or_insert(0) += ms;
            }
        }
        Solved {
            text: lines.join("\n"),
            result: json!(sums),
        }
    };
    Drawn {
        rules,
        make: Box::new(make),
    }
}

/// A checksum written in letters.
fn signature(dice: &mut Dice) -> Drawn {
    let (start, factor) = (dice.within(1, 900), dice.within(3, 60));
    let modulus = dice.of(&[65_521, 104_729, 99_991]);
    let letters: Vec<char> = {
        let all: Vec<char> = ('a'..='z').collect();
        dice.some(&all, 12)
    };
    let shown: String = letters.iter().collect();
    let rules = format!(
        "Work out the signature of a text. Begin with {start}. For each character in turn, counted \
         from 0: multiply by {factor}, add the character's Unicode code point and its position, and \
         take the remainder by {modulus}. Write the final number in base 12 with exactly five \
         digits, the highest first, where the digits from 0 to 11 are the letters {shown}. The result \
         is that string."
    );
    let make = move |dice: &mut Dice| {
        let count = dice.within(0, 5);
        let text = dice.some(WORDS, count).join(" ");
        let mut sum = start;
        for (at, c) in text.chars().enumerate() {
            sum = (sum * factor + c as usize + at) % modulus;
        }
        let mut signed = Vec::new();
        for _ in 0..5 {
            signed.push(letters[sum % 12]);
            sum /= 12;
        }
        let signed: String = signed.into_iter().rev().collect();
        Solved {
            text,
            result: Value::String(signed),
        }
    };
    Drawn {
        rules,
        make: Box::new(make),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each reader below is written from the rules alone, by other means than the writer above.
    #[test]
    fn packed_texts_read_back() {
        for n in 0..40 {
            let mut dice = Dice::new(3, n);
            let Drawn { rules, make } = runs(&mut dice);
            let marks: Vec<char> = rules.chars().collect();
            let mark = marks[rules.chars().position(|c| c == '`').unwrap() + 1];
            let written = rules.split("are written ").nth(1).unwrap();
            let digits: Vec<char> = written.chars().take_while(|c| *c != '.').collect();
            for _ in 0..20 {
                let Solved { text, result } = make(&mut dice);
                let mut left: std::collections::VecDeque<char> = text.chars().collect();
                let mut out = String::new();
                while let Some(c) = left.pop_front() {
                    if c != mark {
                        out.push(c);
                        continue;
                    }
                    let mut digit = || {
                        let c = left.pop_front().unwrap();
                        digits.iter().position(|d| *d == c).unwrap()
                    };
                    let count = digit() * digits.len() + digit();
                    out.push_str(&left.pop_front().unwrap().to_string().repeat(count));
                }
                assert_eq!(Value::String(out), result, "{text}");
            }
        }
    }

    #[test]
    fn some_packed_bytes_are_bad_and_most_are_not() {
        let mut dice = Dice::new(5, 0);
        let Drawn { make, .. } = hex(&mut dice);
        let bad = (0..200).filter(|_| make(&mut dice).result == "bad").count();
        assert!((20..90).contains(&bad), "{bad}");
    }
}
