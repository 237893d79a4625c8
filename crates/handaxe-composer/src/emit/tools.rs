//! The tools: one row of facts for each, the parts it is made of, and its parameters.

use std::collections::BTreeMap;

use handaxe_types::{Asset, Capability};
use serde_json::{Value, json};

use super::is_plain_count;
use super::params::{
    Param, common, field, fields, filter_json, funcs, limit, list, maybe_field, measure_json, own,
    pairs, scalar_json, test_schema, word,
};
use super::python::Cleaning;
use super::schema::{self, Output};
use crate::eval::sentiment::{EXAMPLES, LEXICON, NEGATIVE_AT, POSITIVE_AT};
use crate::patterns::EXTRACTS;
use crate::{
    Axis, Bucket, Chain, Extractable, Format, Measure, Order, Scalar, Terminal, Tidy, Window,
};

pub(super) struct Tool {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) domain: &'static str,
    /// Files of `parts/`, in order; the last is the body of `run`.
    pub(super) parts: Vec<&'static str>,
    pub(super) params: Vec<Param>,
    pub(super) output: Output,
    pub(super) capabilities: Vec<Capability>,
    pub(super) assets: BTreeMap<String, Asset>,
}

/// What every tool that reads and filters is made of.
const BASE: [&str; 5] = ["read", "read_one", "values", "times", "where"];

/// The tool for a chain: named for its terminal step, for the layout that it reads where that is
/// no table, and for times where it reads them beside other values.
pub(super) fn tool(chain: &Chain) -> Tool {
    let mut tool = bare(chain);
    let any = super::reads_any(chain);
    let (reads, suffix) = match chain.format {
        _ if any => ("Reads CSV, TSV, JSON, JSON Lines and lines of text", ""),
        Format::Csv | Format::Tsv => ("Reads CSV and TSV", ""),
        Format::Json => ("Reads one JSON document", "_json"),
        Format::Jsonl => ("Reads JSON Lines", "_jsonl"),
        Format::Text => (
            "Reads lines of text, each a record with the field `line`",
            "_lines",
        ),
    };
    tool.description.push(' ');
    tool.description.push_str(reads);
    let timed = matches!(chain.terminal, Terminal::Histogram { .. });
    if chain.times && !timed {
        tool.name.push_str("_timed");
        tool.description
            .push_str("; values may be times, in the usual notations");
    }
    tool.description.push('.');
    tool.name.push_str(suffix);
    if let Some(join) = &chain.join {
        let several = join.has_several();
        // Short: what stands before it may be long.
        tool.name
            .push_str(if several { "_keyed" } else { "_joined" });
        tool.name.push_str(if any { "_any" } else { "" });
        tool.description.push_str(if several {
            " Each record is joined by the one of another file with the same key of several fields, \
             which is held in memory."
        } else {
            " Each record is joined by the one of another file with the same key, which is held in \
             memory."
        });
        tool.parts.insert(BASE.len(), "join");
    }
    if any {
        // `shaken` takes the first of two definitions.
        tool.parts.insert(1, "read_any");
    }
    tool
}

