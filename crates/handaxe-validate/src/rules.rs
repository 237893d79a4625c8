//! The rules over a parsed module. Tables first; each fact is looked up in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use handaxe_types::{Capability, StaticPolicy};
use regex::Regex;

use crate::parse::{Called, Fact, FileMode, Module, What};

pub(crate) struct Breach {
    pub(crate) rule: &'static str,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) reason: String,
}

/// Names of standard-library modules: an attribute of a module that bears one is a way out of the
/// import list (`json.codecs`, `statistics.sys`).
static STDLIB: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    include_str!("stdlib_modules.txt")
        .split_whitespace()
        .collect()
});

/// Members that bear a module's name and are none, and submodules that hold nothing else.
const HONEST_MEMBERS: &[(&str, &str)] = &[
    ("array", "array"),
    ("bisect", "bisect"),
    ("calendar", "calendar"),
    ("copy", "copy"),
    ("datetime", "datetime"),
    ("datetime", "time"),
    ("random", "random"),
    ("time", "time"),
];
const HONEST_SUBMODULES: &[&str] = &[
    "collections.abc",
    "html.entities",
    "html.parser",
    "json.decoder",
    "json.encoder",
];

/// Public members of the allowed modules that evaluate text, open files, read attributes by
/// computed names, or look at the machine.
const REFUSED_MEMBERS: &[(&str, &str)] = &[
    ("base64", "main"),
    ("base64", "test"),
    ("calendar", "main"),
    ("dataclasses", "make_dataclass"),
    ("functools", "update_wrapper"),
    ("io", "FileIO"),
    ("io", "open"),
    ("io", "open_code"),
    ("operator", "attrgetter"),
    ("operator", "methodcaller"),
    ("string", "Formatter"),
    ("typing", "ForwardRef"),
    ("typing", "evaluate_forward_ref"),
    ("typing", "get_type_hints"),
    ("uuid", "getnode"),
    ("uuid", "main"),
    ("uuid", "uuid1"),
    ("zoneinfo", "TZPATH"),
    ("zoneinfo", "reset_tzpath"),
];

/// Parts of the allowed modules that tell the time, or how fast it goes.
const CLOCKS: &[&str] = &[
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "time.clock_gettime",
    "time.clock_gettime_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.process_time",
    "time.process_time_ns",
    "time.thread_time",
    "time.thread_time_ns",
    "time.time",
    "time.time_ns",
];

/// Special methods that a class may define, call or alias.
const MEMBERS: &str = "abs add and bool bytes call ceil complex contains copy deepcopy delitem divmod enter \
    eq exit float floor floordiv format ge getitem gt hash iadd iand ifloordiv ilshift imatmul imod imul \
    index init int invert ior ipow irshift isub iter itruediv ixor le len length_hint lshift lt matmul \
    match_args missing mod mul ne neg new next or pos post_init pow radd rand rdivmod repr reversed \
    rfloordiv rlshift rmatmul rmod rmul ror round rpow rrshift rshift rsub rtruediv rxor setitem slots \
    str sub truediv trunc xor";
/// Special attributes that may be read besides.
const READS: &[&str] = &[
    "__class__",
    "__doc__",
    "__members__",
    "__name__",
    "__qualname__",
];
/// Special names that may stand alone besides.
const NAMES: &[&str] = &[
    "__all__",
    "__author__",
    "__doc__",
    "__name__",
    "__version__",
];

/// Special names that open something when they reach an object as a string. Others (`"__total__"`)
/// are ordinary text.
const OPENERS: &str = "annotations base bases build_class builtins cached class class_getitem closure code \
    context defaults del delattr dict dir file func get getattr getattribute getstate globals import \
    init_subclass instancecheck kwdefaults loader module mro mro_entries objclass path prepare reduce \
    reduce_ex self set set_name setattr setstate spec subclasscheck subclasses subclasshook traceback \
    weakref wrapped";

/// Modules whose decorators are known, and the built-in ones.
const DECORATOR_MODULES: &[&str] = &[
    "abc",
    "contextlib",
    "dataclasses",
    "enum",
    "functools",
    "typing",
];
const DECORATORS: &[&str] = &["property", "staticmethod", "classmethod"];
const METACLASSES: &[&str] = &["ABCMeta", "EnumMeta", "EnumType"];

#[expect(
    clippy::unwrap_used,
    reason = "constant patterns, compiled by every test"
)]
fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

