//! The latencies as bars on a logarithmic scale, drawn by hand.

use std::fmt::Write as _;

const LEFT: f64 = 190.0;
const WIDTH: f64 = 520.0;
const ROW: f64 = 34.0;
const TOP: f64 = 70.0;

/// Label, milliseconds, whether it is ours.
pub(super) type Bar = (String, f64, bool);

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

pub(super) fn draw(title: &str, bars: &[Bar]) -> String {
    let least = bars
        .iter()
        .map(|b| b.1)
        .fold(f64::INFINITY, f64::min)
        .max(1e-3);
    let most = bars
        .iter()
        .map(|b| b.1)
        .fold(0.0, f64::max)
        .max(least * 10.0);
    let (low, high) = (least.log10().floor(), most.log10().ceil());
    let at = |ms: f64| LEFT + (ms.max(1e-3).log10() - low) / (high - low) * WIDTH;
    let height = TOP + ROW * bars.len() as f64 + 30.0;
    let total = LEFT + WIDTH + 90.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {total} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#1f2328\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"28\" font-size=\"16\" font-weight=\"600\">{}</text>\n\
         <text x=\"16\" y=\"48\" fill=\"#59636e\">p50, milliseconds, logarithmic scale</text>\n",
        escaped(title)
    );
    for decade in low as i32..=high as i32 {
        let ms = 10_f64.powi(decade);
        let (x, end) = (at(ms), height - 24.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{end}\" stroke=\"#d1d9e0\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#59636e\">{ms}</text>",
            height - 8.0
        );
    }
    for (row, (label, ms, ours)) in bars.iter().enumerate() {
        let y = TOP + ROW * row as f64 + 6.0;
        let width = (at(*ms) - LEFT).max(2.0);
        let colour = if *ours { "#0969da" } else { "#8c959f" };
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"20\" rx=\"2\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{ms:.2}</text>",
            LEFT - 10.0,
            y + 15.0,
            escaped(label),
            LEFT + width + 6.0,
            y + 15.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    #[test]
    fn longer_takes_a_longer_bar_and_labels_are_text() {
        let bars = [("a<b".to_owned(), 0.2, true), ("c".to_owned(), 40.0, false)];
        let svg = super::draw("t & u", &bars);
        assert!(svg.contains("a&lt;b") && svg.contains("t &amp; u") && svg.ends_with("</svg>\n"));
        let widths: Vec<f64> = svg
            .split("width=\"")
            .skip(2)
            .filter_map(|part| part.split('"').next()?.parse().ok())
            .collect();
        assert!(widths.len() == 2 && widths[0] < widths[1], "{widths:?}");
    }
}
