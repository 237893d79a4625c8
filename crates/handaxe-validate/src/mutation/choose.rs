//! Which of the possible mutants are tried.

use std::collections::BTreeMap;

use handaxe_types::Digest;

use crate::parse::{self, Edit};

/// One change of the source and the whole source with it.
#[derive(Debug)]
pub(super) struct Mutant {
    pub(super) edit: Edit,
    pub(super) code: String,
}

/// At most `most` of the edits, spread over operators and lines: each time one of the operator that
/// was taken least often, on the line that was. Ties are broken by a hash over the seed and the
/// edit, so the same source and seed give the same mutants on every machine and release.
pub(super) fn choose(code: &str, edits: Vec<Edit>, seed: u64, most: usize) -> Vec<Mutant> {
    let mut left: Vec<(Digest, Edit)> = edits
        .into_iter()
        .map(|e| {
            let place = [e.range.start as u64, e.range.end as u64, seed];
            let place: Vec<u8> = place.iter().flat_map(|n| n.to_le_bytes()).collect();
            (Digest::of_parts([&place[..], e.with.as_bytes()]), e)
        })
        .collect();
    left.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    let (mut by_operator, mut by_line) = (BTreeMap::new(), BTreeMap::new());
    let mut chosen = Vec::new();
    // Which operators have any places left does not matter: a full scan takes the best there is.
    while chosen.len() < most {
        let best = left
            .iter()
            .enumerate()
            .min_by_key(|(i, (_, e))| {
                let taken = |n: Option<&u32>| n.copied().unwrap_or(0);
                let line = taken(by_line.get(&e.line));
                (taken(by_operator.get(&e.operator)) + 3 * line, *i)
            })
            .map(|(i, _)| i);
        let Some(best) = best else { break };
        let (_, edit) = left.remove(best);
        let mut mutant = code.to_owned();
        mutant.replace_range(edit.range.clone(), &edit.with);
        // A change of text that is no Python is no mutant, and costs no place.
        if parse::is_module(&mutant) {
            *by_operator.entry(edit.operator).or_insert(0) += 1;
            *by_line.entry(edit.line).or_insert(0) += 1;
            chosen.push(Mutant { edit, code: mutant });
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// No change of an honest program is a change into something that is no Python.
    #[test]
    fn every_edit_is_a_mutant() {
        let corpus = include_str!("../../tests/corpus/honest.txt");
        let honest = corpus.split("\n=== ").skip(1);
        let honest = honest.map(|p| p.split_once('\n').unwrap().1);
        // And one of what small tools seldom hold.
        let odd = include_str!("../../tests/corpus/odd.py");
        let mut count = 0;
        for code in honest.chain([odd]) {
            for edit in parse::edits(code, 60).unwrap() {
                let mut mutant = code.to_owned();
                mutant.replace_range(edit.range.clone(), &edit.with);
                assert!(parse::is_module(&mutant), "{edit:?} in\n{code}");
                assert_ne!(mutant, code);
                count += 1;
                std::fs::create_dir_all("/tmp/mutants").unwrap();
                std::fs::write(format!("/tmp/mutants/{count}.py"), &mutant).unwrap();
            }
        }
        assert!(count > 800, "{count}");
    }

    #[test]
    fn the_same_seed_gives_the_same_mutants_and_all_kinds_of_them() {
        let code = "def run(a):\n    if a < 1 and a > 2:\n        return a + 3\n    for x in a[1:]:\n        x.append(4)\n    try:\n        g(a, x)\n    except E:\n        continue_(a)\n    return not a\n";
        let pick = |seed| {
            let edits = parse::edits(code, 60).unwrap();
            let chosen = choose(code, edits, seed, 12);
            chosen.into_iter().map(|m| m.edit).collect::<Vec<_>>()
        };
        assert_eq!(pick(1), pick(1));
        assert_ne!(pick(1), pick(2));
        let operators: BTreeSet<_> = pick(1).iter().map(|e| e.operator).collect();
        let lines: BTreeSet<_> = pick(1).iter().map(|e| e.line).collect();
        assert!(operators.len() >= 7 && lines.len() >= 7, "{:?}", pick(1));
        let all = parse::edits(code, 60).unwrap();
        let count = all.len();
        assert_eq!(choose(code, all, 1, 1000).len(), count);
    }
}
