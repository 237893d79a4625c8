//! stub
use handaxe_types::Draft;
pub fn check_template(_draft: &Draft) -> Vec<String> {
    Vec::new()
}
