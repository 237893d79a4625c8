//! What the host may ask about a process and no safe crate offers.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// The number that this host knows a process by, from its descriptor, while the process has not been
/// reaped. `None` also where the kernel does not tell (before 6.13).
pub fn process_id(pidfd: BorrowedFd<'_>) -> Option<u32> {
    /// The first version of the kernel's `struct pidfd_info`.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        control_group: u64,
        pid: u32,
        thread_group: u32,
        // Its parent, its users and groups, its exit code.
        rest: [u32; 10],
    }
    const { assert!(size_of::<Info>() == 64) };
    /// `_IOWR(0xff, 11, struct pidfd_info)`
    const PIDFD_GET_INFO: libc::Ioctl = 0xc040_ff0b_u32 as libc::Ioctl;
    const INFO_PID: u64 = 1;
    let mut info = Info {
        mask: INFO_PID,
        ..Info::default()
    };
    // SAFETY: the kernel reads and writes the 64 bytes that the request's number names, which live
    // here; a descriptor of another kind is an error.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    (result == 0 && info.mask & INFO_PID != 0 && info.pid != 0).then_some(info.pid)
}

/// Processor time that all threads of `pid` have used, dead ones included, to the nanosecond.
/// `None` where there is no such process any more.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    // A process's clock is named by its complemented id and the clock's kind (2: scheduled time).
    let clock = (!(pid.cast_signed()) << 3) | 2;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one `timespec`, which lives here; an unknown clock is an error, not a write.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (result == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Makes a thread (0: this one) one that waits for a free processor when it wakes, and takes none
/// from who is running (`SCHED_BATCH`); its share stays what it was. Where that is not allowed it
/// goes on as before.
pub fn wake_without_preempting(thread: u32) {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads one `sched_param`, which lives here; a thread that is not ours, or not
    // there, is an error.
    unsafe {
        libc::sched_setscheduler(
            thread.cast_signed(),
            libc::SCHED_BATCH,
            &raw const parameters,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_itself_and_no_one_who_is_not() {
        let now = || cpu_time(std::process::id()).unwrap();
        let enough = now() + Duration::from_millis(5);
        let mut sum = 0_u64;
        while now() < enough {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_time(4_194_305).is_none());
    }

    #[test]
    fn a_descriptor_of_a_process_gives_its_number_and_no_other_gives_one() {
        use rustix::process::{PidfdFlags, getpid, pidfd_open};
        use std::os::fd::AsFd as _;

        let own = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        // An older kernel does not tell, and then the number is read where it is written.
        let told = process_id(own.as_fd());
        assert!(told.is_none_or(|pid| pid == std::process::id()), "{told:?}");
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(process_id(file.as_fd()), None);
    }

    #[test]
    fn a_thread_that_preempts_nobody_is_a_batch_thread() {
        let policy = std::thread::spawn(|| {
            wake_without_preempting(0);
            // SAFETY: asks for a number.
            unsafe { libc::sched_getscheduler(0) }
        });
        assert_eq!(policy.join().unwrap(), libc::SCHED_BATCH);
        wake_without_preempting(4_194_305);
    }
}