fn bare(chain: &Chain) -> Tool {
    let base = Tool {
        name: String::new(),
        description: String::new(),
        domain: "analysis",
        parts: BASE.to_vec(),
        params: common(chain),
        output: Output::default(),
        capabilities: vec![Capability::ReadFiles],
        assets: BTreeMap::new(),
    };
    match &chain.terminal {
        Terminal::Aggregate {
            measures, group_by, ..
        } if is_plain_count(measures, group_by) => base
            .named(
                "count_records",
                "Counts the records of a file, all or those that pass a filter.",
            )
            .made_of(&["run_count"])
            .gives(schema::count()),
        Terminal::Aggregate {
            measures,
            group_by,
            order,
            limit: most,
        } => {
            let measures: Vec<Value> = measures.iter().map(measure_json).collect();
            let orders = json!({
                "type": ["string", "null"], "enum": ["ascending", "descending", null],
                "description": "Order of the groups by the first measure; null for by group.",
            });
            let mut tool = base
                .named(
                    "aggregate_records",
                    "Count, sum, mean, median, min, max, number of distinct values or sample \
                     standard deviation of fields, over all records of a file or by group, with \
                     an optional filter, order and limit. Values that are no numbers are left out \
                     and counted as `ignored`.",
                )
                .made_of(&[
                    "order_key",
                    "bounded",
                    "total",
                    "measure",
                    "aggregate",
                    "run_aggregate",
                ])
                .gives(schema::groups());
            tool.params.push(Param {
                name: "measures",
                annotation: "list[dict]",
                default: None,
                schema: json!({
                    "type": "array", "minItems": 1, "maxItems": 20,
                    "items": {
                        "type": "object",
                        "properties": {
                            "func": { "type": "string", "enum": funcs() },
                            "field": { "type": ["string", "null"] },
                        },
                        "required": ["func"],
                        "additionalProperties": false,
                    },
                    "description": "What to compute: {func, field}; a count of records has no field.",
                }),
                value: Some(json!(measures)),
            });
            tool.params.push(list(
                "group_by",
                "list[str] | None",
                json!(group_by),
                json!({ "type": "string" }),
                "Fields to group by; null for one group of all records.",
            ));
            let order = json!(order.map(Order::as_str));
            tool.params.push(own("order", "str | None", order, orders));
            tool.params.push(limit(*most));
            tool.windowed(chain, "aggregate")
                .skipping(chain, "aggregate_records")
        }
        Terminal::Rows {
            fields,
            order_by,
            order,
            limit: most,
        } => {
            let mut tool = base
                .named(
                    "select_records",
                    "The records of a file that pass a filter: all or some of their fields, in \
                     file order or ordered by a field, all of them or the first few (top-k).",
                )
                .made_of(&["sort_key", "run_rows"])
                .gives(schema::rows());
            tool.domain = "transformation";
            tool.params.extend([
                list(
                    "fields",
                    "list[str] | None",
                    json!(fields),
                    json!({ "type": "string" }),
                    "Fields to keep, in order; null for all.",
                ),
                maybe_field(
                    "order_by",
                    order_by.as_deref(),
                    "Field to order by; null for file order.",
                ),
                word(
                    "order",
                    order.as_str(),
                    &["ascending", "descending"],
                    "Which way to order.",
                ),
                limit(*most),
            ]);
            if let Some(per) = &chain.shape.per {
                tool = tool.named(
                    "select_records_per_value",
                    "The first records of a file of each value of a field, ordered by another \
                     field (top-k of each group), with an optional filter.",
                );
                tool.parts.retain(|p| *p != "run_rows");
                tool.parts.extend(["order_key", "run_rows_per"]);
                let what = "The field of whose values each has its own first records.";
                return tool.with([field("per", per, what)]);
            }
            tool.skipping(chain, "select_records")
        }
        Terminal::Distinct { field: name } => base
            .named(
                "distinct_values",
                "The distinct values of a field of a file, sorted, and how many there are.",
            )
            .made_of(&["order_key", "bounded", "value_counts", "run_distinct"])
            .gives(schema::distinct())
            .with([field("field", name, "The field.")]),
        Terminal::Frequencies {
            field: name,
            limit: most,
        } => base
            .named(
                "value_frequencies",
                "How often each value of a field of a file occurs, most frequent first.",
            )
            .made_of(&["bounded", "value_counts", "most_common", "run_frequencies"])
            .gives(schema::frequencies())
            .with([field("field", name, "The field."), limit(*most)]),
        Terminal::Words {
            field: name,
            limit: most,
            min_length,
            skip_stop_words,
        } => base
            .named(
                "word_frequencies",
                "How often each word occurs in a text field of a file (`line` of a text file), \
                 most frequent first.",
            )
            .made_of(&["bounded", "most_common", "words", "run_words"])
            .gives(schema::words())
            .with([
                field("field", name, "The field."),
                limit(Some(*most)),
                own(
                    "min_length",
                    "int",
                    json!(min_length),
                    json!({ "type": "integer", "minimum": 1, "maximum": 100,
                        "description": "Shorter words are left out." }),
                ),
                own(
                    "skip_stop_words",
                    "bool",
                    json!(skip_stop_words),
                    json!({ "type": "boolean",
                        "description": "Leave out common English words (the, and, of …)." }),
                ),
            ])
            .about("text"),
        Terminal::Histogram {
            field: name,
            bucket,
            measure,
        } => {
            let buckets: Vec<&str> = Bucket::ALL.iter().map(|b| b.as_str()).collect();
            base.named(
                "time_histogram",
                "Records, or a measure of a field, per minute, hour, day, week, month, quarter, \
                 year, hour of the day or day of the week of a time field. Times with an offset \
                 are read in UTC; records whose time cannot be read are counted as `undated`.",
            )
            .made_of(&["bounded", "total", "measure", "bucket", "run_histogram"])
            .gives(schema::histogram())
            .with([
                field("field", name, "The field that holds the time."),
                word("bucket", bucket.as_str(), &buckets, "How long a bucket is."),
                word(
                    "func",
                    measure.func.as_str(),
                    &funcs(),
                    "What to compute for each bucket.",
                ),
                maybe_field(
                    "value_field",
                    measure.field.as_deref(),
                    "The field that `func` is of; null for a count of records.",
                ),
            ])
            .windowed(chain, "time")
        }
        Terminal::Extract {
            field: name,
            what,
            limit: most,
        } => {
            let place = maybe_field(
                "field",
                name.as_deref(),
                "The field to look in; null for all.",
            );
            match what {
                Extractable::Pattern(pattern) => base
                    .named(
                        "extract_pattern",
                        "Everything in a file's records that a regular expression matches (its \
                         first group where it has one), with how often.",
                    )
                    .made_of(&["bounded", "most_common", "find_items", "run_extract_pattern"])
                    .with([
                        place,
                        own(
                            "pattern",
                            "str",
                            json!(pattern),
                            json!({ "type": "string", "minLength": 1, "maxLength": 500,
                                "description": "A regular expression; \\d, \\w, \\s and \\b are ASCII." }),
                        ),
                    ]),
                kind => {
                    let kinds: Vec<&str> = EXTRACTS.iter().map(|(name, _)| *name).collect();
                    base.named(
                        "extract_items",
                        "All e-mail addresses, URLs, IP addresses, dates or numbers in a file's \
                         records, with how often each occurs.",
                    )
                    .made_of(&[
                        "bounded",
                        "most_common",
                        "extract_kinds",
                        "find_items",
                        "run_extract_kind",
                    ])
                    .with([place, word("what", kind.as_str(), &kinds, "What to look for.")])
                }
            }
            .gives(schema::extract())
            .with([limit(*most)])
            .about("parsing")
        }
        Terminal::Sentiment {
            field: name,
            group_by,
        } => {
            let mut tool = base
                .named(
                    "sentiment_analyzer",
                    "Scores the sentiment of each record's text by a lexicon of general and \
                     operational English, with negation and intensifiers: totals by class, mean \
                     score, the most negative and most positive records, by group where asked. \
                     Only the text counts, not a level beside it.",
                )
                .made_of(&["order_key", "bounded", "sentiment", "run_sentiment"])
                .gives(schema::sentiment())
                .with([
                    field("field", name, "The field that holds the text."),
                    maybe_field(
                        "group_by",
                        group_by.as_deref(),
                        "Field to group by; null for none.",
                    ),
                    own(
                        "positive_at",
                        "float",
                        json!(POSITIVE_AT),
                        json!({ "type": "number",
                            "description": "Scores from here on are positive." }),
                    ),
                    own(
                        "negative_at",
                        "float",
                        json!(NEGATIVE_AT),
                        json!({ "type": "number",
                            "description": "Scores from here down are negative." }),
                    ),
                    own(
                        "examples",
                        "int",
                        json!(EXAMPLES),
                        json!({ "type": "integer", "minimum": 0, "maximum": 1000,
                            "description": "How many of the most extreme records to show." }),
                    ),
                ])
                .about("text");
            tool.assets
                .insert("lexicon.tsv".to_owned(), Asset(LEXICON.as_bytes().to_vec()));
            tool
        }
        Terminal::Convert { to } => {
            let mut tool = base
                .named(
                    "convert_records",
                    "Writes the records of a file that pass a filter to a file in another format. \
                     Values are kept as they are written.",
                )
                .made_of(&["convert", "run_convert"])
                .gives(schema::converted())
                .with([word(
                    "to",
                    to.as_str(),
                    &["csv", "tsv", "json", "jsonl"],
                    "The format to write.",
                )])
                .about("transformation");
            tool.capabilities.push(Capability::WriteFiles);
            tool
        }
        Terminal::Describe => base
            .named(
                "describe_fields",
                "For each field of a file: type, how many values are filled, blank and distinct, \
                 least, greatest and mean.",
            )
            .made_of(&["total", "describe", "run_describe"])
            .gives(schema::described()),
        Terminal::Share { wanted } => {
            let wanted: Vec<Value> = wanted.iter().map(filter_json).collect();
            base.named(
                "percentage_of_records",
                "The percentage of the records of a file, all or those that pass a filter, that \
                 pass further tests.",
            )
            .made_of(&["run_share"])
            .gives(schema::share())
            .with([list(
                "wanted",
                "list[dict] | None",
                json!(wanted),
                test_schema(),
                "The tests that the counted records pass.",
            )])
        }
        Terminal::Compare {
            measure,
            field: name,
            left,
            right,
            how,
        } => {
            let value = |name, value: &Scalar| {
                let schema = json!({ "type": ["string", "number", "boolean"],
                    "description": "A value of the field." });
                own(name, "str | float | bool", scalar_json(value), schema)
            };
            let how = match how {
                crate::Comparison::Difference => "difference",
                crate::Comparison::Ratio => "ratio",
            };
            base.named(
                "compare_groups",
                "The difference or ratio of one measure between the records with one value of a \
                 field and those with another.",
            )
            .made_of(&["total", "measure", "run_compare"])
            .gives(schema::compared())
            .with([
                field("field", name, "The field that tells the two groups apart."),
                value("left", left),
                value("right", right),
                word(
                    "func",
                    measure.func.as_str(),
                    &funcs(),
                    "What to compute of each.",
                ),
                maybe_field(
                    "value_field",
                    measure.field.as_deref(),
                    "The field that `func` is of; null for a count of records.",
                ),
                word(
                    "how",
                    how,
                    &["difference", "ratio"],
                    "How the two are held together.",
                ),
            ])
        }
        Terminal::Duplicates { fields: by } if !by.is_empty() => base
            .named(
                "count_duplicates_by",
                "How many records of a file are the same in some fields as one before them, and how \
                 many different values these fields have together.",
            )
            .made_of(&["distinct_bound", "run_duplicates"])
            .gives(schema::duplicates())
            .with([fields(
                "fields",
                by,
                "Records with the same values here are duplicates.",
            )]),
        Terminal::Duplicates { .. } => base
            .named(
                "count_duplicates",
                "How many records of a file are the same, field for field, as one before them.",
            )
            .made_of(&["distinct_bound", "run_duplicates"])
            .gives(schema::duplicates()),
        Terminal::Pivot {
            rows,
            columns,
            measure,
        } => pivot(base, chain.times, rows, columns, measure),
        Terminal::Clean { .. } => clean(base, &chain.terminal),
    }
}

