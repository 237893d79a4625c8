//! The six tasks of LATM, drawn anew, with answers that are computed.

use serde_json::{Value, json};

use super::{Dice, Drawn, Family, Solved, WORDS};

pub(super) const FAMILIES: &[Family] = &[
    ("logical_deduction", logical_deduction),
    ("shuffled_objects", shuffled_objects),
    ("dyck_language", dyck_language),
    ("word_sorting", word_sorting),
    ("chinese_remainder", chinese_remainder),
    ("schedule_meeting", schedule_meeting),
];

fn fixed(rules: &str, make: fn(&mut Dice) -> Solved) -> Drawn {
    Drawn {
        rules: rules.to_owned(),
        make: Box::new(make),
    }
}

const ORDINALS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

/// A clue about an order, in words and as a test of it.
enum Clue {
    Left(usize, usize),
    At(usize, usize),
    Next(usize, usize),
}

impl Clue {
    fn holds(&self, place: &[usize]) -> bool {
        match *self {
            Self::Left(a, b) => place[a] < place[b],
            Self::At(a, at) => place[a] == at,
            Self::Next(a, b) => place[a].abs_diff(place[b]) == 1,
        }
    }

    fn words(&self, names: &[&str]) -> String {
        match *self {
            Self::Left(a, b) => format!("The {} is left of the {}.", names[a], names[b]),
            Self::At(a, at) => format!("The {} is the {} from the left.", names[a], ORDINALS[at]),
            Self::Next(a, b) => format!("The {} is next to the {}.", names[a], names[b]),
        }
    }
}

/// Every order of `n` things: for each thing its place.
fn orders(n: usize) -> Vec<Vec<usize>> {
    let mut out = vec![Vec::new()];
    for _ in 0..n {
        out = out
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..n)
                    .filter(|place| !order.contains(place))
                    .map(|place| [order.as_slice(), &[place]].concat())
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    out
}

fn logical_deduction(_: &mut Dice) -> Drawn {
    fixed(
        "Some things stand in a row. The first line of the text names them, separated by `, `. Each \
         further line but the last is a statement about their order, in one of the forms \"The X is \
         left of the Y.\", \"The X is the second from the left.\" (first to fifth) and \"The X is next \
         to the Y.\". All statements are true and allow one order only. The last line asks, for \
         example, \"Which is the second from the left?\". The result is the name of that thing.",
        |dice| {
            let n = dice.within(3, 5);
            let names = dice.some(WORDS, n);
            let places: Vec<usize> = (0..n).collect();
            let truth = dice.some(&places, n);
            let mut left = orders(n);
            let mut clues: Vec<Clue> = Vec::new();
            // Every drawn clue is true; one that rules nothing out is not said. Clues of place alone
            // settle any order, so this ends.
            while left.len() > 1 {
                let pair = dice.some(&places, 2);
                let (a, b) = (pair[0], pair[1]);
                let clue = match dice.within(0, 5) {
                    0 => Clue::At(a, truth[a]),
                    1 | 2 => Clue::Next(a, b),
                    _ => Clue::Left(a, b),
                };
                let rules_out = left.iter().any(|order| !clue.holds(order));
                if clue.holds(&truth) && rules_out {
                    left.retain(|order| clue.holds(order));
                    clues.push(clue);
                }
            }
            let at = dice.within(0, n - 1);
            let mut lines = vec![names.join(", ")];
            lines.extend(clues.iter().map(|c| c.words(&names)));
            lines.push(format!("Which is the {} from the left?", ORDINALS[at]));
            let result = (0..n).find(|i| truth[*i] == at).map(|i| names[i]);
            Solved {
                text: lines.join("\n"),
                result: json!(result),
            }
        },
    )
}

const PEOPLE: &[&str] = &["Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus"];

fn shuffled_objects(_: &mut Dice) -> Drawn {
    fixed(
        "People hold one thing each and swap them. The text begins with lines such as \"Ada has the \
         pearl.\", then come swaps in order, such as \"Ada and Ben swap.\", and the last line asks, for \
         example, \"What does Ben have?\". The result is the name of the thing.",
        |dice| {
            let n = dice.within(3, 7);
            let people = dice.some(PEOPLE, n);
            let mut things = dice.some(WORDS, n);
            let mut lines: Vec<String> = people
                .iter()
                .zip(&things)
                .map(|(who, what)| format!("{who} has the {what}."))
                .collect();
            let places: Vec<usize> = (0..n).collect();
            for _ in 0..dice.within(2, 10) {
                let pair = dice.some(&places, 2);
                lines.push(format!("{} and {} swap.", people[pair[0]], people[pair[1]]));
                things.swap(pair[0], pair[1]);
            }
            let who = dice.within(0, n - 1);
            lines.push(format!("What does {} have?", people[who]));
            Solved {
                text: lines.join("\n"),
                result: json!(things[who]),
            }
        },
    )
}

fn dyck_language(_: &mut Dice) -> Drawn {
    fixed(
        "The text is the beginning of a sequence of brackets of the kinds () [] {} <>, separated by \
         blanks, in which every bracket that is closed so far was closed in the right order. The \
         result is the shortest sequence of closing brackets that completes it, separated by blanks; \
         empty where nothing is open.",
        |dice| {
            const PAIRS: [(char, char); 4] = [('(', ')'), ('[', ']'), ('{', '}'), ('<', '>')];
            let (mut text, mut open): (Vec<char>, Vec<char>) = (Vec::new(), Vec::new());
            for _ in 0..dice.within(1, 24) {
                match open.pop() {
                    Some(close) if dice.chance(45) => text.push(close),
                    kept => {
                        open.extend(kept);
                        let (opening, close) = dice.of(&PAIRS);
                        text.push(opening);
                        open.push(close);
                    }
                }
            }
            let spaced = |all: &[char]| {
                let all: Vec<String> = all.iter().map(char::to_string).collect();
                all.join(" ")
            };
            open.reverse();
            Solved {
                text: spaced(&text),
                result: Value::String(spaced(&open)),
            }
        },
    )
}

