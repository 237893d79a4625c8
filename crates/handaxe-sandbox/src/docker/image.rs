//! The image: one layer that holds the interpreter's files and ours, imported from a tar that is
//! made here. Nothing is pulled, and nothing else is in it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use handaxe_types::Digest;
use tar::{Builder, EntryType, Header};

use crate::interpreter::{COVERED, Runtime};

/// Of the image's name; the digest of what it is made of is its tag.
pub(super) const REPOSITORY: &str = "localhost/handaxe";

/// Mount points.
const EMPTY: [&str; 8] = [
    "proc", "sys", "dev", "etc", "scratch", "data", "assets", "handaxe",
];

/// The tag: another interpreter, program or layout is another image.
pub(super) fn tag(runtime: &Runtime, files: &[(&'static str, Vec<u8>)]) -> String {
    let described = serde_json::to_vec(runtime).unwrap_or_default();
    let mut parts = vec![b"handaxe image 1".as_slice(), &described];
    parts.extend(files.iter().map(|(_, bytes)| bytes.as_slice()));
    Digest::of_parts(parts)
        .to_string()
        .chars()
        .take(16)
        .collect()
}

/// The layer.
pub(super) fn layer(runtime: &Runtime, files: &[(&'static str, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut layer = Layer {
        tar: Builder::new(Vec::new()),
        made: BTreeSet::new(),
    };
    for name in EMPTY {
        layer.directory(Path::new(name))?;
    }
    for (name, bytes) in files {
        layer.file(&Path::new("handaxe").join(name), bytes, 0o444, 0)?;
    }
    for directory in &runtime.directories {
        layer.tree(directory)?;
    }
    for file in &runtime.files {
        layer.copy(file)?;
    }
    for (link, target) in &runtime.links {
        layer.link(link, target)?;
    }
    layer.tar.into_inner()
}

struct Layer {
    tar: Builder<Vec<u8>>,
    made: BTreeSet<PathBuf>,
}

fn inside(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

impl Layer {
    /// Whether this path is new; what is there already stays.
    fn claim(&mut self, path: &Path) -> io::Result<bool> {
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            self.directory(parent)?;
        }
        Ok(self.made.insert(path.to_owned()))
    }

    fn directory(&mut self, path: &Path) -> io::Result<()> {
        if !self.claim(path)? {
            return Ok(());
        }
        let mut header = header(EntryType::Directory, 0o755, 0, 0);
        self.tar.append_data(&mut header, path, io::empty())
    }

    fn file(&mut self, path: &Path, bytes: &[u8], mode: u32, time: u64) -> io::Result<()> {
        if !self.claim(path)? {
            return Ok(());
        }
        let mut header = header(EntryType::Regular, mode, bytes.len() as u64, time);
        self.tar.append_data(&mut header, path, bytes)
    }

    fn copy(&mut self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let seen = path.metadata()?;
        let executable = seen.mode() & 0o111 != 0;
        let mode = if executable { 0o555 } else { 0o444 };
        // A compiled module names its source's time.
        let time = u64::try_from(seen.mtime()).unwrap_or_default();
        self.file(inside(path), &fs::read(path)?, mode, time)
    }

    fn link(&mut self, link: &Path, target: &Path) -> io::Result<()> {
        if !self.claim(inside(link))? {
            return Ok(());
        }
        let mut header = header(EntryType::Symlink, 0o777, 0, 0);
        self.tar.append_link(&mut header, inside(link), target)
    }

    /// Plain files and links beneath a directory, without what a tool has no business with.
    fn tree(&mut self, directory: &Path) -> io::Result<()> {
        self.directory(inside(directory))?;
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let covered = COVERED.iter().any(|c| entry.file_name() == *c);
            if kind.is_dir() && !covered {
                self.tree(&path)?;
            } else if kind.is_file() {
                self.copy(&path)?;
            } else if kind.is_symlink() {
                self.link(&path, &fs::read_link(&path)?)?;
            }
        }
        Ok(())
    }
}

fn header(kind: EntryType, mode: u32, size: u64, time: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(time);
    header.set_uid(0);
    header.set_gid(0);
    header
}
