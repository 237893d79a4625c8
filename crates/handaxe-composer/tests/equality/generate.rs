//! Files and chains at random, reproducible from a seed.

use handaxe_composer::{
    Axis, Bucket, Chain, Change, Comparison, Extractable, Filter, Format, Func, How, Join, Measure,
    Op, Order, Scalar, Shape, Sort, Terminal, Tidy, Window,
};
use serde_json::Value;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

const FORMATS: [Format; 5] = [
    Format::Csv,
    Format::Tsv,
    Format::Json,
    Format::Jsonl,
    Format::Text,
];
const COLUMNS: [&str; 6] = ["name", "num", "when", "msg", "cat", "user.id"];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "-3",
    "7",
    "42",
    "0.1",
    "0.2",
    "0.30",
    "1e3",
    "-1.5e-7",
    "1,234",
    "1,234.50",
    "1.234,50",
    "-0,25",
    "$5.20",
    "12%",
    "-0",
    "-0.0",
    "007",
    "999999999999999999",
    "12345678901234567890",
    "1e149",
    "1e150",
    "1e400",
    "N/A",
    "",
    " 8 ",
    "1.0",
    "1e16",
    "123456789012345.6",
    "0.1e-5",
    "5 kg",
    ".5",
    "5.",
    "+4",
    "9007199254740993",
    "€9",
    "1e22",
    "3.14159",
];
const TIMES: &[&str] = &[
    "2024-01-31",
    "2024-01-31 12:00:00",
    "2024-01-31T12:00:00Z",
    "2024-02-29T23:59:59.250+02:00",
    "31/Jan/2024:12:00:00 +0000",
    "Jan 31 2024",
    "January 5, 2023 1:05 PM",
    "1/31/2024",
    "31/1/2024",
    "2024-13-01",
    "31.01.2024",
    "1.2.2024, 14:05",
    "30.2.2024",
    "2023-02-29",
    "1706702400",
    "1706702400123",
    "1955",
    "2024-05",
    "20240131",
    "Wed, 31 Jan 2024 12:00:00 GMT",
    "Wed Jan 31 12:00:00 2024",
    "2024-12-30 05:06:07,123",
    "noon",
    "",
    "2021-01-03",
    "2020/1/2",
    "2024-01-31 12:00:00 -0530",
    "12/31/1999 12:00 am",
    "2024-01-31T25:00:00",
    "on 2024-03-04 05:06:07 it broke",
    "31-Jan-2024",
    "1999-12-31T23:59:59.999999-01:00",
];
const WORDS: &[&str] = &[
    "the",
    "good",
    "not",
    "bad",
    "very",
    "error",
    "errors",
    "no",
    "0",
    "failed",
    "succeeded",
    "slow",
    "naïve",
    "ÉTÉ",
    "don't",
    "can’t",
    "timeout",
    "x1",
    "42",
    "-5",
    "1,234.5",
    "10-20",
    "a.b@example.com",
    "(joe@mail.example.org)",
    "https://example.com/a?b=c.",
    "<http://x.y/z>",
    "10.0.0.1",
    "10.0.0.1:80",
    "fe80::1",
    "12:30:45",
    "256.1.1.1",
    "1.2.3.4.5",
    "2024-01-31",
    "Jan 5, 2024",
    "ERR-12",
    "ERR-7",
    "user=bob",
    "日本語",
    "привет",
    "wonderful",
    "terrible",
    "slightly",
    "Σίσυφος",
    "İstanbul",
    "ß",
    "straße",
    "\u{fffd}",
    "é\u{301}",
    "\u{1f600}",
    "crash",
    "healthy",
    "denied",
    "\u{a0}",
    "\u{85}",
    "\u{1c}",
];

fn sentence(rng: &mut Rng) -> String {
    let count = rng.below(9);
    let words: Vec<&str> = (0..count).map(|_| rng.pick(WORDS)).collect();
    words.join(" ")
}

fn cell(rng: &mut Rng, column: &str) -> String {
    if rng.one_in(40) {
        return rng
            .pick(&[
                "", "true", "False", "\"", "a,b", "a\tb", "l1\nl2", " x ", "é\"q\"", "NULL",
            ])
            .to_owned();
    }
    match column {
        "num" => rng.pick(NUMBERS).to_owned(),
        "when" => rng.pick(TIMES).to_owned(),
        "msg" => sentence(rng),
        "cat" => rng
            .pick(&["a", "B", "b", "10", "9", "", "Zürich", "true"])
            .to_owned(),
        "user.id" => rng
            .pick(&["1", "2", "3", "18446744073709551616", "x"])
            .to_owned(),
        _ => rng
            .pick(&["Ann", "bob", "BOB", "Élan", "élan", "Σ", "ς", "o'neil"])
            .to_owned(),
    }
}

