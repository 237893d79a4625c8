//! Finding by meaning: what is found, what never is, and folders that hold no model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use handaxe_registry::{EmbedError, Embedder, Registry, RegistryError};

use crate::common::{Home, draft};

/// Knows what a few words mean: each meaning is a dimension.
struct Meanings {
    id: String,
    words: BTreeMap<&'static str, usize>,
    asked: Arc<AtomicUsize>,
}

impl Meanings {
    fn new(id: &str) -> Self {
        let groups: [&[&str]; 3] = [
            &["sofa", "couch", "settee"],
            &["dog", "hound"],
            &["width", "breadth"],
        ];
        let words = groups.iter().enumerate();
        Self {
            id: id.to_owned(),
            words: words
                .flat_map(|(n, g)| g.iter().map(move |w| (*w, n)))
                .collect(),
            asked: Arc::default(),
        }
    }
}

impl Embedder for Meanings {
    fn id(&self) -> Result<&str, EmbedError> {
        Ok(&self.id)
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if text.contains("unspeakable") {
            return Err("no words for it".into());
        }
        let mut vector = vec![0.0, 0.0, 0.0, 0.001];
        for word in text.split(|c: char| !c.is_alphanumeric()) {
            if let Some(meaning) = self.words.get(word.to_lowercase().as_str()) {
                vector[*meaning] = 1.0;
            }
        }
        Ok(vector)
    }
}

fn names(registry: &Registry, query: &str) -> Vec<String> {
    let hits = registry.search(query, 3).unwrap();
    hits.iter().map(|h| h.tool.to_string()).collect()
}

#[test]
fn what_means_the_same_is_found_without_a_common_word() {
    let home = Home::new();
    for (name, does) in [
        ("measure_couch", "The breadth of a couch."),
        ("walk_hound", "Walks a hound."),
        ("boil_egg", "Boils an egg."),
    ] {
        let mut draft = draft(name, "a first one");
        draft.spec.description = does.to_owned();
        home.register(&draft);
    }
    assert_eq!(names(&home.registry, "settee"), [""; 0], "by words alone");
    let embedder = Meanings::new("meanings");
    let asked = Arc::clone(&embedder.asked);
    let both = home.registry.finding_by_meaning(Box::new(embedder));
    let hits = both.search("settee", 3).unwrap();
    assert_eq!(hits[0].tool.as_str(), "measure_couch");
    assert_eq!(hits[0].snippet, "The breadth of a couch.");
    // Made once, and kept: a second search asks about its own words alone.
    let before = asked.load(Ordering::Relaxed);
    assert_eq!(names(&both, "dog")[0], "walk_hound");
    assert_eq!(asked.load(Ordering::Relaxed), before + 1);
    let again = Meanings::new("meanings");
    let asked = Arc::clone(&again.asked);
    let reopened = home.registry.finding_by_meaning(Box::new(again));
    assert_eq!(names(&reopened, "dog")[0], "walk_hound");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // A tool that came since is found at once, through every handle.
    let mut newer = draft("brush_sofa", "a newer one");
    newer.spec.description = "Brushes a settee.".to_owned();
    home.register(&newer);
    assert!(names(&both, "couch").contains(&"brush_sofa".to_owned()));
    assert!(names(&both.acting_as("eve"), "couch").contains(&"brush_sofa".to_owned()));
    // One that is out of use is not, though its vector is still there.
    home.sql("UPDATE tool_version SET state = 'retired' WHERE name = 'brush_sofa'");
    assert!(!names(&both, "couch").contains(&"brush_sofa".to_owned()));
}

#[test]
fn vectors_of_another_model_or_length_say_nothing() {
    let home = Home::new();
    let mut one = draft("measure_couch", "a first one");
    one.spec.description = "The breadth of a couch.".to_owned();
    home.register(&one);
    let other = Meanings::new("other");
    let by_other = home.registry.finding_by_meaning(Box::new(other));
    assert_eq!(names(&by_other, "settee"), ["measure_couch"]);
    let ours = Meanings::new("ours");
    let asked = Arc::clone(&ours.asked);
    let both = home.registry.finding_by_meaning(Box::new(ours));
    assert_eq!(names(&both, "settee"), ["measure_couch"]);
    assert_eq!(asked.load(Ordering::Relaxed), 2, "made its own");
    for bytes in ["x''", "x'00'", "zeroblob(40)", "zeroblob(17)"] {
        home.sql(&format!("UPDATE tool_vector SET vector = {bytes}"));
        let fresh = Box::new(Meanings::new("ours"));
        let damaged = home.registry.finding_by_meaning(fresh);
        assert_eq!(names(&damaged, "settee"), [""; 0], "{bytes}");
        assert_eq!(names(&damaged, "couch"), ["measure_couch"], "{bytes}");
    }
}

#[test]
fn a_model_that_fails_is_a_typed_error() {
    let home = Home::new();
    let both = home
        .registry
        .finding_by_meaning(Box::new(Meanings::new("m")));
    let error = both.search("unspeakable", 3).unwrap_err();
    assert!(matches!(&error, RegistryError::Embed { .. }), "{error:?}");
    assert!(error.hint().contains("[search]"));
}