fn pivot(base: Tool, times: bool, rows: &Axis, columns: &Axis, measure: &Measure) -> Tool {
    let buckets: Vec<Value> = (Bucket::ALL.iter().map(|b| json!(b.as_str())))
        .chain([Value::Null])
        .collect();
    let bucket = |name, axis: &Axis| {
        let schema = json!({
            "type": ["string", "null"], "enum": buckets,
            "description": "The time bucket that the field's values fall into; null for the values.",
        });
        let value = json!(axis.bucket.map(Bucket::as_str));
        times.then(|| own(name, "str | None", value, schema))
    };
    let places = [
        Some(field("row_field", &rows.field, "The field of the rows.")),
        bucket("row_bucket", rows),
        Some(field(
            "column_field",
            &columns.field,
            "The field of the columns.",
        )),
        bucket("column_bucket", columns),
    ];
    let what = maybe_field(
        "value_field",
        measure.field.as_deref(),
        "The field that `func` is of; null for a count of records.",
    );
    let func = word(
        "func",
        measure.func.as_str(),
        &funcs(),
        "What to compute for each cell.",
    );
    base.named(
        "pivot_table",
        "A table of one measure with a row for each value of one field of a file and a column for \
         each value of another. A cell without records holds 0 of a count, else null.",
    )
    .made_of(&[
        "order_key",
        "bounded",
        "total",
        "measure",
        "bucket",
        "pivot",
        "run_pivot",
    ])
    .gives(schema::pivoted(times))
    .with(places.into_iter().flatten().chain([func, what]))
}

