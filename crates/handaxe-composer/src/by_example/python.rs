//! The program as Python: one expression of small helpers, its constants as parameters.

use serde_json::{Value, json};

use super::chars::Cut;
use super::table::{Fold, Render, Source, Step, Table};
use super::text::{Arrange, Case, Tally, Text};
use super::value::{Program, Test};
use crate::emit::{literal, marked, mentions, shaken, unplaced};

/// A constant of the program that a call may change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Constant {
    pub(crate) name: String,
    kind: &'static str,
    pub(crate) value: Value,
    pub(crate) schema: Value,
}

impl Constant {
    fn annotation(&self) -> &'static str {
        match &self.value {
            Value::String(_) => "str",
            Value::Number(n) if n.is_f64() => "float",
            _ => "int",
        }
    }
}

/// What the program is run on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Over {
    /// A list of values that the call brings.
    Items,
    /// Each record of a file, or one field of it.
    Records { field: Option<String> },
    /// All records of a file at once.
    Whole,
}

#[derive(Clone)]
struct Scope {
    /// The value as it is.
    raw: String,
    /// It as text, and its fields as texts.
    text: String,
    fields: String,
}

struct Writer {
    constants: Vec<Constant>,
    depth: usize,
}

/// Code and constants.
pub(crate) struct Written {
    pub(crate) code: String,
    pub(crate) constants: Vec<Constant>,
}

impl Writer {
    fn constant(&mut self, kind: &'static str, value: Value, mut schema: Value) -> String {
        if let Some(same) = (self.constants.iter()).find(|c| c.kind == kind && c.value == value) {
            return same.name.clone();
        }
        let before = self.constants.iter().filter(|c| c.kind == kind).count();
        let name = match before {
            0 => kind.to_owned(),
            n => format!("{kind}_{}", n + 1),
        };
        if let Some(map) = schema.as_object_mut() {
            map.insert("default".to_owned(), value.clone());
        }
        self.constants.push(Constant {
            name: name.clone(),
            kind,
            value,
            schema,
        });
        name
    }

    fn string(&mut self, kind: &'static str, value: &str, what: &str) -> String {
        self.constant(
            kind,
            json!(value),
            json!({"type": "string", "maxLength": 200, "description": what}),
        )
    }

    fn separator(&mut self, by: &str) -> String {
        let schema = json!({"type": "string", "minLength": 1, "maxLength": 200,
            "description": "What stands between the parts."});
        self.constant("separator", json!(by), schema)
    }

    fn fill(&mut self, fill: char) -> String {
        let schema = json!({"type": "string", "minLength": 1, "maxLength": 1,
            "description": "The character to fill with."});
        self.constant("fill", json!(fill.to_string()), schema)
    }

    fn whole(&mut self, kind: &'static str, value: u32, most: u32, what: &str) -> String {
        let schema = json!({"type": "integer", "minimum": 0, "maximum": most, "description": what});
        self.constant(kind, json!(value), schema)
    }

