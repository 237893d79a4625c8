//! What a call costs the host itself: writing the request, hearing and parsing the reply. The rest
//! of a call is the child's and the kernel's: `handaxe sandbox bench`.
//!
//! `cargo bench -p handaxe-sandbox`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use handaxe_sandbox::{Call, bench};
use serde_json::{Value, json};

/// As a pipe hands it over.
const PART: usize = 64 << 10;

fn call(text: usize) -> Call {
    let input = json!({"text": "the quick brown fox ".repeat(text / 20)});
    let input = input.as_object().cloned().unwrap_or_default();
    Call::new("def run(text):\n    return len(text)\n", input)
}

fn host(c: &mut Criterion) {
    for bytes in [860, 64 << 10] {
        let call = call(bytes);
        let output: Value = json!({"words": vec!["word"; bytes / 8]});
        let reply = bench::reply_bytes(&output);
        assert_eq!(bench::heard(&call, &reply, PART), Some(output));
        let mut group = c.benchmark_group("host");
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("request of {bytes} bytes"), |b| {
            b.iter(|| bench::request_bytes(&call));
        });
        group.bench_function(format!("reply of {bytes} bytes"), |b| {
            b.iter(|| bench::heard(&call, &reply, PART));
        });
        group.finish();
    }
}

criterion_group!(benches, host);
criterion_main!(benches);
