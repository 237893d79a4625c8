//! Reading in a process apart: what ends the reader ends nothing else.

use std::sync::Arc;
use std::time::Duration;

use handaxe_sandbox::Sandbox;
use handaxe_types::StaticPolicy;
use handaxe_validate::{vet, vetting_process};
use rustix::process::{Pid, Signal, kill_process};

const HONEST: &str = "\"\"\"Doc.\"\"\"\ndef run(n: int) -> int:\n    return n\n";

fn rules(code: &str, policy: &StaticPolicy) -> Vec<String> {
    vet(code, policy, &[]).into_iter().map(|f| f.rule).collect()
}

fn warm() -> Pid {
    assert_eq!(rules(HONEST, &StaticPolicy::default()), [""; 0]);
    let process = vetting_process().expect("a process that reads");
    assert_ne!(process, std::process::id());
    Pid::from_raw(process.cast_signed()).unwrap()
}

pub(crate) fn outlived(_: &Arc<dyn Sandbox>) {
    let policy = StaticPolicy::default();
    let first = warm();
    // The same process answers again.
    assert_eq!(warm(), first);
    let mut times: Vec<_> = (0..50)
        .map(|_| {
            let begun = std::time::Instant::now();
            assert_eq!(rules(HONEST, &policy), [""; 0]);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("     one reading: {:?} in the middle", times[25]);
    // Killed while it had nothing to do: nobody notices.
    kill_process(first, Signal::KILL).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let second = warm();
    assert_ne!(first, second);
    // Killed with a source in its hands: that source is refused, the next one is read.
    kill_process(second, Signal::STOP).unwrap();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        kill_process(second, Signal::KILL).unwrap();
    });
    assert_eq!(rules(HONEST, &policy), ["vet.crashed"]);
    killer.join().unwrap();
    assert_ne!(warm(), second);
    // It really lies in another process, with limits of its own.
    let limits =
        std::fs::read_to_string(format!("/proc/{}/limits", warm().as_raw_nonzero())).unwrap();
    let memory = limits
        .lines()
        .find(|l| l.starts_with("Max address space"))
        .unwrap();
    assert!(memory.contains("536870912"), "{memory}");

    // A source that takes all memory, under a policy that lets it come that far.
    let open = StaticPolicy {
        max_bytes: 64 << 20,
        max_nesting: 1_000_000,
        ..StaticPolicy::default()
    };
    let bomb = format!("x = [{}]\n", "a,".repeat(2_500_000));
    assert_eq!(rules(&bomb, &open), ["vet.crashed"]);
    warm();
    // More than is ever sent.
    let large = format!("x = '{}'", "x".repeat(20_000_000));
    assert_eq!(rules(&large, &open), ["vet.crashed"]);
    assert_eq!(rules(&large, &policy), ["text.size"]);
    warm();
    for (what, bomb) in [
        ("unary", format!("x = {}1", "-".repeat(40_000))),
        ("attribute", format!("x = a{}", ".b".repeat(40_000))),
        ("sum", format!("x = 1{}", "+1".repeat(40_000))),
        ("not", format!("x = {}1", "not ".repeat(40_000))),
        (
            "list",
            format!("x = {}{}", "[".repeat(40_000), "]".repeat(40_000)),
        ),
    ] {
        assert_eq!(rules(&bomb, &open).len(), 1, "{what}");
    }
    // A number of five million digits is one token.
    let number = rules(&format!("x = {}\n", "9".repeat(5_000_000)), &open);
    assert!(number.is_empty() || number.len() == 1, "{number:?}");
    warm();
}