/// One step has a tool of its own; several have one together.
fn clean(base: Tool, terminal: &Terminal) -> Tool {
    let Terminal::Clean {
        changes,
        unique,
        order_by,
        fields,
        limit: most,
        to,
    } = terminal
    else {
        return base;
    };
    let does = Cleaning::of(terminal);
    let (name, description) = if does == Cleaning::WHOLE {
        (
            "clean_records",
            "Writes the records of a file that pass a filter to a file, with texts made uniform, \
             duplicates left out, and ordered by several fields.",
        )
    } else if does.changes {
        (
            "normalise_records",
            "Writes the records of a file that pass a filter to a file, with the texts of some \
             fields made uniform: letter case, blanks, telephone numbers, numbers, dates.",
        )
    } else if does.unique {
        (
            "deduplicate_records",
            "Writes the records of a file that pass a filter to a file, of those with the same \
             values only the first.",
        )
    } else {
        (
            "sort_records",
            "Writes the records of a file that pass a filter to a file, ordered by several fields, \
             all of them or the first few.",
        )
    };
    let tidies = Tidy::ALL.map(Tidy::as_str);
    let changes: Vec<Value> = (changes.iter())
        .map(|c| json!({ "field": c.field, "how": c.how.as_str() }))
        .collect();
    let sorts: Vec<Value> = (order_by.iter())
        .map(|s| json!({ "field": s.field, "order": s.order.as_str() }))
        .collect();
    let names = json!({ "type": "string" });
    let params = [
        does.changes.then(|| {
            pairs(
                "changes",
                json!(changes),
                ("how", &tidies),
                "What is done to which field, in this order. A value that is no such thing stays.",
            )
        }),
        does.unique.then(|| {
            let what = if does == Cleaning::WHOLE {
                "Of records with the same values here the first is kept; an empty list means all \
                 fields, null that all records are kept."
            } else {
                "Of records with the same values here the first is kept; null for all fields."
            };
            let mut param = list("unique", "list[str] | None", json!([]), names.clone(), what);
            let given = unique
                .as_ref()
                .filter(|u| does == Cleaning::WHOLE || !u.is_empty());
            param.value = given.map(|u| json!(u));
            param
        }),
        does.order.then(|| {
            pairs(
                "order_by",
                json!(sorts),
                ("order", &["ascending", "descending"]),
                "The fields to order by, the first one first; null for file order.",
            )
        }),
        does.order.then(|| limit(*most)),
        Some(list(
            "fields",
            "list[str] | None",
            json!(fields),
            names.clone(),
            "Fields to keep, in order; null for all.",
        )),
        Some(word(
            "to",
            to.as_str(),
            &["csv", "tsv", "json", "jsonl"],
            "The format to write.",
        )),
    ];
    let parts = [
        (does.changes, "tidy"),
        (does.unique, "distinct_bound"),
        (does.unique, "first_ones"),
        (does.order, "sort_key"),
        (does.order, "in_order"),
        (true, "kept"),
        (true, "convert"),
        (true, "run_clean"),
    ];
    let parts: Vec<&str> = parts
        .iter()
        .filter(|(has, _)| *has)
        .map(|(_, p)| *p)
        .collect();
    let mut tool = base
        .named(name, description)
        .made_of(&parts)
        .gives(schema::cleaned())
        .with(params.into_iter().flatten())
        .about("transformation");
    tool.capabilities.push(Capability::WriteFiles);
    tool
}

