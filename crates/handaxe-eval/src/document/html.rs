//! One page that needs nothing else: styles inside, charts drawn here, no script, light and dark.

use std::fmt::Write as _;

use super::{Bar, Document, Section, Table, Tone};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c1f23;--faint:#667079;--page:#fdfdfc;--line:#dcdfe2;--good:#2f7d5b;--bad:#b4472f;--track:#eceeef}
@media(prefers-color-scheme:dark){:root{--ink:#e4e6e8;--faint:#9aa3ab;--page:#17191c;--line:#33383d;--good:#58b48a;--bad:#e0765c;--track:#25292d}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin:2.2rem 0 .5rem}p{margin:.4rem 0}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .9rem .25rem 0;text-align:right;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--faint)}th:first-child,td:first-child{text-align:left}
svg{display:block;width:100%;height:auto;margin:.8rem 0}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
svg .figure{fill:var(--faint)}svg .track{fill:var(--track)}svg .good{fill:var(--good)}svg .bad{fill:var(--bad)}
svg .whisker{stroke:var(--ink);stroke-width:1.2}footer{color:var(--faint);font-size:.9rem;margin-top:2.5rem;border-top:1px solid var(--line)}";

/// The page.
pub fn html(document: &Document) -> String {
    let mut out = String::new();
    let title = escaped(&document.title);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    for section in &document.sections {
        show(&mut out, section);
    }
    out.push_str("<footer>\n");
    for note in &document.notes {
        let _ = writeln!(out, "<p>{}</p>", escaped(note));
    }
    out.push_str("</footer>\n</body></html>\n");
    out
}

fn show(out: &mut String, section: &Section) {
    let _ = writeln!(out, "<h2>{}</h2>", escaped(&section.heading));
    for text in &section.text {
        let _ = writeln!(out, "<p>{}</p>", escaped(text));
    }
    if !section.bars.is_empty() {
        chart(out, &section.heading, &section.bars);
    }
    if let Some(table) = &section.table {
        rows(out, table);
    }
}

fn rows(out: &mut String, table: &Table) {
    out.push_str("<div class=\"wide\"><table><tr>");
    for cell in &table.header {
        let _ = write!(out, "<th>{}</th>", escaped(cell));
    }
    out.push_str("</tr>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for cell in row {
            let _ = write!(out, "<td>{}</td>", escaped(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
}

/// Of the drawing, in its own units: the whole, the labels' column, the bars' column, a row.
const WIDTH: f64 = 760.0;
const LABELS: f64 = 250.0;
const BARS: f64 = 390.0;
const ROW: f64 = 24.0;

/// Horizontal bars on one scale from nothing to all, each with its interval as a whisker.
fn chart(out: &mut String, what: &str, bars: &[Bar]) {
    let height = ROW * bars.len() as f64 + 6.0;
    let _ = writeln!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">",
        escaped(what)
    );
    for (n, bar) in bars.iter().enumerate() {
        let top = ROW * n as f64 + 4.0;
        let at = |share: f64| LABELS + BARS * share.clamp(0.0, 1.0);
        let middle = top + ROW / 2.0 - 3.0;
        let tone = match bar.tone {
            Tone::Good => "good",
            Tone::Bad => "bad",
        };
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text><rect class=\"track\" x=\"{LABELS}\" y=\"{top:.1}\" width=\"{BARS}\" height=\"16\" rx=\"2\"/><rect class=\"{tone}\" x=\"{LABELS}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"16\" rx=\"2\"/>",
            LABELS - 10.0,
            middle + 4.0,
            escaped(&clipped(&bar.label)),
            at(bar.share) - LABELS,
        );
        let _ = writeln!(
            out,
            "<path class=\"whisker\" d=\"M{:.1} {middle:.1}H{:.1}\"/><text class=\"figure\" x=\"{:.1}\" y=\"{:.1}\">{:.1} %</text>",
            at(bar.low),
            at(bar.high),
            LABELS + BARS + 12.0,
            middle + 4.0,
            100.0 * bar.share,
        );
    }
    out.push_str("</svg>\n");
}

/// What fits into the labels' column.
fn clipped(label: &str) -> String {
    const MOST: usize = 38;
    if label.chars().count() <= MOST {
        return label.to_owned();
    }
    let cut: String = label.chars().take(MOST - 1).collect();
    format!("{cut}…")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // No control characters in a page; line ends are blanks.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_models_wrote_is_text() {
        let document = Document {
            title: "a<b".to_owned(),
            sections: vec![Section {
                heading: "\"><script>alert(1)</script>".to_owned(),
                text: vec!["<img src=x>".to_owned()],
                table: Some(Table::new(&["<h>"], vec![vec!["<td>\u{1b}".to_owned()]])),
                bars: vec![Bar::new("<b>", (2.0, f64::NAN, -1.0), Tone::Bad)],
            }],
            notes: vec!["</footer>".to_owned()],
        };
        let page = html(&document);
        for bad in [
            "<script",
            "<img",
            "<b>",
            "<h>",
            "<td><td>",
            "\u{1b}",
            "</footer></p>",
            "http",
        ] {
            assert!(!page.contains(bad), "{bad}");
        }
        assert!(page.contains("a&lt;b"));
        assert_eq!(page.matches("</table>").count(), 1);
    }

    #[test]
    fn bars_keep_to_their_column() {
        let mut out = String::new();
        chart(
            &mut out,
            "w",
            &[Bar::new("x".repeat(100), (1.5, -2.0, 9.0), Tone::Good)],
        );
        assert!(out.contains(&format!("width=\"{BARS:.1}\"")), "{out}");
        assert!(out.contains("…"));
    }
}