    fn text(&mut self, text: &Text, scope: &Scope) -> String {
        match text {
            Text::Input => scope.text.clone(),
            Text::Field(name) => format!("{}[{}]", scope.fields, quoted(name)),
            Text::Const(c) => self.string("fixed", c, "Put in as it stands."),
            Text::Concat(parts) => {
                let parts: Vec<String> = parts.iter().map(|p| self.text(p, scope)).collect();
                parts.join(" + ")
            }
            Text::Split { of, by, nth } => {
                let of = self.text(of, scope);
                let by = self.separator(by);
                format!("part({of}, {by}, {nth})")
            }
            Text::Token { of, class, nth } => {
                let of = self.text(of, scope);
                format!("runs({of}, \"{}\")[{nth}]", class.name())
            }
            Text::Before { of, mark, last } => self.beside("before", of, mark, *last, scope),
            Text::After { of, mark, last } => self.beside("after", of, mark, *last, scope),
            Text::Slice { of, from, to } => {
                let of = self.text(of, scope);
                let from = if *from == 0 {
                    String::new()
                } else {
                    from.to_string()
                };
                let to = to.map_or(String::new(), |t| t.to_string());
                format!("{of}[{from}:{to}]")
            }
            Text::Case { of, case } => {
                let of = self.text(of, scope);
                cased(*case, &of)
            }
            Text::Pad {
                of,
                width,
                fill,
                right,
            } => {
                let of = self.text(of, scope);
                let width = self.whole("width", *width, 200, "As wide as this at least.");
                let fill = self.fill(*fill);
                let how = if *right { "ljust" } else { "rjust" };
                format!("{of}.{how}({width}, {fill})")
            }
            Text::Replace { of, from, to } => {
                let of = self.text(of, scope);
                let from = self.string("old", from, "What is replaced.");
                let to = self.string("new", to, "What it is replaced by.");
                format!("{of}.replace({from}, {to})")
            }
            Text::Only { of, class } => {
                let of = self.text(of, scope);
                format!("\"\".join(runs({of}, \"{}\"))", class.name())
            }
            Text::Words {
                of,
                cut,
                arrange,
                case,
                join,
            } => {
                let of = self.text(of, scope);
                let words = self.cut(cut, &of, *arrange);
                let join = self.string("joiner", join, "Put between the words.");
                match case {
                    None => format!("{join}.join({words})"),
                    Some(case) => {
                        format!("{join}.join({} for word in {words})", cased(*case, "word"))
                    }
                }
            }
            Text::Date {
                of,
                part,
                day_first,
            } => {
                let of = self.text(of, scope);
                let first = if *day_first { ", day_first=True" } else { "" };
                format!("date_part({of}, \"{}\"{first})", part.name())
            }
            Text::Number {
                of,
                scale,
                places,
                thousands,
            } => {
                let of = self.text(of, scope);
                let mut out = format!("number_text(number_in({of})");
                if *scale != 1.0 {
                    let schema = json!({"type": "number", "description": "The number times this."});
                    out.push_str(", ");
                    out.push_str(&self.constant("scale", json!(scale), schema));
                }
                if let Some(places) = places {
                    let places = self.whole("places", *places, 9, "Digits behind the point.");
                    out.push_str(", places=");
                    out.push_str(&places);
                }
                if *thousands {
                    out += ", thousands=True";
                }
                out + ")"
            }
            Text::Mask { of, keep, fill } => {
                let of = self.text(of, scope);
                let keep = self.whole(
                    "keep",
                    *keep,
                    200,
                    "Characters at the end left as they are.",
                );
                let fill = self.fill(*fill);
                format!("masked({of}, {keep}, {fill})")
            }
            Text::Tally { of, what } => {
                let of = self.text(of, scope);
                format!("tally({of}, \"{}\")", Tally::name(*what))
            }
        }
    }

    fn beside(&mut self, how: &str, of: &Text, mark: &str, last: bool, scope: &Scope) -> String {
        let of = self.text(of, scope);
        let schema = json!({"type": "string", "minLength": 1, "maxLength": 200,
            "description": "Where the text is cut."});
        let mark = self.constant("mark", json!(mark), schema);
        let last = if last { ", last=True" } else { "" };
        format!("{how}({of}, {mark}{last})")
    }

    fn cut(&mut self, cut: &Cut, of: &str, arrange: Arrange) -> String {
        let how = if arrange == Arrange::AsIs {
            String::new()
        } else {
            format!(", \"{}\"", arrange.name())
        };
        match cut {
            Cut::Blanks => format!("words({of}, \"filled\"{how})"),
            Cut::Humps => format!("words({of}, \"humps\"{how})"),
            Cut::Runs(class) => format!("words({of}, \"{}\"{how})", class.name()),
            Cut::At(by) => {
                let by = self.separator(by);
                format!("parts({of}, {by}{how})")
            }
        }
    }