/// A text that is nothing but a path of names: what a lookup by string could be given.
static PATH: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[\w.\[\]]+$"));
static DUNDER: LazyLock<Regex> = LazyLock::new(|| pattern(r"__([a-z][a-z0-9_]*?)__"));
/// A replacement field of a format string, closed or cut off.
static FORMAT_FIELD: LazyLock<Regex> = LazyLock::new(|| pattern(r"\{([^{}\s]*)"));
static HOST_PATH: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^/(proc|sys|dev|etc|root|home|run|var/run|usr|boot)(/|$)"));
static CREDENTIAL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|gh[pousr]_[A-Za-z0-9]{30}|sk-[A-Za-z0-9_-]{20}|xox[abprs]-[0-9A-Za-z-]{10}|eyJ[A-Za-z0-9_-]{10,}\.eyJ",
    )
});
static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)(^|[_.])(passw(or)?d|secret|api_?key|auth_?token|access_?token|private_?key)$")
});

fn is_dunder(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

fn listed(words: &str, dunder: &str) -> bool {
    let bare = dunder.trim_start_matches("__").trim_end_matches("__");
    words.split_whitespace().any(|w| w == bare)
}

/// What the module's names stand for.
struct Scope<'a> {
    policy: &'a StaticPolicy,
    /// Bound name → module.
    modules: BTreeMap<&'a str, String>,
    /// Bound name → `module.member`.
    members: BTreeMap<&'a str, String>,
    /// Modules imported, and the packages around them.
    reachable: BTreeSet<String>,
    /// Names that the module itself defines.
    own: BTreeSet<&'a str>,
}

impl<'a> Scope<'a> {
    fn new(module: &'a Module, policy: &'a StaticPolicy) -> Self {
        let mut scope = Self {
            policy,
            modules: BTreeMap::new(),
            members: BTreeMap::new(),
            reachable: BTreeSet::new(),
            own: BTreeSet::new(),
        };
        for fact in &module.facts {
            match &fact.what {
                What::Import { module, bound } => {
                    let top = module.split('.').next().unwrap_or_default();
                    // `import a.b` binds `a`; `import a.b as c` binds `a.b`.
                    let meaning = if bound == top { top } else { module };
                    scope.modules.insert(bound, meaning.to_owned());
                    let mut path = module.as_str();
                    scope.reachable.insert(path.to_owned());
                    while let Some((package, _)) = path.rsplit_once('.') {
                        scope.reachable.insert(package.to_owned());
                        path = package;
                    }
                }
                What::ImportFrom {
                    module,
                    name,
                    bound,
                    ..
                } => {
                    let full = format!("{module}.{name}");
                    if scope.is_module(&full) {
                        scope.reachable.insert(full.clone());
                        scope.modules.insert(bound, full);
                    } else {
                        scope.members.insert(bound, full);
                    }
                }
                What::Bind(name) => {
                    scope.own.insert(name);
                }
                _ => {}
            }
        }
        scope
    }

    fn is_module(&self, path: &str) -> bool {
        HONEST_SUBMODULES.contains(&path) || self.policy.imports.iter().any(|i| i == path)
    }

    /// A dotted path with its first name replaced by what it was imported as.
    fn resolve(&self, path: &str) -> String {
        let (first, rest) = path
            .split_once('.')
            .map_or((path, None), |(f, r)| (f, Some(r)));
        let root = self
            .modules
            .get(first)
            .or_else(|| self.members.get(first))
            .map_or(first, String::as_str);
        match rest {
            None => root.to_owned(),
            Some(rest) => format!("{root}.{rest}"),
        }
    }

    /// The module that a dotted path stands for.
    fn module_at(&self, path: &str) -> Option<String> {
        let first = path.split('.').next()?;
        self.modules.get(first)?;
        let full = self.resolve(path);
        (self.reachable.contains(&full) || self.is_module(&full)).then_some(full)
    }

    fn may_import(&self, module: &str) -> bool {
        let top = module.split('.').next().unwrap_or_default();
        let private = module.split('.').skip(1).any(|part| part.starts_with('_'));
        !private && self.policy.imports.iter().any(|i| i == module || i == top)
    }
}

pub(crate) fn check(
    module: &Module,
    policy: &StaticPolicy,
    capabilities: &[Capability],
) -> Vec<Breach> {
    let scope = Scope::new(module, policy);
    let members: BTreeSet<(u32, u32)> = module
        .facts
        .iter()
        .filter(|f| matches!(f.what, What::Member(_)))
        .map(|f| (f.line, f.column))
        .collect();
    let mut found = Vec::new();
    for fact in &module.facts {
        let mut add = |rule: &'static str, reason: String| {
            found.push(Breach {
                rule,
                line: fact.line,
                column: fact.column,
                reason,
            });
        };
        // A method's name is no name of the module.
        let is_member =
            matches!(fact.what, What::Bind(_)) && members.contains(&(fact.line, fact.column));
        if !is_member {
            check_fact(fact, &scope, capabilities, &mut add);
        }
    }
    found
}

