//! A unified diff as two columns.

use super::parts::line as shown;

/// Rows of one diff that a page shows.
const MOST_ROWS: usize = 5_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) n: Option<usize>,
    pub(crate) text: String,
    /// `same`, `gone`, `new`, or nothing where there is no line.
    pub(crate) class: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) left: Side,
    pub(crate) right: Side,
    /// Lines were left out before this one.
    pub(crate) gap: bool,
    /// Why the right line is to be read first.
    pub(crate) why: Vec<String>,
}

/// One comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) gone: usize,
    pub(crate) new: usize,
}

impl Columns {
    pub(crate) fn of(title: impl Into<String>, unified: &str) -> Self {
        let mut columns = Self {
            title: title.into(),
            ..Self::default()
        };
        let (mut left, mut right) = (0, 0);
        let mut gap = false;
        let mut open: Vec<Row> = Vec::new();
        let mut filled = 0;
        for line in unified.lines().skip_while(|l| !l.starts_with("@@")) {
            if columns.rows.len() > MOST_ROWS {
                break;
            }
            if let Some((l, r)) = hunk(line) {
                columns.rows.append(&mut open);
                (filled, left, right) = (0, l, r);
                gap = !columns.rows.is_empty() || l > 1;
                continue;
            }
            let (mark, text) = line.split_at_checked(1).unwrap_or((" ", ""));
            match mark {
                "-" => {
                    // A removal after additions begins another change.
                    if filled > 0 {
                        columns.rows.append(&mut open);
                        filled = 0;
                    }
                    open.push(Row {
                        left: side(&mut left, text, "gone"),
                        gap: std::mem::take(&mut gap),
                        ..Row::default()
                    });
                    columns.gone += 1;
                }
                "+" => {
                    let new = side(&mut right, text, "new");
                    match open.get_mut(filled) {
                        Some(row) => row.right = new,
                        None => open.push(Row {
                            right: new,
                            gap: std::mem::take(&mut gap),
                            ..Row::default()
                        }),
                    }
                    filled += 1;
                    columns.new += 1;
                }
                " " => {
                    columns.rows.append(&mut open);
                    filled = 0;
                    columns.rows.push(Row {
                        left: side(&mut left, text, "same"),
                        right: side(&mut right, text, "same"),
                        gap: std::mem::take(&mut gap),
                        why: Vec::new(),
                    });
                }
                // "\ No newline at end of file".
                _ => {}
            }
        }
        columns.rows.append(&mut open);
        columns
    }

    /// Marks the right column's lines that are to be read first.
    pub(crate) fn mark(&mut self, why: impl Fn(usize) -> Vec<String>) {
        for row in &mut self.rows {
            if let Some(n) = row.right.n {
                row.why = why(n);
            }
        }
    }
}

fn side(n: &mut usize, text: &str, class: &'static str) -> Side {
    let side = Side {
        n: Some(*n),
        text: shown(text).replace("\\t", "    "),
        class,
    };
    *n += 1;
    side
}

/// The first lines of `@@ -1,4 +2,5 @@`.
fn hunk(line: &str) -> Option<(usize, usize)> {
    let mut words = line.strip_prefix("@@ ")?.split(' ');
    let first = |word: &str, mark: char| {
        let numbers = word.strip_prefix(mark)?;
        numbers.split(',').next()?.parse().ok()
    };
    Some((first(words.next()?, '-')?, first(words.next()?, '+')?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use handaxe_agent::text_diff;

    #[test]
    fn changes_stand_beside_each_other() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\n";
        let new = "a\nB\nBB\nc\nd\ne\nf\ng\ni\n";
        let columns = Columns::of("x", &text_diff(old, new, "old", "new"));
        let pair = |row: &Row| (row.left.text.clone(), row.right.text.clone());
        let pairs: Vec<_> = columns.rows.iter().map(pair).collect();
        let expect = |l: &str, r: &str| (l.to_owned(), r.to_owned());
        assert_eq!(pairs[0], expect("a", "a"));
        assert_eq!(pairs[1], expect("b", "B"));
        assert_eq!(pairs[2], expect("", "BB"));
        assert_eq!((columns.gone, columns.new), (2, 2));
        assert_eq!(columns.rows[2].right.n, Some(3));
        assert!(Columns::of("x", "").rows.is_empty());
        // No diff at all, or a hostile one.
        for text in [
            "nonsense",
            "@@ -x +y @@\n+a",
            "@@ -1 +1 @@\n\n+\u{202e}",
            "@@",
        ] {
            let columns = Columns::of("x", text);
            assert!(
                columns
                    .rows
                    .iter()
                    .all(|r| !r.right.text.contains('\u{202e}'))
            );
        }
    }
}