    fn test(&mut self, test: &Test, scope: &Scope) -> String {
        let inner = match test {
            Test::Contains(of, what) => {
                let what = self.string("wanted", what, "What is looked for.");
                format!("{what} in {}", self.text(of, scope))
            }
            Test::StartsWith(of, what) => {
                let what = self.string("wanted", what, "What is looked for.");
                format!("({}).startswith({what})", self.text(of, scope))
            }
            Test::EndsWith(of, what) => {
                let what = self.string("wanted", what, "What is looked for.");
                format!("({}).endswith({what})", self.text(of, scope))
            }
            Test::Equals(of, what) => {
                let what = self.string("wanted", what, "What is looked for.");
                format!("{} == {what}", self.text(of, scope))
            }
            Test::IsNumber(of) => format!("is_number({})", self.text(of, scope)),
            Test::Has(of, class) => {
                format!("bool(runs({}, \"{}\"))", self.text(of, scope), class.name())
            }
            Test::AtLeast(of, least) => {
                let schema = json!({"type": "number", "description": "From here on it holds."});
                let least = self.constant("least", json!(least), schema);
                format!("number_in({}) >= {least}", self.text(of, scope))
            }
        };
        format!("holds(lambda: {inner})")
    }

    fn program(&mut self, program: &Program, scope: &Scope, indent: usize) -> String {
        match program {
            Program::Text(text) => self.text(text, scope),
            Program::Number(text) => match self.text(text, scope) {
                joined if joined.contains(" + ") => format!("number_in(({joined}).strip(\" \"))"),
                one => format!("number_in({one}.strip(\" \"))"),
            },
            Program::Copy(None) => scope.raw.clone(),
            Program::Copy(Some(path)) => format!("at({}, {})", scope.raw, quoted(path)),
            Program::Const(value) => constant(value),
            Program::Test(test) => self.test(test, scope),
            Program::List { of, cut, each } => {
                let of = self.text(of, scope);
                let parts = self.cut(cut, &of, Arrange::AsIs);
                self.depth += 1;
                let name = if self.depth == 1 {
                    "one".to_owned()
                } else {
                    format!("one_{}", self.depth)
                };
                let inner = Scope {
                    raw: name.clone(),
                    text: name.clone(),
                    fields: format!("flat({name})"),
                };
                let each = self.program(each, &inner, indent);
                format!("[{each} for {name} in {parts}]")
            }
            Program::Record(fields) => self.object(fields, scope, indent),
            Program::Pairs {
                of,
                between,
                sign,
                numbers,
            } => {
                let of = self.text(of, scope);
                let between = self.separator(between);
                let schema = json!({"type": "string", "minLength": 1, "maxLength": 200,
                    "description": "What stands between a name and its value."});
                let sign = self.constant("sign", json!(sign), schema);
                let numbers = if *numbers { "True" } else { "False" };
                format!("pairs({of}, {between}, {sign}, {numbers})")
            }
            Program::Maybe(inner) => {
                format!("or_null(lambda: {})", self.program(inner, scope, indent))
            }
            Program::If {
                test,
                then,
                otherwise,
            } => {
                let test = self.test(test, scope);
                let then = self.program(then, scope, indent);
                let otherwise = self.program(otherwise, scope, indent);
                format!("({then} if {test} else {otherwise})")
            }
            Program::Table(table) => {
                let rows = source(&table.source, &scope.raw);
                let rows = (table.steps.iter()).fold(rows, |rows, s| step(s, &rows));
                let rows = self.mapped(table, rows, indent);
                render(&table.render, &rows)
            }
        }
    }

    fn object(&mut self, fields: &[(String, Program)], scope: &Scope, indent: usize) -> String {
        let pad = " ".repeat(indent + 4);
        let members: Vec<String> = fields
            .iter()
            .map(|(name, p)| {
                format!(
                    "{pad}{}: {},\n",
                    quoted(name),
                    self.program(p, scope, indent + 4)
                )
            })
            .collect();
        format!("{{\n{}{}}}", members.concat(), " ".repeat(indent))
    }