fn quoted(cell: &str, delimiter: char, rng: &mut Rng) -> String {
    if cell.contains([delimiter, '"', '\n', '\r']) || rng.one_in(20) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn json_value(rng: &mut Rng, column: &str) -> String {
    let text = cell(rng, column);
    let string = |text: &str| serde_json::Value::from(text).to_string();
    match rng.below(14) {
        0 => rng
            .pick(&[
                "null",
                "true",
                "false",
                "[]",
                "[1,2.50,\"x\",{\"k\":null}]",
                "{}",
                "{\"k\":{\"z\":1}}",
                "1e5",
                "-0",
                "-0.0",
                "1E-7",
                "123456789012345678",
                "1234567890123456789",
                "1e400",
                "0.1",
                "\"\\u00e9\\ud83d\\ude00\"",
                "\"\\ud800\"",
                "\"\\/\\b\\f\"",
                "1e16",
                "NaN",
                "01",
                "[[[1e22,-1.0]]]",
                "\"\\udc00x\"",
                "\"\\ud800\\u0041\"",
            ])
            .to_owned(),
        1..=6 if column == "num" || column == "user.id" => {
            if text.parse::<f64>().is_ok()
                && !text.starts_with(['+', '.'])
                && !text.ends_with('.')
                && !text.starts_with("00")
            {
                text
            } else {
                string(&text)
            }
        }
        _ => string(&text),
    }
}

fn json_object(rng: &mut Rng) -> String {
    let mut members = Vec::new();
    for column in COLUMNS {
        if rng.one_in(12) {
            continue;
        }
        let value = json_value(rng, column);
        match column {
            "user.id" if rng.one_in(2) => members.push(format!("\"user\": {{\"id\": {value}}}")),
            _ => members.push(format!("\"{column}\": {value}")),
        }
        if rng.one_in(30) {
            members.push(format!("\"{column}\":{}", json_value(rng, column)));
        }
    }
    format!("{{{}}}", members.join(","))
}

/// A file in a format, broken here and there.
pub(crate) fn file(rng: &mut Rng, format: Format) -> Vec<u8> {
    let rows = match rng.below(12) {
        0 => 0,
        1 => 1,
        _ => rng.below(14),
    };
    let end = rng.pick(&["\n", "\n", "\n", "\r\n", "\r"]);
    let mut out = String::new();
    if rng.one_in(12) {
        out.push('\u{feff}');
    }
    match format {
        Format::Csv | Format::Tsv => {
            let delimiter = match format {
                Format::Csv if rng.one_in(4) => ';',
                Format::Csv => ',',
                _ => '\t',
            };
            let line = |cells: Vec<String>| cells.join(&delimiter.to_string()) + end;
            if !rng.one_in(30) {
                let header = COLUMNS.map(|c| {
                    if rng.one_in(60) {
                        " num ".to_owned()
                    } else {
                        c.to_owned()
                    }
                });
                out.push_str(&line(header.to_vec()));
                for _ in 0..rows {
                    let mut cells: Vec<String> = COLUMNS
                        .iter()
                        .map(|c| {
                            let text = cell(rng, c);
                            quoted(&text, delimiter, rng)
                        })
                        .collect();
                    match rng.below(30) {
                        0 => cells.truncate(2),
                        1 => cells.push(" ".to_owned()),
                        2 => cells.push("over".to_owned()),
                        3 => cells = Vec::new(),
                        _ => {}
                    }
                    out.push_str(&line(cells));
                }
            }
            if rng.one_in(40) {
                out.push_str(
                    rng.pick(&["\"open", "\"a\"b", "a\"b", "\"\"", "\"x\ny\"", "\"\"\"\""]),
                );
            }
        }
        Format::Jsonl => {
            for _ in 0..rows {
                if rng.one_in(12) {
                    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(99), "]".repeat(99));
                    let deeper = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
                    let bad = [
                        "nonsense",
                        "{\"a\":",
                        "[1]",
                        "3",
                        "{} {}",
                        "",
                        "  ",
                        "{'a':1}",
                        &deep,
                        &deeper,
                        "{}",
                        "{\"a\":1,}",
                    ];
                    out.push_str(rng.pick(&bad));
                } else {
                    out.push_str(&json_object(rng));
                }
                out.push_str(end);
            }
        }
        Format::Json => {
            let mut items: Vec<String> = (0..rows).map(|_| json_object(rng)).collect();
            if rng.one_in(10) {
                items.push(rng.pick(&["1", "null", "[]"]).to_owned());
            }
            let array = format!("[{}]", items.join(",\n"));
            let whole = match rng.below(14) {
                0 => format!("{{\"meta\":{{\"n\":1}},\"rows\":{array}}}"),
                1 => format!("{{\"a\":{array},\"b\":{array}}}"),
                2 => format!("{array}x"),
                3 => String::new(),
                4 => "{\"a\":1}".to_owned(),
                _ => array,
            };
            out.push_str(&whole);
        }
        Format::Text => {
            for _ in 0..rows {
                let line = match rng.below(4) {
                    0 => format!(
                        "{} {} {}",
                        rng.pick(TIMES),
                        rng.pick(&["INFO", "ERROR", "WARN"]),
                        sentence(rng)
                    ),
                    1 => cell(rng, "num"),
                    2 => cell(rng, "when"),
                    _ => sentence(rng),
                };
                out.push_str(&line);
                out.push_str(end);
            }
            if rng.one_in(3) {
                out.push_str("no end");
            }
        }
    }
    let mut bytes = out.into_bytes();
    for _ in 0..(if rng.one_in(8) { 3 } else { 0 }) {
        if !bytes.is_empty() {
            let at = rng.below(bytes.len());
            bytes[at] = rng.pick(&[
                0xff, 0xc3, 0xe2, 0xf0, 0x80, b'\n', b'\r', b'"', 0xed, 0xa0, 0x0b, 0x0c,
            ]);
        }
    }
    if rng.one_in(60) && !bytes.is_empty() {
        let at = rng.below(bytes.len());
        bytes[at] = 0;
    }
    bytes
}