fn check_fact(
    fact: &Fact,
    scope: &Scope<'_>,
    capabilities: &[Capability],
    add: &mut dyn FnMut(&'static str, String),
) {
    match &fact.what {
        What::NonAsciiName(name) => add(
            "name.non_ascii",
            format!("the name `{}` is not ASCII", shown(name)),
        ),
        What::Import { module, bound } => {
            if !scope.may_import(module) {
                add("import.not_allowed", format!("imports `{module}`"));
            }
            name_rules(bound, scope, add);
        }
        What::ImportFrom {
            module,
            name,
            bound,
            level,
        } => {
            if *level > 0 {
                add("import.relative", "a tool is one file".to_owned());
            } else if name == "*" {
                add("import.star", format!("imports every name of `{module}`"));
            } else if scope.is_module(&format!("{module}.{name}")) {
                if !scope.may_import(&format!("{module}.{name}")) {
                    add("import.not_allowed", format!("imports `{module}.{name}`"));
                }
            } else if scope.may_import(module) {
                module_member(module, name, scope, add);
                attribute_rules(name, true, scope, add);
                clock_rules(&format!("{module}.{name}"), add);
            } else {
                add("import.not_allowed", format!("imports from `{module}`"));
            }
            if name != "*" && module != "__future__" {
                name_rules(bound, scope, add);
            }
        }
        What::Load(name) => {
            name_rules(name, scope, add);
            if let Some(module) = scope.modules.get(name.as_str()) {
                add(
                    "module.as_value",
                    format!("the module `{module}` is used as a value"),
                );
            }
            if name == "open" && !capabilities.contains(&Capability::WriteFiles) {
                add("file.write", "`open` is used as a value".to_owned());
            }
        }
        What::Root(name) | What::Bind(name) => name_rules(name, scope, add),
        What::Member(name) => {
            if is_dunder(name) && !listed(MEMBERS, name) {
                add("member.dunder", format!("defines `{name}`"));
            }
        }
        What::Attribute { base, name, load } => {
            attribute_rules(name, *load, scope, add);
            if let Some(module) = base.as_deref().and_then(|b| scope.module_at(b)) {
                module_member(&module, name, scope, add);
            }
            if let Some(base) = base {
                clock_rules(&format!("{}.{name}", scope.resolve(base)), add);
            }
        }
        What::PatternAttribute(name) => attribute_rules(name, true, scope, add),
        What::Keyword { name, .. } => {
            if is_dunder(name) && listed(OPENERS, name) {
                add("name.dunder", format!("passes `{name}`"));
            }
        }
        What::Text { value, docstring } => {
            if !docstring {
                text_rules(value, scope, add);
            }
        }
        What::NamedText { name, value } => {
            let mixed = value.bytes().any(|b| b.is_ascii_digit())
                && value.bytes().any(|b| b.is_ascii_alphabetic());
            if SECRET_NAME.is_match(name)
                && value.len() >= 8
                && mixed
                && !value.contains(char::is_whitespace)
            {
                add(
                    "string.credential",
                    format!("`{}` holds a constant", shown(name)),
                );
            }
        }
        What::Decorator(path) => decorator_rules(path.as_deref(), scope, add),
        What::Metaclass(path) => {
            let known = path
                .as_deref()
                .map(|p| scope.resolve(p))
                .is_some_and(|p| METACLASSES.iter().any(|m| p.ends_with(&format!(".{m}"))));
            if !known {
                add(
                    "class.metaclass",
                    "a class names its own metaclass".to_owned(),
                );
            }
        }
        What::Call(called) => call_rules(called, capabilities, add),
        What::TopLevel(effect) => add(
            "toplevel.effect",
            format!("{effect} runs when the module is loaded"),
        ),
    }
}

fn clock_rules(path: &str, add: &mut dyn FnMut(&'static str, String)) {
    if CLOCKS.contains(&path) {
        add("environment.clock", format!("uses `{path}`"));
    }
}

fn name_rules(name: &str, scope: &Scope<'_>, add: &mut dyn FnMut(&'static str, String)) {
    if scope.policy.names.iter().any(|n| n == name) {
        add("name.forbidden", format!("uses the name `{name}`"));
    } else if is_dunder(name) && !NAMES.contains(&name) && !listed(MEMBERS, name) {
        add("name.dunder", format!("uses the name `{}`", shown(name)));
    }
}

fn attribute_rules(
    name: &str,
    load: bool,
    scope: &Scope<'_>,
    add: &mut dyn FnMut(&'static str, String),
) {
    if scope.policy.attributes.iter().any(|n| n == name) {
        add("attribute.forbidden", format!("uses `.{name}`"));
    } else if is_dunder(name) {
        let known = if load {
            READS.contains(&name) || listed(MEMBERS, name)
        } else {
            name == "__doc__"
        };
        if !known {
            add("attribute.dunder", format!("uses `.{}`", shown(name)));
        }
    }
}

fn module_member(
    module: &str,
    name: &str,
    scope: &Scope<'_>,
    add: &mut dyn FnMut(&'static str, String),
) {
    let pair = (module, name);
    let path = format!("{module}.{}", shown(name));
    if REFUSED_MEMBERS.contains(&pair) {
        add("module.member", format!("uses `{path}`"));
    } else if name.starts_with('_') && !is_dunder(name) {
        add("module.private", format!("uses `{path}`"));
    } else if STDLIB.contains(name)
        && !HONEST_MEMBERS.contains(&pair)
        && !scope.is_module(&format!("{module}.{name}"))
    {
        add(
            "module.reexport",
            format!("reaches another module as `{path}`"),
        );
    }
}

fn text_rules(value: &str, scope: &Scope<'_>, add: &mut dyn FnMut(&'static str, String)) {
    let fields: Vec<&str> = FORMAT_FIELD
        .captures_iter(value)
        .filter_map(|c| c.get(1))
        .map(|m| m.as_str())
        .collect();
    // Prose and patterns may speak of special names; only a bare one can be looked up.
    let names = |text: &str| {
        DUNDER
            .find_iter(text)
            .map(|m| m.as_str())
            .find(|d| listed(OPENERS, d))
            .map(str::to_owned)
    };
    let bare = PATH.is_match(value).then_some(value);
    if let Some(name) = bare
        .into_iter()
        .chain(fields.iter().copied())
        .find_map(names)
    {
        add(
            "string.dunder",
            format!("a string names `{}`", shown(&name)),
        );
    }
    let reaches = fields
        .iter()
        .flat_map(|f| f.split(['.', '[', ']', '!', ':']).skip(1))
        .find(|part| part.starts_with('_') || scope.policy.attributes.iter().any(|a| a == part));
    if let Some(part) = reaches {
        add(
            "string.format_field",
            format!("a format field reads `.{}`", shown(part)),
        );
    }
    if HOST_PATH.is_match(value) {
        add("string.host_path", format!("the string `{}`", shown(value)));
    }
    if CREDENTIAL.is_match(value) {
        add(
            "string.credential",
            "a constant looks like a credential".to_owned(),
        );
    }
}

fn decorator_rules(
    path: Option<&str>,
    scope: &Scope<'_>,
    add: &mut dyn FnMut(&'static str, String),
) {
    let known = path.is_some_and(|path| {
        let root = path.split('.').next().unwrap_or_default();
        let full = scope.resolve(path);
        let module = full.rsplit_once('.').map_or("", |(m, _)| m);
        DECORATORS.contains(&path)
            || (full != path || scope.modules.contains_key(root))
                && DECORATOR_MODULES.contains(&module)
            || scope.own.contains(root)
                && !scope.modules.contains_key(root)
                && !scope.members.contains_key(root)
    });
    if !known {
        let what = path.map_or_else(|| "an expression".to_owned(), |p| format!("`{}`", shown(p)));
        add("decorator.not_allowed", format!("{what} as a decorator"));
    }
}

fn call_rules(
    called: &Called,
    capabilities: &[Capability],
    add: &mut dyn FnMut(&'static str, String),
) {
    match called.callee.as_deref() {
        Some("type") if called.positional != 1 || called.starred => {
            add(
                "class.dynamic",
                "makes a class by calling `type`".to_owned(),
            );
        }
        Some("open") => {
            let writes = called.starred
                || match &called.mode {
                    FileMode::Absent => false,
                    FileMode::Computed => true,
                    FileMode::Literal(mode) => mode.contains(['w', 'a', 'x', '+']),
                };
            if writes && !capabilities.contains(&Capability::WriteFiles) {
                add(
                    "file.write",
                    "opens a file for writing, and the spec does not ask for `write_files`"
                        .to_owned(),
                );
            } else if capabilities.is_empty() {
                add(
                    "file.open",
                    "opens a file, and the spec does not ask for `read_files`".to_owned(),
                );
            }
        }
        _ => {}
    }
}

/// Text from the source on its way to a person: bounded and escaped.
fn shown(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}