    fn mapped(&mut self, table: &Table, rows: String, indent: usize) -> String {
        let Some(fields) = &table.fields else {
            return rows;
        };
        let scope = Scope {
            raw: "row".to_owned(),
            text: "as_text(row)".to_owned(),
            fields: "flat(row)".to_owned(),
        };
        let row = self.object(fields, &scope, indent);
        format!("[{row} for row in {rows}]")
    }

    /// The body of `convert`, with names for what is used more than once.
    fn body(&mut self, program: &Program) -> String {
        // A test may ask of what does not fit: then the value is read where it is asked.
        let shown = format!("{program:?}");
        let asked = ["If {", "Test(", "Maybe("]
            .iter()
            .any(|t| shown.contains(t));
        let scope = Scope {
            raw: "value".to_owned(),
            text: if asked { "as_text(value)" } else { "text" }.to_owned(),
            fields: if asked { "flat(value)" } else { "fields" }.to_owned(),
        };
        if let Program::Table(table) = program {
            let mut lines = vec![format!("    rows = {}", source(&table.source, "value"))];
            lines.extend((table.steps.iter()).map(|s| format!("    rows = {}", step(s, "rows"))));
            if table.fields.is_some() {
                let mapped = self.mapped(table, "rows".to_owned(), 4);
                lines.push(format!("    rows = {mapped}"));
            }
            lines.push(format!("    return {}", render(&table.render, "rows")));
            return lines.join("\n");
        }
        let result = self.program(program, &scope, 4);
        let mut lines = Vec::new();
        for (name, of) in [("text", "as_text(value)"), ("fields", "flat(value)")] {
            if !asked && mentions(&result, name) && needs(program, name) {
                lines.push(format!("    {name} = {of}"));
            }
        }
        lines.push(format!("    return {result}"));
        lines.join("\n")
    }
}

/// Whether the program reads the input as text, or its fields.
fn needs(program: &Program, name: &str) -> bool {
    let shown = format!("{program:?}");
    if name == "text" {
        shown.contains("Input")
    } else {
        shown.contains("Field(")
    }
}

fn quoted(text: &str) -> String {
    literal(&Value::from(text))
}

fn strings(items: &[String]) -> String {
    let all: Vec<String> = items.iter().map(|i| quoted(i)).collect();
    format!("[{}]", all.join(", "))
}

fn constant(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(constant).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let members: Vec<String> = map
                .iter()
                .map(|(k, v)| format!("{}: {}", quoted(k), constant(v)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        scalar => literal(scalar),
    }
}

fn cased(case: Case, of: &str) -> String {
    match case {
        Case::Lower => format!("{of}.lower()"),
        Case::Upper => format!("{of}.upper()"),
        Case::Capital => format!("capital({of})"),
        Case::Title => format!("title({of})"),
        Case::Initial => format!("{of}[:1]"),
        Case::InitialUpper => format!("{of}[:1].upper()"),
    }
}

fn source(source: &Source, value: &str) -> String {
    match source {
        Source::Rows => format!("object_rows({value})"),
        Source::Inside(name) => format!("spread({value}, {})", quoted(name)),
        Source::Columns => format!("column_rows({value})"),
        Source::Keyed(key) => format!("keyed_rows({value}, {})", quoted(key)),
        Source::Csv(by) => format!("csv_rows({value}, {})", quoted(by)),
        Source::Jsonl => format!("jsonl_rows({value})"),
        Source::Lines => format!("line_rows({value})"),
    }
}

fn truth(yes: bool) -> &'static str {
    if yes { "True" } else { "False" }
}

