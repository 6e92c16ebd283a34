//! No bytes make the reader of bundles panic, and one that is whole can be read to its last file.
//!
//! The bytes lie in a file, as those of a bundle do, rewritten for every input.

#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use bundle_format::{BundleContents, Limits, UnverifiedBundle};
use libfuzzer_sys::fuzz_target;

static BUNDLE: LazyLock<(PathBuf, File)> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("fuzz-{}.unb", std::process::id()));
    let file = File::create(&path).expect("the folder of temporary files can be written");
    (path, file)
});

fuzz_target!(|bytes: &[u8]| {
    let (path, file) = &*BUNDLE;
    file.set_len(bytes.len() as u64).expect("a file can be cut");
    file.write_all_at(bytes, 0).expect("a file can be written");
    let limits = Limits { loaded_bytes: 1 << 20, ..Limits::default() };
    let Ok(bundle) = UnverifiedBundle::open(path, &limits).and_then(UnverifiedBundle::check) else { return };
    for file in bundle.manifest().files() {
        let content = bundle.read(&file.path).expect("the digest was that of the manifest");
        assert_eq!(content.len() as u64, file.size);
    }
    for member in &bundle.manifest().members {
        let _ = bundle.load_model(&member.id);
    }
});
