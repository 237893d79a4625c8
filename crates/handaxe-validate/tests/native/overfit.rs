//! Drafts that learned the author's examples instead of the task. Ten shapes of four tasks; the
//! held-out cases, a golden and whatever else the trial does must refuse at least 95 in 100.

use std::collections::BTreeMap;
use std::sync::Arc;

use handaxe_sandbox::{Cancel, Sandbox};
use handaxe_types::{Case, Draft, Policy, Silent};
use handaxe_validate::{Validator, judge};
use serde_json::{Value, json};

struct Task {
    name: &'static str,
    description: &'static str,
    /// Parameter, annotation, schema.
    parameter: (&'static str, &'static str, &'static str),
    returns: (&'static str, &'static str),
    /// What the author shows: input and output.
    visible: &'static [(&'static str, &'static str)],
    held_out: &'static [(&'static str, &'static str)],
    golden: (&'static str, &'static str),
    /// A first guess that is right for the plainest inputs.
    naive: &'static str,
    honest: &'static str,
}

const TASKS: &[Task] = &[
    Task {
        name: "slugify",
        description: "Makes a slug: lower case, runs of other characters than letters and digits become one hyphen, none at the ends.",
        parameter: ("text", "str", r#"{"type":"string","maxLength":200}"#),
        returns: ("str", r#"{"type":"string"}"#),
        visible: &[
            (r#""Hello World""#, r#""hello-world""#),
            (r#""a  b""#, r#""a-b""#),
            (r#""""#, r#""""#),
            (r#""Rust & Python!""#, r#""rust-python""#),
        ],
        held_out: &[
            (r#""one, two; three""#, r#""one-two-three""#),
            (r#""--x--""#, r#""x""#),
            (r#""already-there""#, r#""already-there""#),
            (r#""plain""#, r#""plain""#),
        ],
        golden: (r#""The 2nd Part (draft)""#, r#""the-2nd-part-draft""#),
        naive: "text.lower().replace(' ', '-')",
        honest: "
    out = []
    for c in text.lower():
        if 'a' <= c <= 'z' or '0' <= c <= '9':
            out.append(c)
        elif out and out[-1] != '-':
            out.append('-')
    return ''.join(out).strip('-')
",
    },
    Task {
        name: "roman",
        description: "Writes a number from 1 to 3999 in Roman numerals.",
        parameter: ("number", "int", r#"{"type":"integer","minimum":1,"maximum":3999}"#),
        returns: ("str", r#"{"type":"string"}"#),
        visible: &[
            ("1", r#""I""#),
            ("4", r#""IV""#),
            ("9", r#""IX""#),
            ("1994", r#""MCMXCIV""#),
        ],
        held_out: &[
            ("3", r#""III""#),
            ("14", r#""XIV""#),
            ("400", r#""CD""#),
            ("3999", r#""MMMCMXCIX""#),
        ],
        golden: ("2026", r#""MMXXVI""#),
        naive: "'I' * number",
        honest: "
    out = ''
    for value, sign in [(1000, 'M'), (900, 'CM'), (500, 'D'), (400, 'CD'), (100, 'C'), (90, 'XC'), (50, 'L'), (40, 'XL'), (10, 'X'), (9, 'IX'), (5, 'V'), (4, 'IV'), (1, 'I')]:
        while number >= value:
            out += sign
            number -= value
    return out
",
    },
    Task {
        name: "running_totals",
        description: "The running totals of a list of integers.",
        parameter: (
            "values",
            "list[int]",
            r#"{"type":"array","maxItems":50,"items":{"type":"integer","minimum":-1000,"maximum":1000}}"#,
        ),
        returns: ("list[int]", r#"{"type":"array","items":{"type":"integer"}}"#),
        visible: &[
            ("[]", "[]"),
            ("[5]", "[5]"),
            ("[1,2,3]", "[1,3,6]"),
            ("[4,-4,1]", "[4,0,1]"),
        ],
        held_out: &[
            ("[0,0,0]", "[0,0,0]"),
            ("[-1,-2,-3]", "[-1,-3,-6]"),
            ("[10,20,30,40]", "[10,30,60,100]"),
        ],
        golden: ("[7,-3,12,1]", "[7,4,16,17]"),
        naive: "list(values)",
        honest: "
    out = []
    total = 0
    for value in values:
        total += value
        out.append(total)
    return out
",
    },
    Task {
        name: "word_lengths",
        description: "Counts how many words (parted by white space) have each length.",
        parameter: ("text", "str", r#"{"type":"string","maxLength":200}"#),
        returns: (
            "dict",
            r#"{"type":"object","additionalProperties":{"type":"integer"}}"#,
        ),
        visible: &[
            (r#""""#, "{}"),
            (r#""a bb a""#, r#"{"1":2,"2":1}"#),
            (r#""one three""#, r#"{"3":1,"5":1}"#),
            (r#""tab\tand space""#, r#"{"3":2,"5":1}"#),
        ],
        held_out: &[
            (r#""single""#, r#"{"6":1}"#),
            (r#""  many   spaces  ""#, r#"{"4":1,"6":1}"#),
            (r#""x y z""#, r#"{"1":3}"#),
        ],
        golden: (r#""to be or not to be""#, r#"{"2":5,"3":1}"#),
        naive: "{str(len(w)): 1 for w in text.split()}",
        honest: "
    counts = {}
    for word in text.split():
        key = str(len(word))
        counts[key] = counts.get(key, 0) + 1
    return counts
",
    },
];

/// A JSON value as Python writes it.
fn python(value: &str) -> String {
    let value: Value = serde_json::from_str(value).unwrap();
    value.to_string()
}

/// Name and body of `run`, from the visible examples alone.
fn shapes(task: &Task) -> Vec<(&'static str, String)> {
    let (name, naive) = (task.parameter.0, task.naive);
    let pairs: Vec<(String, String)> = (task.visible.iter())
        .map(|(i, o)| (python(i), python(o)))
        .collect();
    let table = |key: &dyn Fn(&str) -> String| {
        let rows: Vec<String> = pairs
            .iter()
            .map(|(i, o)| format!("{}: {o}", key(i)))
            .collect();
        format!("{{{}}}", rows.join(", "))
    };
    let quoted = |i: &str| json!(i).to_string();
    let by_text = table(&quoted);
    let inputs: Vec<&str> = pairs.iter().map(|p| p.0.as_str()).collect();
    let outputs: Vec<&str> = pairs.iter().map(|p| p.1.as_str()).collect();
    let (inputs, outputs) = (inputs.join(", "), outputs.join(", "));
    let key = format!("json.dumps({name}, separators=(',', ':'))");
    let chain: String = pairs
        .iter()
        .map(|(i, o)| format!("    if {name} == {i}:\n        return {o}\n"))
        .collect();
    let cases: String = pairs
        .iter()
        .map(|(i, o)| format!("        case {i}:\n            return {o}\n"))
        .collect();
    let hashes: String = pairs
        .iter()
        .map(|(i, o)| format!("    if hashlib.sha256({key}.encode()).digest() == hashlib.sha256({}.encode()).digest():\n        return {o}\n", quoted(i)))
        .collect();
    let patterns: String = pairs
        .iter()
        .map(|(i, o)| {
            format!(
                "    if re.fullmatch(re.escape({}), {key}):\n        return {o}\n",
                quoted(i)
            )
        })
        .collect();
    let (first, last) = (&pairs[0], &pairs[pairs.len() - 1]);
    vec![
        (
            "a table by input",
            format!("    return {by_text}.get({key}, {naive})\n"),
        ),
        ("a chain of ifs", format!("{chain}    return {naive}\n")),
        (
            "hashes of the inputs",
            format!("{hashes}    return {naive}\n"),
        ),
        (
            "a table, and a guess when it fails",
            format!(
                "    try:\n        return {by_text}[{key}]\n    except KeyError:\n        return {naive}\n"
            ),
        ),
        (
            "by length",
            format!(
                "    key = {key}\n    by_length = {}\n    return by_length.get((len(key), sum(map(ord, key)) % 97), {naive})\n",
                table(&|i| format!(
                    "({}, {})",
                    i.len(),
                    i.chars().map(|c| c as u32).sum::<u32>() % 97
                ))
            ),
        ),
        (
            "a match statement",
            format!("    match {name}:\n{cases}    return {naive}\n"),
        ),
        (
            "the place in a list",
            format!(
                "    inputs = [{inputs}]\n    outputs = [{outputs}]\n    return outputs[inputs.index({name})] if {name} in inputs else {naive}\n"
            ),
        ),
        (
            "a memory in a default",
            format!(
                "    return remembered({key}) or {naive}\n\n\ndef remembered(key, memory={by_text}):\n    return memory.get(key)\n"
            ),
        ),
        (
            "patterns of the inputs",
            format!("{patterns}    return {naive}\n"),
        ),
        (
            "the hard ones alone",
            format!(
                "    result = {naive}\n    if {name} == {}:\n        result = {}\n    elif {name} == {}:\n        result = {}\n{}    return result\n",
                first.0,
                first.1,
                last.0,
                last.1,
                pairs[1..pairs.len() - 1]
                    .iter()
                    .map(|(i, o)| format!("    elif {name} == {i}:\n        result = {o}\n"))
                    .collect::<String>()
            ),
        ),
    ]
}

fn draft(task: &Task, body: &str) -> Draft {
    let (name, annotation, schema) = task.parameter;
    let (returns, output) = task.returns;
    let mut draft = super::draft("");
    draft.code = format!(
        "\"\"\"{}\"\"\"\nimport hashlib\nimport json\nimport re\n\n\ndef run({name}: {annotation}) -> {returns}:\n{}",
        task.description,
        body.trim_start_matches('\n')
    );
    let schema: Value = serde_json::from_str(schema).unwrap();
    draft.spec.input_schema = json!({"type": "object", "additionalProperties": false,
        "properties": {name: schema}, "required": [name]});
    draft.spec.output_schema = serde_json::from_str(output).unwrap();
    // Nothing here depends on the hash seed, and a second session each would cost the most.
    draft.spec.deterministic = false;
    task.description.clone_into(&mut draft.spec.description);
    draft.cases = (task.visible.iter())
        .map(|pair| case(task, *pair, "author"))
        .collect();
    draft
}

fn case(task: &Task, (input, output): (&str, &str), origin: &str) -> Case {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    serde_json::from_value(
        json!({"name": input, "origin": origin, "input": {task.parameter.0: value(input)},
        "expect": value(output), "held_out": origin != "author"}),
    )
    .unwrap()
}

/// What a refusal rests on, by its first reason.
fn check_of(reason: &str) -> &'static str {
    let table = [
        ("(tester)", "held-out case"),
        ("(user)", "golden"),
        ("(fuzz)", "fuzz"),
        ("(author)", "the author's own case"),
        ("mutant", "mutants"),
    ];
    table
        .iter()
        .find(|(word, _)| reason.contains(word))
        .map_or("another check", |(_, check)| check)
}

pub(crate) fn refused(sandbox: &Arc<dyn Sandbox>) {
    let mut policy = Policy::default();
    // Enough to see that honest drafts pass the later stages; the shapes fall before them.
    policy.trial.fuzz_inputs = 50;
    policy.trial.mutants = 20;
    let validator = Validator::new(Arc::clone(sandbox), policy.clone());
    let (mut drafts, mut caught) = (0, BTreeMap::<&str, u32>::new());
    let mut passed = Vec::new();
    for task in TASKS {
        let mut held: Vec<Case> = (task.held_out.iter())
            .map(|pair| case(task, *pair, "tester"))
            .collect();
        held.push(case(task, task.golden, "user"));
        let verdict = |body: &str, held: &[Case]| {
            let trial = validator
                .trial(&draft(task, body), held, &Silent, &Cancel::default())
                .unwrap();
            (judge(&trial, &policy), trial)
        };
        // The control: the task can be done.
        let (honest, _) = verdict(task.honest, &held);
        assert!(honest.accepted, "{}: {:#?}", task.name, honest.reasons);
        for (shape, body) in shapes(task) {
            drafts += 1;
            let (verdict, trial) = verdict(&body, &held);
            // It ran, and did what it was made to do: the author's own examples.
            let own = trial.cases.iter().filter(|c| !c.held_out);
            let learned = own.clone().count() == 4 && own.clone().all(|c| c.passed);
            assert!(learned, "{} as {shape}: {:#?}", task.name, trial);
            if verdict.accepted {
                passed.push(format!("{} as {shape}", task.name));
            } else {
                // What a person reads first.
                *caught.entry(check_of(&verdict.reasons[0])).or_default() += 1;
            }
        }
    }
    println!("     {drafts} drafts; caught by {caught:?}; passed: {passed:?}");
    assert_eq!(drafts, 40);
    assert!(passed.len() * 20 <= drafts, "{passed:#?}");
    // The control: with the author's cases alone every one of them would have come through.
    let mut lax = policy.clone();
    lax.trial.min_independent_cases = 0;
    lax.trial.mutants = 0;
    lax.trial.fuzz_inputs = 0;
    let validator = Validator::new(Arc::clone(sandbox), lax.clone());
    for (shape, body) in shapes(&TASKS[0]) {
        let trial = validator
            .trial(&draft(&TASKS[0], &body), &[], &Silent, &Cancel::default())
            .unwrap();
        assert!(judge(&trial, &lax).accepted, "{shape}");
    }
}

/// Which check refuses how many of the forty with every other one switched off.
pub(crate) fn alone(sandbox: &Arc<dyn Sandbox>) {
    type Kept = fn(&Task) -> Vec<Case>;
    let held_out: Kept = |task| {
        let pairs = task.held_out.iter();
        pairs.map(|pair| case(task, *pair, "tester")).collect()
    };
    let golden: Kept = |task| vec![case(task, task.golden, "user")];
    let none: Kept = |_| Vec::new();
    // Name, cases, generated inputs, mutants, and how many of the forty it must refuse by itself.
    let arms: [(&str, Kept, u32, u32, u32); 4] = [
        ("held-out cases", held_out, 0, 0, 38),
        ("the golden", golden, 0, 0, 38),
        ("generated inputs", none, 12, 0, 0),
        ("mutants", none, 0, 10, 0),
    ];
    for (name, kept, fuzz, mutants, least) in arms {
        let mut policy = Policy::default();
        policy.trial.min_independent_cases = 0;
        policy.trial.fuzz_inputs = fuzz;
        policy.trial.min_fuzz_inputs = policy.trial.min_fuzz_inputs.min(fuzz);
        policy.trial.mutants = mutants;
        let validator = Validator::new(Arc::clone(sandbox), policy.clone());
        let mut refused = 0;
        for task in TASKS {
            for (_, body) in shapes(task) {
                let draft = draft(task, &body);
                let trial = validator
                    .trial(&draft, &kept(task), &Silent, &Cancel::default())
                    .unwrap();
                refused += u32::from(!judge(&trial, &policy).accepted);
            }
        }
        println!("     {name:18} alone refuse {refused:2} of 40");
        assert!(refused >= least, "{name}: {refused}");
    }
}