fn step(step: &Step, rows: &str) -> String {
    match step {
        Step::Flatten => format!("[flat_object(row) for row in {rows}]"),
        Step::Explode(name) => format!("explode({rows}, {})", quoted(name)),
        Step::SplitRows(name, by) => {
            format!("split_rows({rows}, {}, {})", quoted(name), quoted(by))
        }
        Step::Melt {
            keep,
            name,
            value,
            order,
        } => format!(
            "melt({rows}, {}, {}, {}, {})",
            strings(keep),
            quoted(name),
            quoted(value),
            strings(order)
        ),
        Step::Pivot { name, value } => {
            format!("pivot({rows}, {}, {})", quoted(name), quoted(value))
        }
        Step::Where(name, value, is) => format!(
            "where({rows}, {}, {}, {})",
            quoted(name),
            constant(value),
            truth(*is)
        ),
        Step::Filled(name) => format!("filled({rows}, {})", quoted(name)),
        Step::Sort(name, descending) => {
            format!("ordered({rows}, {}, {})", quoted(name), truth(*descending))
        }
        Step::Unique(by) => format!("unique({rows}, {})", strings(by)),
        Step::Group { by, folds } => {
            let folds: Vec<String> = folds
                .iter()
                .map(|(f, how, called)| {
                    format!(
                        "({}, \"{}\", {})",
                        quoted(f),
                        Fold::name(*how),
                        quoted(called)
                    )
                })
                .collect();
            format!("group({rows}, {}, [{}])", strings(by), folds.join(", "))
        }
        Step::FillDown(name) => format!("fill_down({rows}, {})", quoted(name)),
    }
}

fn render(render: &Render, rows: &str) -> String {
    match render {
        Render::Rows => rows.to_owned(),
        Render::Columns => format!("as_columns({rows})"),
        Render::Keyed(key) => format!("as_keyed({rows}, {})", quoted(key)),
        Render::Map(key, value) => format!(
            "{{as_text(row[{}]): row[{}] for row in {rows}}}",
            quoted(key),
            quoted(value)
        ),
        Render::List(name) => format!("[row[{}] for row in {rows}]", quoted(name)),
        Render::Csv(by, names) => {
            format!("as_csv({rows}, {}, {})", quoted(by), strings(names))
        }
        Render::Jsonl(names, spaced) => {
            format!("as_jsonl({rows}, {}, {})", strings(names), truth(*spaced))
        }
    }
}

/// Parts of a time of day, and of a date, by the names that `date_part` has for them.
const CLOCK_PARTS: [&str; 6] = [
    "hour",
    "plain_hour",
    "half_hour",
    "minute",
    "second",
    "half",
];
const DAY_PARTS: [&str; 14] = [
    "year",
    "short_year",
    "month",
    "plain_month",
    "month_name",
    "short_month_name",
    "day",
    "plain_day",
    "day_with_ending",
    "weekday",
    "short_weekday",
    "quarter",
    "day_of_year",
    "iso",
];

const TEXT: &str = include_str!("../emit/parts/example_text.py");
const DATES: &str = include_str!("../emit/parts/example_dates.py");
const TABLE: &str = include_str!("../emit/parts/example_table.py");
const READ: &str = include_str!("../emit/parts/read.py");
const READ_ANY: &str = include_str!("../emit/parts/read_any.py");

const RUN_ITEMS: &str = r#"    """Convert every item; null where one does not fit, counted as `failed`."""
    results, failed = [], 0
    for item in items:
        try:
            results.append(@CONVERT@(item@PASSED@))
        except (LookupError, ValueError):
            results.append(None)
            failed += 1
    return {"results": results, "failed": failed}
"#;

