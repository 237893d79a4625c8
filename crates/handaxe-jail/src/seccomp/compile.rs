//! From the list to classic BPF: a balanced tree over the numbers, so that every call passes about
//! eight comparisons instead of a hundred. Neighbouring numbers with the same answer share a leaf.

use super::{Action, Arch, Errno, List, Rule, SeccompError};

/// One `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Insn {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQ: u16 = 0x15;
const JUMP_GE: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

const KILL_PROCESS: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 1;

/// x32 calls carry this bit.
const X32: u32 = 0x4000_0000;

fn op(code: u16, k: u32) -> Insn {
    Insn {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

fn verdict(action: Action) -> Insn {
    op(
        RETURN,
        match action {
            Action::Allow => ALLOW,
            Action::Kill => KILL_PROCESS,
            Action::Errno(errno) => ERRNO | errno as u32,
        },
    )
}

/// Compiles the list for one architecture. What it does not name is refused.
pub fn compile(list: &List, arch: Arch) -> Result<Vec<u8>, SeccompError> {
    compile_over(list, arch, Action::Errno(Errno::Perm))
}

/// The same with another answer to what the list does not name.
pub(super) fn compile_over(
    list: &List,
    arch: Arch,
    otherwise: Action,
) -> Result<Vec<u8>, SeccompError> {
    let mut leaves = Vec::new();
    for call in &list.syscalls {
        let Some(number) = call.number(arch) else {
            continue;
        };
        if let Some(arg) = call
            .rules
            .iter()
            .flat_map(|r| &r.when)
            .map(|c| c.arg)
            .find(|a| *a > 5)
        {
            return Err(SeccompError::Argument {
                name: call.name.clone(),
                arg,
            });
        }
        leaves.push((number, rules(&call.rules), &call.name));
    }
    leaves.sort_by_key(|(number, ..)| *number);
    if let Some(pair) = leaves.windows(2).find(|w| w[0].0 == w[1].0) {
        return Err(SeccompError::Twice(pair[1].2.clone()));
    }

    let mut program = vec![
        op(LOAD, ARCH),
        Insn {
            code: JUMP_EQ,
            jt: 1,
            jf: 0,
            k: arch.audit(),
        },
        op(RETURN, KILL_PROCESS),
        op(LOAD, NUMBER),
    ];
    let otherwise = vec![verdict(otherwise)];
    // Ranges by their first number; each reaches to the next one's.
    let mut ranges: Vec<(u32, Vec<Insn>)> = vec![(0, otherwise.clone())];
    let mut add = |from: u32, code: Vec<Insn>| match ranges.last_mut() {
        Some(last) if last.0 == from => last.1 = code,
        Some(last) if last.1 == code => {}
        _ => ranges.push((from, code)),
    };
    for (number, code, _) in leaves {
        add(number, code);
        add(number + 1, otherwise.clone());
    }
    if arch == Arch::X86_64 {
        add(X32, vec![op(RETURN, KILL_PROCESS)]);
    }
    // A call may have replaced a refusal by what stands before it.
    ranges.dedup_by(|next, kept| next.1 == kept.1);
    program.extend(tree(&ranges));
    if program.len() > 4096 {
        return Err(SeccompError::TooLong(program.len()));
    }
    Ok(program.iter().flat_map(|i| bytes(*i)).collect())
}

fn bytes(insn: Insn) -> [u8; 8] {
    let mut out = [0; 8];
    out[..2].copy_from_slice(&insn.code.to_ne_bytes());
    out[2..4].copy_from_slice(&[insn.jt, insn.jf]);
    out[4..].copy_from_slice(&insn.k.to_ne_bytes());
    out
}

/// `ranges` is not empty.
fn tree(ranges: &[(u32, Vec<Insn>)]) -> Vec<Insn> {
    if let [(_, code)] = ranges {
        return code.clone();
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (below, above) = (tree(low), tree(high));
    let mut out = match u8::try_from(below.len()) {
        Ok(skip) => vec![Insn {
            code: JUMP_GE,
            jt: skip,
            jf: 0,
            k: high[0].0,
        }],
        // Too far for a conditional jump: it steps over a plain one.
        Err(_) => vec![
            Insn {
                code: JUMP_GE,
                jt: 0,
                jf: 1,
                k: high[0].0,
            },
            op(JUMP, below.len() as u32),
        ],
    };
    out.extend(below);
    out.extend(above);
    out
}

fn rules(rules: &[Rule]) -> Vec<Insn> {
    let mut out = Vec::new();
    for rule in rules {
        // Each condition tests the low half, then the high; a miss goes to the next rule.
        let mut body: Vec<Insn> = Vec::new();
        for condition in &rule.when {
            for (half, shift) in [(0, 0), (4, 32)] {
                let (mask, value) = (
                    (condition.mask >> shift) as u32,
                    (condition.value >> shift) as u32,
                );
                if mask == 0 {
                    continue;
                }
                body.push(op(LOAD, ARGS + 8 * u32::from(condition.arg) + half));
                if mask != u32::MAX {
                    body.push(op(AND, mask));
                }
                body.push(op(JUMP_EQ, value));
            }
        }
        let end = body.len();
        for (at, insn) in body.iter_mut().enumerate() {
            if insn.code == JUMP_EQ {
                insn.jf = (end - at) as u8;
            }
        }
        out.extend(body);
        out.push(verdict(rule.action));
        if rule.when.is_empty() {
            return out;
        }
    }
    out.push(op(RETURN, ERRNO | EPERM));
    out
}

#[cfg(test)]
mod tests {
    use super::super::{LIST, parse};
    use super::*;
    use crate::config::Shape;

    /// Runs a program as the kernel would.
    fn run(program: &[u8], arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_ne_bytes());
        data.extend(arch.to_ne_bytes());
        data.extend(0_u64.to_ne_bytes());
        data.extend(args.iter().flat_map(|a| a.to_ne_bytes()));
        let word = |at: usize| u32::from_ne_bytes(data[at..at + 4].try_into().unwrap());
        let (mut pc, mut a) = (0, 0_u32);
        loop {
            let raw = &program[pc * 8..pc * 8 + 8];
            let code = u16::from_ne_bytes([raw[0], raw[1]]);
            let k = u32::from_ne_bytes(raw[4..8].try_into().unwrap());
            let jump = |taken: bool| usize::from(if taken { raw[2] } else { raw[3] });
            pc += 1;
            match code {
                LOAD => a = word(k as usize),
                AND => a &= k,
                JUMP => pc += k as usize,
                JUMP_EQ => pc += jump(a == k),
                JUMP_GE => pc += jump(a >= k),
                RETURN => return k,
                other => panic!("opcode {other:#x}"),
            }
        }
    }

    /// What the list says, read without the compiler.
    fn expected(list: &List, arch: Arch, number: u32, args: [u64; 6]) -> u32 {
        let Some(call) = list
            .syscalls
            .iter()
            .find(|c| c.number(arch) == Some(number))
        else {
            return if arch == Arch::X86_64 && number >= X32 {
                KILL_PROCESS
            } else {
                ERRNO | EPERM
            };
        };
        let holds = |r: &&Rule| {
            r.when
                .iter()
                .all(|c| args[usize::from(c.arg)] & c.mask == c.value)
        };
        call.rules
            .iter()
            .find(holds)
            .map_or(ERRNO | EPERM, |r| verdict(r.action).k)
    }

    /// Every value that a rule names, each with one bit altered, in every bit.
    fn telling_arguments(list: &List) -> Vec<[u64; 6]> {
        let mut arguments: Vec<[u64; 6]> = vec![[0; 6], [u64::MAX; 6], [1; 6]];
        let rules = list.syscalls.iter().flat_map(|s| &s.rules);
        for c in rules.flat_map(|r| &r.when) {
            for bit in std::iter::once(0).chain((0..64).map(|b| 1_u64 << b)) {
                let mut args = [0; 6];
                args[usize::from(c.arg)] = c.value ^ bit;
                arguments.push(args);
            }
        }
        arguments
    }

    #[test]
    fn the_program_says_what_the_list_says() {
        let list = parse(LIST).unwrap();
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let program = compile(&list, arch).unwrap();
            let arguments = telling_arguments(&list);
            for number in (0..600).chain([X32 - 1, X32, X32 + 1, u32::MAX]) {
                for args in &arguments {
                    let want = expected(&list, arch, number, *args);
                    assert_eq!(
                        run(&program, arch.audit(), number, *args),
                        want,
                        "{arch:?} {number} {args:?}"
                    );
                }
            }
            assert_eq!(
                run(&program, 0x4000_0003, 1, [0; 6]),
                KILL_PROCESS,
                "32-bit"
            );
        }
    }

    /// The kernel takes the stricter of two answers: the lower number, but for its sign.
    #[test]
    fn halves_say_what_the_whole_says() {
        for shape in [Shape::Namespaces, Shape::Landlock] {
            for arch in [Arch::X86_64, Arch::Aarch64] {
                let list = || super::super::list(shape).unwrap();
                let whole = compile(&list(), arch).unwrap();
                let halves = super::super::halves::halves(list(), arch).unwrap();
                let strictness = |answer: &u32| (*answer & 0xffff_0000) as i32;
                let arguments = telling_arguments(&list());
                for number in (0..600).chain([X32 - 1, X32, X32 + 56, u32::MAX]) {
                    for args in &arguments {
                        let ask = |program: &[u8]| run(program, arch.audit(), number, *args);
                        let both = [ask(&halves.inherited), ask(&halves.own)];
                        let both = both.into_iter().min_by_key(strictness).unwrap();
                        assert_eq!(both, ask(&whole), "{arch:?} {number} {args:?}");
                    }
                }
                for program in [&halves.inherited, &halves.own] {
                    assert_eq!(run(program, 0x4000_0003, 1, [0; 6]), KILL_PROCESS, "32-bit");
                }
                assert!(halves.own.len() * 2 < whole.len());
            }
        }
    }

    #[test]
    fn a_call_passes_few_instructions() {
        let program = compile(&parse(LIST).unwrap(), Arch::NATIVE).unwrap();
        assert!(
            program.len() / 8 < 400,
            "{} instructions",
            program.len() / 8
        );
    }

    #[test]
    fn every_rule_has_a_reason_and_every_call_an_aarch64_number_unless_it_has_none() {
        // Calls that aarch64 never had; their modern spelling is listed beside them.
        let old = "open stat lstat access readlink mkdir rmdir unlink rename chmod dup2 poll \
                   select time iopl ioperm";
        for call in parse(LIST).unwrap().syscalls {
            assert!(!call.rules.is_empty() && call.rules.iter().all(|r| r.reason.len() > 3));
            let is_old = old.split_whitespace().any(|o| o == call.name);
            assert_eq!(call.aarch64.is_none(), is_old, "{}", call.name);
        }
    }

    /// Process 1 is the host's there, and the user's files are the host's own.
    #[test]
    fn without_namespaces_five_calls_more_are_refused() {
        let whole = super::super::list(Shape::Namespaces).unwrap();
        let bare = super::super::list(Shape::Landlock).unwrap();
        let allows = |list: &List, name: &str| list.syscalls.iter().any(|c| c.name == name);
        for name in ["tgkill", "chmod", "fchmod", "fchmodat", "utimensat"] {
            assert!(allows(&whole, name) && !allows(&bare, name), "{name}");
        }
        assert_eq!(whole.syscalls.len(), bare.syscalls.len() + 5);
        let program = compile(&bare, Arch::NATIVE).unwrap();
        let tgkill = whole.syscalls.iter().find(|c| c.name == "tgkill").unwrap();
        let number = tgkill.number(Arch::NATIVE).unwrap();
        let answer = run(&program, Arch::NATIVE.audit(), number, [1; 6]);
        assert_eq!(answer, ERRNO | EPERM);
    }

    #[test]
    fn refuses_bad_lists() {
        let list = |text: &str| parse(&format!(r#"{{"about":"","syscalls":[{text}]}}"#));
        let twice = r#"{"name":"a","x86_64":1,"rules":[]},{"name":"b","x86_64":1,"rules":[]}"#;
        assert!(matches!(
            compile(&list(twice).unwrap(), Arch::X86_64),
            Err(SeccompError::Twice(name)) if name == "b"
        ));
        let seventh = r#"{"name":"a","x86_64":1,"rules":[{"action":"allow","reason":"none","when":[{"arg":6,"value":0}]}]}"#;
        assert!(matches!(
            compile(&list(seventh).unwrap(), Arch::X86_64),
            Err(SeccompError::Argument { arg: 6, .. })
        ));
        assert!(list(r#"{"name":"a","rules":[{"action":"log","reason":"no"}]}"#).is_err());
    }
}