impl Tool {
    fn named(mut self, name: &str, description: &str) -> Self {
        name.clone_into(&mut self.name);
        description.clone_into(&mut self.description);
        self
    }

    fn made_of(mut self, parts: &[&'static str]) -> Self {
        self.parts.extend(parts);
        self
    }

    fn gives(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    fn with(mut self, params: impl IntoIterator<Item = Param>) -> Self {
        self.params.extend(params);
        self
    }

    /// Values as shares, running totals or changes: a tool of its own, for it does other work.
    fn windowed(mut self, chain: &Chain, of: &str) -> Self {
        let Some(window) = chain.shape.window else {
            return self;
        };
        let (name, description) = match (window, of) {
            (Window::Share, "time") => (
                "time_shares",
                "A measure per time bucket of a file, as percentages of the sum over all buckets.",
            ),
            (Window::Running, "time") => (
                "running_totals_over_time",
                "The running total of a measure over the time buckets of a file.",
            ),
            (Window::Change, "time") => (
                "changes_over_time",
                "The change of a measure from each time bucket of a file to the next.",
            ),
            (Window::Share, _) => (
                "shares_by_group",
                "A measure for each group of a file's records, as percentages of the sum over all groups.",
            ),
            (Window::Running, _) => (
                "running_totals_by_group",
                "The running total of a measure over the groups of a file's records, in order.",
            ),
            (Window::Change, _) => (
                "changes_by_group",
                "The change of a measure from each group of a file's records to the next, in order.",
            ),
        };
        self = self.named(name, description);
        let at = self.parts.len() - 1;
        self.parts.insert(at, "windowed");
        self
    }

    /// Rows passed over at the head: a tool of its own as well.
    fn skipping(self, chain: &Chain, of: &str) -> Self {
        if chain.shape.offset == 0 {
            return self;
        }
        if of != "select_records" && chain.shape.window.is_some() {
            let name = format!("later_{}", self.name);
            let description = "A measure for each group of a file's records as a share, running \
                 total or change, groups in order, from a later place on.";
            return self.named(&name, description).with([offset(chain)]);
        }
        let (name, description) = if of == "select_records" {
            (
                "select_later_records",
                "The records of a file that pass a filter, ordered by a field, from a later place \
                 on: the second, the third, the fourth to the tenth.",
            )
        } else {
            (
                "later_groups",
                "Groups of a file's records ordered by a measure, from a later place on: the \
                 second, the third, the fourth to the tenth.",
            )
        };
        self.named(name, description).with([offset(chain)])
    }

    fn about(mut self, domain: &'static str) -> Self {
        self.domain = domain;
        self
    }
}

fn offset(chain: &Chain) -> Param {
    let schema = json!({ "type": "integer", "minimum": 0, "maximum": 1_000_000,
        "description": "So many at the head are passed over." });
    own("offset", "int", json!(chain.shape.offset), schema)
}