fn word_sorting(_: &mut Dice) -> Drawn {
    fixed(
        "The text is a list of lower-case words separated by blanks. The result is the same words in \
         alphabetical order, separated by single blanks; a word that is there twice stays there twice.",
        |dice| {
            let count = dice.within(1, 14);
            let mut words: Vec<&str> = (0..count).map(|_| dice.of(WORDS)).collect();
            let text = words.join(" ");
            words.sort_unstable();
            Solved {
                text,
                result: Value::String(words.join(" ")),
            }
        },
    )
}

fn chinese_remainder(_: &mut Dice) -> Drawn {
    fixed(
        "Each line of the text says what remains when an unknown number of things is divided, such as \
         \"Divided by 5, 3 remain.\"; the divisors have no common factor. The result is the smallest \
         number of things, 0 or more, for which all lines are true, as an integer.",
        |dice| {
            let count = dice.within(2, 4);
            let divisors = dice.some(&[3_usize, 4, 5, 7, 11, 13, 17], count);
            let most: usize = divisors.iter().product();
            let things = dice.within(0, most - 1);
            let lines: Vec<String> = divisors
                .iter()
                .map(|d| format!("Divided by {d}, {} remain.", things % d))
                .collect();
            Solved {
                text: lines.join("\n"),
                result: json!(things),
            }
        },
    )
}

fn schedule_meeting(_: &mut Dice) -> Drawn {
    fixed(
        "The first line of the text says how long a meeting is, such as \"60 minutes\". Each further \
         line says when a person is free on that day, such as \"Ada: 09:00-10:30, 13:00-15:00\". The \
         result is the earliest time at which all are free for so long, with its end, such as \
         \"13:00-14:00\"; \"none\" where there is none.",
        |dice| {
            const SLOT: usize = 30;
            let length = dice.of(&[30_usize, 60, 90]);
            let clock = |slot: usize| format!("{:02}:{:02}", slot * SLOT / 60, slot * SLOT % 60);
            let mut lines = vec![format!("{length} minutes")];
            let mut all_free = [true; 48];
            let count = dice.within(2, 4);
            for person in dice.some(PEOPLE, count) {
                let mut free = [false; 48];
                let (mut from, mut spans) = (dice.within(16, 19), Vec::new());
                for _ in 0..dice.within(1, 3) {
                    let to = (from + dice.within(2, 7)).min(40);
                    if to <= from {
                        break;
                    }
                    free[from..to].fill(true);
                    spans.push(format!("{}-{}", clock(from), clock(to)));
                    from = to + dice.within(1, 3);
                }
                for (all, one) in all_free.iter_mut().zip(free) {
                    *all &= one;
                }
                lines.push(format!("{person}: {}", spans.join(", ")));
            }
            let need = length / SLOT;
            let found = all_free.windows(need).position(|w| w.iter().all(|f| *f));
            let result = found.map_or_else(
                || "none".to_owned(),
                |at| format!("{}-{}", clock(at), clock(at + need)),
            );
            Solved {
                text: lines.join("\n"),
                result: Value::String(result),
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(make: fn(&mut Dice) -> Drawn, count: u64) -> Vec<Solved> {
        let mut dice = Dice::new(11, 0);
        let Drawn { make, .. } = make(&mut dice);
        (0..count).map(|_| make(&mut dice)).collect()
    }

    /// Answers checked by another way to them.
    #[test]
    fn answers_hold() {
        for Solved { text, result } in drawn(chinese_remainder, 100) {
            let numbers: Vec<Vec<u64>> = text
                .lines()
                .map(|l| {
                    l.split(|c: char| !c.is_ascii_digit())
                        .filter_map(|p| p.parse().ok())
                        .collect()
                })
                .collect();
            let least = (0_u64..1_000_000).find(|n| numbers.iter().all(|p| n % p[0] == p[1]));
            assert_eq!(json!(least), result, "{text}");
        }
        for Solved { text, result } in drawn(dyck_language, 100) {
            // What is left after taking matching pairs out is what must be closed.
            let mut open: String = text.replace(' ', "");
            while let Some(pair) = ["()", "[]", "{}", "<>"].iter().find(|p| open.contains(**p)) {
                open = open.replacen(pair, "", 1);
            }
            let closed: Vec<&str> = open
                .chars()
                .rev()
                .map(|c| match c {
                    '(' => ")",
                    '[' => "]",
                    '{' => "}",
                    _ => ">",
                })
                .collect();
            assert_eq!(json!(closed.join(" ")), result);
        }
        let meetings = drawn(schedule_meeting, 200);
        let none = meetings.iter().filter(|m| m.result == "none").count();
        assert!((10..190).contains(&none), "{none}");
        for Solved { text, result } in drawn(logical_deduction, 50) {
            let first = text.lines().next().unwrap();
            assert!(first.split(", ").any(|n| result == n), "{text}");
            assert!(text.lines().count() >= 3);
        }
    }
}
