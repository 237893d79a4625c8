//! The whole library as a static site: plain files that need no server, no script and nothing from
//! elsewhere. The index is a list that a small script can filter; every version has a page, and
//! beside it the signed folder, so that a page's claims can be checked.

mod pages;
mod text;

use askama::Template as _;
use handaxe_registry::{Files, ToolDetail};

use crate::formats::{MARK, pretty};
use pages::{IndexPage, ToolPage};

const STYLE: &str = include_str!("../assets/site.css");
const SCRIPT: &str = include_str!("../assets/search.js");

/// A version with its signed folder.
#[derive(Debug)]
pub struct Page {
    pub detail: ToolDetail,
    pub signed: Files,
}

/// Why the site could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    #[error("the page {page} could not be made")]
    Page { page: String, source: askama::Error },
    #[error("the site's mark could not be made")]
    Mark(#[from] crate::formats::FormatError),
}

/// The site's files. `pages` come by name, the newest version of a name first.
pub fn site(pages: &[Page]) -> Result<Files, SiteError> {
    let mut files = Files::from([
        ("style.css".to_owned(), STYLE.into()),
        ("search.js".to_owned(), SCRIPT.into()),
    ]);
    let mark = serde_json::json!({"format": "site", "tools": pages.len()});
    files.insert(MARK.to_owned(), pretty("the mark", &mark)?);
    let render = |page: &str, made: askama::Result<String>| {
        made.map(String::into_bytes)
            .map_err(|source| SiteError::Page {
                page: page.to_owned(),
                source,
            })
    };
    let index = render("index.html", IndexPage::new(pages).render())?;
    files.insert("index.html".to_owned(), index);
    let highlighter = text::Highlighter::new();
    for page in pages {
        let slug = pages::slug(&page.detail.summary);
        let name = format!("tools/{slug}.html");
        let body = render(&name, ToolPage::new(page, pages, &highlighter).render())?;
        files.insert(name, body);
        for (file, bytes) in &page.signed {
            files.insert(format!("tools/{slug}/{file}"), bytes.clone());
        }
    }
    Ok(files)
}
