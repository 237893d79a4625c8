//! Filters that let more through, so that a test can see what the layers behind the filter hold.

use super::halves::{Halves, halves};
use super::{Action, Arch, LIST, Rule, SeccompError, Syscall, list, parse};
use crate::config::Shape;

/// System calls that no list of ours allows and a test may, with their numbers: x86_64, aarch64.
const MORE: [(&str, Option<u32>, Option<u32>); 26] = [
    ("fork", Some(57), None),
    ("vfork", Some(58), None),
    ("wait4", Some(61), Some(260)),
    ("waitid", Some(247), Some(95)),
    ("kill", Some(62), Some(129)),
    ("setsid", Some(112), Some(157)),
    ("setpgid", Some(109), Some(154)),
    ("execve", Some(59), Some(221)),
    ("pipe", Some(22), None),
    ("pipe2", Some(293), Some(59)),
    ("memfd_create", Some(319), Some(279)),
    ("shmget", Some(29), Some(194)),
    ("shmat", Some(30), Some(196)),
    ("semget", Some(64), Some(190)),
    ("msgget", Some(68), Some(186)),
    ("setxattr", Some(188), Some(5)),
    ("fchmod", Some(91), Some(52)),
    ("link", Some(86), None),
    ("linkat", Some(265), Some(37)),
    ("symlink", Some(88), None),
    ("symlinkat", Some(266), Some(36)),
    ("mknod", Some(133), None),
    ("mknodat", Some(259), Some(33)),
    ("ptrace", Some(101), Some(117)),
    ("process_vm_readv", Some(310), Some(270)),
    ("process_vm_writev", Some(311), Some(271)),
];

/// The shape's filter with these calls let through whatever their arguments. A name that is not
/// known is refused, so that a test cannot believe in a hole that is not there.
pub(crate) fn widened(shape: Shape, names: &[String]) -> Result<Halves, SeccompError> {
    let (mut list, whole) = (list(shape)?, parse(LIST)?);
    for name in names {
        let rules = vec![Rule {
            action: Action::Allow,
            when: Vec::new(),
            reason: "a test".to_owned(),
        }];
        if let Some(call) = list.syscalls.iter_mut().find(|c| c.name == *name) {
            call.rules = rules;
            continue;
        }
        // One that only this shape refuses, or one of no list of ours.
        let listed = whole.syscalls.iter().find(|c| c.name == *name);
        let known = MORE.iter().find(|(known, ..)| known == name);
        let (x86_64, aarch64) = listed
            .map(|call| (call.x86_64, call.aarch64))
            .or_else(|| known.map(|(_, x86_64, aarch64)| (*x86_64, *aarch64)))
            .ok_or_else(|| SeccompError::Unknown(name.clone()))?;
        list.syscalls.push(Syscall {
            name: name.clone(),
            x86_64,
            aarch64,
            not_landlock: None,
            rules,
        });
    }
    halves(list, Arch::NATIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_there_or_is_an_error() {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let plain = widened(Shape::Namespaces, &[]).unwrap();
        assert_eq!(plain, super::super::halves(Shape::Namespaces).unwrap());
        let wide = widened(Shape::Namespaces, &names(&["clone", "kill"])).unwrap();
        assert_ne!(plain, wide);
        let names_of_both = names(&["chmod", "tgkill"]);
        assert!(widened(Shape::Landlock, &names_of_both).is_ok());
        let unknown = widened(Shape::Namespaces, &names(&["no_such_call"]));
        assert!(matches!(unknown, Err(SeccompError::Unknown(_))));
    }
}
