//! The small suites, with floors for what is right and ceilings for what is wrong. A change that
//! answers more belongs here as a higher floor.

#[cfg(test)]
mod floors {
    use handaxe_eval::{Report, questions, run_data, run_examples, tasks, unpack};

    fn unpacked(name: &str) -> std::path::PathBuf {
        let dir =
            std::env::temp_dir().join(format!("handaxe-floors-{name}-{}", std::process::id()));
        unpack(&dir).unwrap();
        dir
    }

    #[track_caller]
    fn holds(report: &Report, right: usize, wrong: usize) {
        let bad: Vec<String> = report
            .items
            .iter()
            .filter(|i| i.outcome != handaxe_eval::Outcome::Right)
            .map(|i| format!("{:?} {}: {}", i.outcome, i.asked, i.detail))
            .collect();
        let total = report.total;
        assert!(
            total.right >= right && total.wrong <= wrong && total.failed == 0,
            "{total:?}\n{}",
            bad.join("\n")
        );
    }

    #[test]
    fn data_questions() {
        let dir = unpacked("data");
        // Every fourth question, each of a family and style of its own: a check may not take long.
        let all: Vec<_> = questions(&dir.join("questions.jsonl"))
            .unwrap()
            .into_iter()
            .step_by(4)
            .collect();
        let report = run_data("data", &all, &dir, &mut |_, _| {}).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        holds(&report, 38, 0);
    }

    #[test]
    fn by_example() {
        let dir = unpacked("example");
        // Every fifth task, for the same reason.
        let some: Vec<_> = tasks(&dir.join("tasks.jsonl"))
            .unwrap()
            .into_iter()
            .step_by(5)
            .collect();
        let report = run_examples("example", &some, &mut |_, _| {});
        std::fs::remove_dir_all(&dir).unwrap();
        holds(&report, 12, 1);
    }
}
