//! Words find tools; no text is a syntax error.

use handaxe_registry::StateChange;

use crate::common::{Home, draft, tool};

#[test]
fn words_find_active_tools() {
    let home = Home::new();
    for (name, description) in [
        ("sentiment_analyzer", "Scores the sentiment of texts."),
        ("column_mean", "The mean of a numeric column."),
        ("word_counter", "Counts words in a text."),
    ] {
        let mut draft = draft(name, "asked by someone");
        draft.spec.description = description.into();
        home.register(&draft);
    }
    let first = |query: &str| {
        let hits = home.registry.search(query, 5).unwrap();
        hits.first().map(|h| h.tool.to_string())
    };
    assert_eq!(
        first("Analyze the sentiment of these logs").as_deref(),
        Some("sentiment_analyzer")
    );
    assert_eq!(first("means of columns").as_deref(), Some("column_mean"));
    assert_eq!(first("count WORDS").as_deref(), Some("word_counter"));
    assert_eq!(first("quantum chromodynamics"), None);

    // The newest active version answers, once.
    home.register(&draft("column_mean", "again"));
    let hits = home.registry.search("column mean", 10).unwrap();
    let means: Vec<u32> = hits
        .iter()
        .filter(|h| h.tool.as_str() == "column_mean")
        .map(|h| h.version.0)
        .collect();
    assert_eq!(means, [2]);
    home.registry
        .change_state(&tool("column_mean@2"), &StateChange::Retire, "old")
        .unwrap();
    assert_eq!(
        home.registry.search("column mean", 1).unwrap()[0].version.0,
        1
    );
    home.registry
        .change_state(&tool("column_mean@2"), &StateChange::Restore, "new")
        .unwrap();
    assert_eq!(
        home.registry.search("column mean", 1).unwrap()[0].version.0,
        2
    );
}

#[test]
fn any_text_is_a_query() {
    let home = Home::new();
    home.register(&draft("count_text", "why"));
    for query in [
        "",
        "\"",
        "'",
        "*",
        "^",
        "a*",
        "-count",
        "name:count",
        "NEAR(count text)",
        "AND",
        "OR NOT",
        "count AND",
        "(",
        "{name}: x",
        "\0count\0",
        "\u{202e}tnuoc",
        "'; DROP TABLE tool_search; --",
        "𝕔𝕠𝕦𝕟𝕥",
        "ｃｏｕｎｔ",
        &"word ".repeat(100_000),
        &"\"".repeat(10_000),
        &"x".repeat(1_000_000),
    ] {
        home.registry.search(query, 5).unwrap();
    }
    assert_eq!(home.registry.search("count", 5).unwrap().len(), 1);
}