const RUN_RECORDS: &str = r#"    """Convert every record of a file; null where one does not fit, counted as `failed`."""
    tally = new_tally()
    results, failed = [], 0
    for record in read_records(data, format, tally):
        if len(results) == @MOST@:
            raise ValueError("more than @MOST@ records")
        try:
            results.append(@CONVERT@(@ITEM@@PASSED@))
        except (LookupError, ValueError):
            results.append(None)
            failed += 1
    if field is not None and tally["fields"] and field not in tally["fields"]:
        raise ValueError(f"no field `{field}`; the fields are: {', '.join(list(tally['fields'])[:40])}")
    return {"results": results, "failed": failed, "read": tally["read"], "skipped": tally["skipped"]}
"#;

const RUN_WHOLE: &str = r#"    """Convert the records of a file, all together."""
    tally = new_tally()
    rows = []
    for record in read_records(data, format, tally):
        if len(rows) == @MOST@:
            raise ValueError("more than @MOST@ records")
        rows.append(record)
    try:
        result = @CONVERT@(rows@PASSED@)
    except LookupError as error:
        raise ValueError(f"the records lack {error}") from None
    return {"result": result, "read": tally["read"], "skipped": tally["skipped"]}
"#;

/// Most results of one call; rows of a file.
pub(crate) const MAX_RESULTS: usize = 50_000;

/// The module: what it does, the helpers that it uses, `convert`, and `run`.
pub(crate) fn module(
    program: &Program,
    over: &Over,
    description: &str,
    shown: &str,
    format: &str,
) -> Written {
    let mut writer = Writer {
        constants: Vec::new(),
        depth: 0,
    };
    let body = writer.body(program);
    let constants = writer.constants;
    let typed: Vec<String> = constants
        .iter()
        .map(|c| format!("{}: {}", c.name, c.annotation()))
        .collect();
    let passed: Vec<String> = constants.iter().map(|c| format!(", {}", c.name)).collect();
    let with: Vec<String> = typed.iter().map(|t| format!(", {t}")).collect();
    let convert = format!(
        "def convert(value{}):\n    \"\"\"{}\"\"\"\n{body}\n",
        with.concat(),
        shown,
    );
    let defaults: Vec<String> = constants
        .iter()
        .map(|c| {
            format!(
                "    {}: {} = {},\n",
                c.name,
                c.annotation(),
                literal(&c.value)
            )
        })
        .collect();
    let (own, run) = match over {
        Over::Items => ("    items: list,\n".to_owned(), RUN_ITEMS),
        Over::Records { field } => (
            format!(
                "    data: str,\n    format: str = \"{format}\",\n    field: str | None = {},\n",
                literal(&json!(field))
            ),
            RUN_RECORDS,
        ),
        Over::Whole => (
            format!("    data: str,\n    format: str = \"{format}\",\n"),
            RUN_WHOLE,
        ),
    };
    let item = "record if field is None else record.get(field)";
    let run = run
        .replace("@CONVERT@", "convert")
        .replace("@ITEM@", item)
        .replace("@PASSED@", &passed.concat())
        .replace("@MOST@", &MAX_RESULTS.to_string());
    let run = format!(
        "def run(\n    *,\n{own}{}) -> dict:\n{run}",
        defaults.concat()
    );
    let own = format!("{convert}\n\n{run}");
    // Of what a helper can do by name stands what is called for by that name.
    let tallies = mentions(&own, "tally(");
    let said = |name: &str| own.contains(&format!("\"{name}\""));
    let called = |name: &str| match name {
        "of_clock" => CLOCK_PARTS.iter().any(|part| said(part)),
        "of_day" => DAY_PARTS.iter().any(|part| said(part)),
        "of_weekday" => said("weekday") || said("short_weekday"),
        "of_month" => said("month_name") || said("short_month_name"),
        "decimal" | "filled" => tallies || said(name),
        _ => said(name),
    };
    let [text, dates, table] = [TEXT, DATES, TABLE].map(|source| marked(source, called));
    let [read, read_any] = [READ, READ_ANY].map(unplaced);
    let sources: [&str; 5] = [&read, &read_any, &text, &dates, &table];
    let code = shaken(description, &sources, &own);
    Written { code, constants }
}