fn column(rng: &mut Rng, format: Format) -> String {
    if rng.one_in(40) {
        return "nope".to_owned();
    }
    if format == Format::Text {
        return "line".to_owned();
    }
    rng.pick(&COLUMNS).to_owned()
}

fn filter(rng: &mut Rng, format: Format) -> Filter {
    let op = rng.pick(&Op::ALL);
    let field = column(rng, format);
    let text = cell(rng, &field);
    let value = match rng.below(8) {
        0 => Scalar::Int(rng.below(50) as i64),
        1 => Scalar::Float(0.5),
        2 => Scalar::Bool(rng.one_in(2)),
        3 => Scalar::Text(
            rng.pick(&["2024", "2024-01", "2024-01-31", "a", "e", "error", ""])
                .to_owned(),
        ),
        _ => Scalar::Text(text),
    };
    let value = if matches!(op, Op::AnyOf | Op::NoneOf) && !rng.one_in(20) {
        let other = Scalar::Text(cell(rng, &field));
        Scalar::Many(vec![
            value,
            other,
            Scalar::Text(rng.pick(&["", "a", "2024"]).to_owned()),
        ])
    } else {
        value
    };
    let valueless = matches!(op, Op::Empty | Op::NotEmpty) || rng.one_in(60);
    Filter {
        field,
        op,
        value: (!valueless).then_some(value),
    }
}

fn measure(rng: &mut Rng, format: Format) -> Measure {
    let func = rng.pick(&[
        Func::Count,
        Func::Sum,
        Func::Mean,
        Func::Median,
        Func::Min,
        Func::Max,
        Func::Distinct,
        Func::Stdev,
        Func::Percentile(90),
        Func::Percentile(25),
    ]);
    let plain = func == Func::Count && rng.one_in(2) || rng.one_in(50);
    let field = if rng.one_in(3) {
        column(rng, format)
    } else if format == Format::Text {
        "line".into()
    } else {
        "num".into()
    };
    Measure {
        func,
        field: (!plain).then_some(field),
    }
}

fn limit(rng: &mut Rng) -> Option<u32> {
    rng.one_in(2).then(|| 1 + rng.below(6) as u32)
}

fn axis(rng: &mut Rng, format: Format) -> Axis {
    if rng.one_in(3) && format != Format::Text {
        return Axis {
            field: "when".to_owned(),
            bucket: Some(rng.pick(&Bucket::ALL)),
        };
    }
    Axis {
        field: column(rng, format),
        bucket: None,
    }
}

