//! What a process does to itself where something else built the walls: a container's runtime or a
//! guest kernel. It makes none of the namespaces and mounts; it reads back that they are there, adds
//! the layers that a process can put on by itself, and stops at the first that fails.

use super::child;
use super::plan::{Plan, Report, layer};
use super::sys::{self, Errno, call, nr, prctl};

/// The steps, in order: the layer each one makes or confirms, and what it does, for "failed to …".
pub(crate) const STEPS: &[(u32, &str)] = &[
    (layer::CLOSED_DESCRIPTORS, "read the plan"),
    (
        layer::CLOSED_DESCRIPTORS,
        "put the call's descriptors in place",
    ),
    (layer::RLIMITS, "measure its own size"),
    (layer::CLOSED_DESCRIPTORS, "close every other descriptor"),
    (layer::PRIVATE_SCRATCH, "confirm its scratch and its size"),
    (layer::READ_ONLY_ROOT, "confirm that the root is read-only"),
    (layer::RLIMITS, "set resource limits"),
    (layer::NO_CAPABILITIES, "confirm that it has no capability"),
    (layer::NO_NEW_PRIVILEGES, "give up new privileges"),
    (layer::LANDLOCK, "confine itself with Landlock"),
    (layer::SECCOMP, "load the system-call filter"),
];

/// A report's step numbers are these and on, so that one table's are never taken for the other's.
pub(crate) const FIRST_STEP: u8 = 100;

/// The kernel is a guest's, which has no Landlock.
const GUEST: u64 = 1;
/// What mounted the scratch has no way to cap its inodes.
const UNCOUNTED: u64 = 2;

/// Takes a word of flags and a plan, whose scratch is mounted already.
pub(crate) fn contain(bytes: &[u8]) -> Report {
    let mut report = Report::default();
    let parsed = bytes
        .split_first_chunk()
        .and_then(|(flags, plan)| Plan::parse(plan).map(|plan| (u64::from_le_bytes(*flags), plan)));
    let Some((flags, plan)) = parsed else {
        report.step = FIRST_STEP + 1;
        report.errno = sys::ENOTRECOVERABLE;
        return report;
    };
    type Step = fn(&Plan<'_>, &mut Report) -> Result<(), Errno>;
    let scratch: Step = if flags & UNCOUNTED == 0 {
        confirm_scratch
    } else {
        confirm_uncounted_scratch
    };
    let (limits, confine): (Step, Step) = if flags & GUEST == 0 {
        (child::set_limits, child::confine)
    } else {
        (set_known_limits, confine_if_known)
    };
    let steps: [Step; 10] = [
        child::place_descriptors,
        child::measure,
        child::close_descriptors,
        scratch,
        child::confirm_read_only_root,
        limits,
        confirm_no_capabilities,
        child::give_up_privileges,
        confine,
        child::filter,
    ];
    for (index, step) in steps.into_iter().enumerate() {
        if let Err(errno) = step(&plan, &mut report) {
            report.step = FIRST_STEP + index as u8 + 2;
            report.errno = errno;
            return report;
        }
    }
    report
}

fn confirm_scratch(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    child::enter_scratch(plan, report, Some(plan.scratch_inodes as usize)).map(drop)
}

fn confirm_uncounted_scratch(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    child::enter_scratch(plan, report, None).map(drop)
}

/// A guest kernel refuses to hear of limits that it does not keep. Descriptors it must bound.
fn set_known_limits(_: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    const OPEN_FILES: usize = 7;
    for (resource, value) in child::CEILINGS {
        match child::lower_one(resource, value) {
            Err(sys::EPERM) if resource != OPEN_FILES => {}
            done => done?,
        }
    }
    report.layers |= layer::RLIMITS;
    Ok(())
}

fn confirm_no_capabilities(_: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    const CAPBSET_READ: usize = 23;
    let header = [0x2008_0522_u32, 0];
    let mut seen = [1_u32; 6];
    call(
        nr::CAPGET,
        &[header.as_ptr() as usize, seen.as_mut_ptr() as usize],
    )?;
    if seen != [0; 6] || (0..64).any(|c| prctl(CAPBSET_READ, c) == Ok(1)) {
        return Err(sys::ENOTRECOVERABLE);
    }
    report.layers |= layer::NO_CAPABILITIES;
    Ok(())
}

fn confine_if_known(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    if super::landlock::abi() == 0 {
        return Ok(());
    }
    child::confine(plan, report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_plan_is_the_first_step() {
        for bytes in [&[][..], &[0; 7], &[0; 127], &[0xff; 128], &[0; 129]] {
            assert_eq!(contain(bytes).to_bytes()[0], FIRST_STEP + 1);
        }
        let (_, doing) = super::super::step(FIRST_STEP + 11).unwrap();
        assert_eq!(doing, "load the system-call filter");
        assert!(super::super::step(FIRST_STEP + 12).is_none());
    }
}