#[cfg(feature = "dense")]
mod weights {
    use std::path::Path;

    use handaxe_registry::{Embedder as _, MiniLm, MiniLmError};

    fn put(dir: &Path, name: &str, bytes: &[u8]) {
        std::fs::write(dir.join(name), bytes).unwrap();
    }

    /// Folders that hold something else than a model, each with what it is told.
    #[test]
    #[ignore = "needs a sentence model in the folder that HANDAXE_MINILM names: scripts/dense"]
    fn folders_that_hold_no_model() {
        let good = std::env::var_os("HANDAXE_MINILM").unwrap();
        let good = Path::new(&good);
        let read = |name: &str| std::fs::read(good.join(name)).unwrap();
        let (config, tokenizer, weights) = (
            read("config.json"),
            read("tokenizer.json"),
            read("model.safetensors"),
        );
        let config = String::from_utf8(config).unwrap();
        let with = |from: &str, to: &str| config.replace(from, to).into_bytes();
        assert_ne!(with("384", "768"), config.as_bytes());
        type Is = fn(&MiniLmError) -> bool;
        let bad_weights: Is = |e| matches!(e, MiniLmError::Weights(_));
        let beyond: Is = |e| matches!(e, MiniLmError::Beyond { .. });
        let bad_config: Is = |e| matches!(e, MiniLmError::Config(_));
        let header = weights[..8].to_vec();
        let table: [(&str, &str, Option<Vec<u8>>, Is); 15] = [
            ("no config", "config.json", None, |e| {
                matches!(e, MiniLmError::Read { .. })
            }),
            ("no weights", "model.safetensors", None, |e| {
                matches!(e, MiniLmError::Read { .. })
            }),
            ("no tokenizer", "tokenizer.json", None, |e| {
                matches!(e, MiniLmError::Read { .. })
            }),
            ("empty config", "config.json", Some(Vec::new()), bad_config),
            ("no object", "config.json", Some(b"[]".to_vec()), bad_config),
            ("a flood", "config.json", Some(vec![b' '; 100 << 10]), |e| {
                matches!(e, MiniLmError::TooLarge { .. })
            }),
            (
                "a wider layer",
                "config.json",
                Some(with("\"hidden_size\": 384", "\"hidden_size\": 768")),
                bad_weights,
            ),
            (
                "more layers",
                "config.json",
                Some(with("\"num_hidden_layers\": 6", "\"num_hidden_layers\": 7")),
                bad_weights,
            ),
            (
                "a huge layer",
                "config.json",
                Some(with("\"hidden_size\": 384", "\"hidden_size\": 99999999999")),
                beyond,
            ),
            (
                "no heads",
                "config.json",
                Some(with(
                    "\"num_attention_heads\": 12",
                    "\"num_attention_heads\": 0",
                )),
                beyond,
            ),
            (
                "odd heads",
                "config.json",
                Some(with(
                    "\"num_attention_heads\": 12",
                    "\"num_attention_heads\": 7",
                )),
                |e| matches!(e, MiniLmError::Heads { .. }),
            ),
            (
                "truncated",
                "model.safetensors",
                Some(weights[..weights.len() / 2].to_vec()),
                bad_weights,
            ),
            (
                "a header alone",
                "model.safetensors",
                Some(header),
                bad_weights,
            ),
            ("no tokens", "tokenizer.json", Some(b"{}".to_vec()), |e| {
                matches!(e, MiniLmError::Tokenizer(_))
            }),
            (
                "fewer known words",
                "config.json",
                Some(with("\"vocab_size\": 30522", "\"vocab_size\": 100")),
                |e| matches!(e, MiniLmError::Vocabulary { .. }),
            ),
        ];
        for (what, name, bytes, is) in table {
            let dir = tempfile::tempdir().unwrap();
            put(dir.path(), "config.json", config.as_bytes());
            put(dir.path(), "tokenizer.json", &tokenizer);
            put(dir.path(), "model.safetensors", &weights);
            match bytes {
                Some(bytes) => put(dir.path(), name, &bytes),
                None => std::fs::remove_file(dir.path().join(name)).unwrap(),
            }
            let error = MiniLm::open(dir.path()).err().unwrap();
            assert!(is(&error), "{what}: {error:?}");
        }
        let model = MiniLm::open(good).unwrap();
        for odd in [
            "",
            " ",
            "\0",
            "日本語 🪓",
            &"x ".repeat(10_000),
            &"y".repeat(100_000),
        ] {
            let vector = model.embed(odd).unwrap();
            let length: f32 = vector.iter().map(|x| x * x).sum();
            assert!(
                vector.len() == 384 && (length - 1.0).abs() < 1e-3,
                "{odd:.9}"
            );
        }
        let near = |a: &str, b: &str| -> f32 {
            let (a, b) = (model.embed(a).unwrap(), model.embed(b).unwrap());
            a.iter().zip(&b).map(|(a, b)| a * b).sum()
        };
        let (alike, unlike) = (
            near("how many orders are there", "counts purchases"),
            near("how many orders are there", "boils an egg"),
        );
        assert!(alike > unlike + 0.2, "{alike} {unlike}");
    }
}