fn cleaning(rng: &mut Rng, format: Format) -> Terminal {
    let changes = (0..rng.below(4)).map(|_| Change {
        field: column(rng, format),
        how: rng.pick(&Tidy::ALL),
    });
    let changes = changes.collect();
    let some = |rng: &mut Rng| (0..rng.below(3)).map(|_| column(rng, format)).collect();
    let sorts = (0..rng.below(3)).map(|_| Sort {
        field: column(rng, format),
        order: rng.pick(&[Order::Ascending, Order::Descending]),
    });
    let order_by = sorts.collect();
    Terminal::Clean {
        changes,
        unique: rng.one_in(2).then(|| some(rng)),
        order_by,
        fields: if rng.one_in(3) { some(rng) } else { Vec::new() },
        limit: rng.one_in(4).then(|| 1 + rng.below(6) as u32),
        to: rng.pick(&[Format::Csv, Format::Tsv, Format::Json, Format::Jsonl]),
    }
}

/// The chain over two files: some of its fields are the other's.
fn joined(rng: &mut Rng, chain: &Chain) -> Chain {
    let mut value = serde_json::to_value(chain).unwrap();
    exchanged(rng, &mut value);
    let mut chain: Chain = serde_json::from_value(value).unwrap();
    let several = rng.one_in(3);
    let even = several && !rng.one_in(12);
    chain.join = Some(Join {
        format: rng.pick(&FORMATS[..4]),
        on: key(rng, &["cat", "name", "user.id"], several.then_some("name")),
        // Rarely not as many as there.
        other_on: key(rng, &["key"], even.then_some("name")),
        prefix: "o".to_owned(),
        how: rng.pick(&[How::Inner, How::Left, How::Right]),
    });
    chain
}

/// A key of one field, else of two; rarely one that is not there.
fn key(rng: &mut Rng, of: &[&'static str], second: Option<&str>) -> Vec<String> {
    let first = if rng.one_in(30) { "nope" } else { rng.pick(of) };
    std::iter::once(first)
        .chain(second)
        .map(str::to_owned)
        .collect()
}

fn exchanged(rng: &mut Rng, value: &mut Value) {
    match value {
        Value::String(text)
            if matches!(text.as_str(), "num" | "name" | "when") && rng.one_in(3) =>
        {
            *text = format!("o.{text}");
        }
        Value::Array(items) => items.iter_mut().for_each(|v| exchanged(rng, v)),
        Value::Object(map) => map.values_mut().for_each(|v| exchanged(rng, v)),
        _ => {}
    }
}

/// The other file of a join: its keys come once, mostly.
pub(crate) fn other_file(rng: &mut Rng, format: Format) -> Vec<u8> {
    let mut keys = vec![
        "a",
        "B",
        "b",
        "10",
        "9",
        "Zürich",
        "true",
        "1",
        "2",
        "3",
        "Ann",
        "bob",
        "BOB",
        "x",
        " ",
        "Élan",
        "ς",
        "Σ",
        "o'neil",
        "18446744073709551616",
        "",
    ];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for _ in 0..rng.below(20) {
        let at = rng.below(keys.len());
        let key = if rng.one_in(60) {
            keys[at]
        } else {
            keys.swap_remove(at)
        };
        let cells = ["num", "name", "when"].map(|c| cell(rng, c));
        rows.push(std::iter::once(key.to_owned()).chain(cells).collect());
    }
    let names = ["key", "num", "name", "when"];
    let delimiter = if format == Format::Tsv { '\t' } else { ',' };
    let mut line = |cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|c| quoted(c, delimiter, rng)).collect();
        cells.join(&delimiter.to_string()) + "\n"
    };
    let object = |row: &Vec<String>| {
        let members = names
            .iter()
            .zip(row)
            .map(|(n, c)| ((*n).to_owned(), Value::from(c.as_str())));
        Value::Object(members.collect()).to_string()
    };
    let objects: Vec<String> = rows.iter().map(object).collect();
    match format {
        Format::Json => format!("[{}]", objects.join(",")),
        Format::Jsonl => objects.join("\n"),
        _ => std::iter::once(names.map(str::to_owned).to_vec())
            .chain(rows)
            .map(&mut line)
            .collect(),
    }
    .into_bytes()
}

pub(crate) fn chain(rng: &mut Rng) -> Chain {
    let chain = plain_chain(rng);
    let joins =
        chain.format != Format::Text && !matches!(chain.terminal, Terminal::Sentiment { .. });
    if joins && rng.one_in(3) {
        joined(rng, &chain)
    } else {
        chain
    }
}

