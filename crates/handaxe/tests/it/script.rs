//! Scripted conversations and hand-written tools, made where they are used.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::lab::Lab;

/// What a model will say, role by role; written as a cassette labelled `scripted`.
#[derive(Clone)]
pub(crate) struct Script(Vec<Value>);

impl Script {
    pub(crate) fn new() -> Self {
        Self(vec![json!({"kind": "scripted"})])
    }

    pub(crate) fn says(mut self, role: &str, reply: Value) -> Self {
        let usage = json!({"input": 1000, "output": 100});
        self.0
            .push(json!({"role": role, "reply": reply, "usage": usage}));
        self
    }

    pub(crate) fn plans(self, plan: Value) -> Self {
        self.says("planner", plan)
    }

    /// Make the tool, under a plan that needs nothing.
    pub(crate) fn plans_to_make(self, name: &str) -> Self {
        self.plans(json!({
            "steps": ["Write it.", "Use it."], "route": "make", "name": name,
            "purpose": "Looks at a text.", "domain": "text", "needs": [],
        }))
    }

    pub(crate) fn writes(self, tool: &Tool, invocation: Value) -> Self {
        let reply = tool.reply(&invocation);
        self.says("author", json!(reply))
    }

    pub(crate) fn tests(self, cases: Value) -> Self {
        self.says("tester", json!({ "cases": cases }))
    }

    pub(crate) fn reviews(self, objections: Value) -> Self {
        let reply = json!({"summary": "It does that.", "objections": objections});
        self.says("reviewer", reply)
    }

    /// The `--model` argument.
    pub(crate) fn save(&self, lab: &Lab, name: &str) -> String {
        let lines: Vec<String> = self.0.iter().map(Value::to_string).collect();
        let path = lab.file(&format!("{name}.jsonl"), lines.join("\n"));
        format!("replay:{}", path.display())
    }
}

/// A small tool, as a person or a model writes it.
#[derive(Clone)]
pub(crate) struct Tool {
    pub(crate) spec: Value,
    pub(crate) code: String,
    pub(crate) cases: Vec<Value>,
}

impl Tool {
    /// One input, one output; both described by their schemas.
    pub(crate) fn new(name: &str, does: &str, input: (&str, Value), output: (&str, Value)) -> Self {
        let object = |(name, schema): (&str, Value)| {
            json!({
                "type": "object", "additionalProperties": false, "required": [name],
                "properties": {name: schema},
            })
        };
        Self {
            spec: json!({
                "name": name, "description": does, "domain": "text",
                "input_schema": object(input), "output_schema": object(output),
                "capabilities": [], "deterministic": true,
            }),
            code: String::new(),
            cases: Vec::new(),
        }
    }

    pub(crate) fn code(mut self, code: &str) -> Self {
        code.clone_into(&mut self.code);
        self
    }

    pub(crate) fn case(mut self, input: Value, expect: Value) -> Self {
        let name = format!("case {}", self.cases.len() + 1);
        self.cases
            .push(json!({"name": name, "input": input, "expect": expect}));
        self
    }

    /// As an author replies: three fenced blocks.
    pub(crate) fn reply(&self, invocation: &Value) -> String {
        let cases: Vec<String> = self.cases.iter().map(Value::to_string).collect();
        let spec = json!({"spec": self.spec, "invocation": invocation});
        format!(
            "```json\n{spec}\n```\n```python\n{}```\n```jsonl\n{}\n```\n",
            self.code,
            cases.join("\n")
        )
    }

    pub(crate) fn folder(&self, lab: &Lab) -> PathBuf {
        let name = self.spec["name"].as_str().unwrap();
        let lines: Vec<String> = self.cases.iter().map(Value::to_string).collect();
        lab.file(&format!("{name}/tool.py"), &self.code);
        lab.file(&format!("{name}/cases.jsonl"), lines.join("\n"));
        let spec = lab.file(&format!("{name}/spec.json"), self.spec.to_string());
        spec.parent().unwrap().to_owned()
    }

    /// Registers it as a person's own.
    pub(crate) fn import(&self, lab: &Lab) {
        let folder = self.folder(lab);
        lab.run(&["tools", "import", folder.to_str().unwrap(), "--yes"])
            .exits(0);
    }
}

pub(crate) fn text() -> Value {
    json!({"type": "string", "maxLength": 2000})
}

pub(crate) fn integer() -> Value {
    json!({"type": "integer"})
}

/// text → count of its words.
pub(crate) fn count_words() -> Tool {
    Tool::new(
        "count_words",
        "Counts the words of a text; words are what stands between blanks.",
        ("text", text()),
        ("count", integer()),
    )
    .code(
        "\"\"\"Counts words.\"\"\"\n\n\ndef run(*, text: str) -> dict[str, int]:\n    \"\"\"Count what stands between blanks.\"\"\"\n    return {\"count\": len(text.split())}\n",
    )
    .case(json!({"text": "one two  three"}), json!({"count": 3}))
    .case(json!({"text": ""}), json!({"count": 0}))
    .case(json!({"text": " a\n"}), json!({"count": 1}))
}

/// Cases that a tester could have written for [`count_words`].
pub(crate) fn word_cases() -> Value {
    json!([
        {"name": "four", "input": {"text": "a b c d"}, "expect": {"count": 4}},
        {"name": "only blanks", "input": {"text": " \t\n "}, "expect": {"count": 0}},
        {"name": "no less than none", "input": {"text": "x-y z"}, "holds": "output['count'] == 2"},
    ])
}