fn plain_chain(rng: &mut Rng) -> Chain {
    let format = rng.pick(&FORMATS);
    let filters = (0..rng.below(3).saturating_sub(usize::from(rng.one_in(2))))
        .map(|_| filter(rng, format))
        .collect();
    let order = if rng.one_in(2) {
        Order::Ascending
    } else {
        Order::Descending
    };
    let count = Measure {
        func: Func::Count,
        field: None,
    };
    let terminal = match rng.below(24) {
        0 => Terminal::Aggregate {
            measures: vec![count],
            group_by: Vec::new(),
            order: None,
            limit: None,
        },
        1..=3 => Terminal::Aggregate {
            measures: (0..=rng.below(3)).map(|_| measure(rng, format)).collect(),
            group_by: (0..rng.below(3)).map(|_| column(rng, format)).collect(),
            order: rng.one_in(2).then_some(order),
            limit: limit(rng),
        },
        4 | 5 => Terminal::Rows {
            fields: (0..rng.below(3)).map(|_| column(rng, format)).collect(),
            order_by: (!rng.one_in(4)).then(|| column(rng, format)),
            order,
            limit: limit(rng),
        },
        6 => Terminal::Distinct {
            field: column(rng, format),
        },
        7 => Terminal::Frequencies {
            field: column(rng, format),
            limit: limit(rng),
        },
        8 => Terminal::Words {
            field: if format == Format::Text {
                "line".into()
            } else {
                "msg".into()
            },
            limit: 1 + rng.below(30) as u32,
            min_length: 1 + rng.below(4) as u32,
            skip_stop_words: rng.one_in(2),
        },
        9 | 10 => Terminal::Histogram {
            field: if format == Format::Text {
                "line".into()
            } else {
                "when".into()
            },
            bucket: rng.pick(&Bucket::ALL),
            measure: measure(rng, format),
        },
        11 => Terminal::Extract {
            field: rng.one_in(2).then(|| column(rng, format)),
            what: rng.pick(&[
                Extractable::Emails,
                Extractable::Urls,
                Extractable::Ips,
                Extractable::Dates,
                Extractable::Numbers,
                Extractable::Pattern(r"ERR-(\d+)".into()),
                Extractable::Pattern(r"\b[a-z]{2,4}\b".into()),
                Extractable::Pattern(r"user=\w+|[^\s.]+?t".into()),
                Extractable::Pattern(r"^.|\W$".into()),
                Extractable::Pattern(r"(a|b)?\.(x)?".into()),
            ]),
            limit: limit(rng),
        },
        12 => Terminal::Sentiment {
            field: if format == Format::Text {
                "line".into()
            } else {
                "msg".into()
            },
            group_by: rng.one_in(2).then(|| column(rng, format)),
        },
        15 | 16 => Terminal::Share {
            wanted: (0..=rng.below(2)).map(|_| filter(rng, format)).collect(),
        },
        17 => Terminal::Compare {
            measure: measure(rng, format),
            field: column(rng, format),
            left: Scalar::Text(rng.pick(&["a", "B", "10", "Ann", "bob"]).to_owned()),
            right: Scalar::Text(rng.pick(&["b", "9", "true", "Élan", "o'neil"]).to_owned()),
            how: rng.pick(&[Comparison::Difference, Comparison::Ratio]),
        },
        18 => Terminal::Duplicates {
            fields: (0..rng.below(3)).map(|_| column(rng, format)).collect(),
        },
        19 | 20 => Terminal::Pivot {
            rows: axis(rng, format),
            columns: axis(rng, format),
            measure: measure(rng, format),
        },
        21..=23 => cleaning(rng, format),
        13 => Terminal::Convert {
            to: rng.pick(&[Format::Csv, Format::Tsv, Format::Json, Format::Jsonl]),
        },
        _ => Terminal::Describe,
    };
    let window = rng.pick(&[
        None,
        None,
        Some(Window::Share),
        Some(Window::Running),
        Some(Window::Change),
    ]);
    let per = rng.one_in(3).then(|| column(rng, format));
    Chain {
        format,
        join: None,
        filters,
        shape: Shape {
            window,
            offset: rng.pick(&[0, 0, 0, 1, 2]),
            per: per.filter(|_| matches!(terminal, Terminal::Rows { .. })),
        },
        times: matches!(terminal, Terminal::Histogram { .. }) || rng.one_in(2),
        terminal,
    }
}
