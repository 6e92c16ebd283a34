//! Writes a signed bundle of any size, for measuring: `phantom_bundle FOLDER MEMBERS MEBIBYTES`.
//!
//! Leaves `model.unb` and `key.pub` in the folder. The networks are noise, so
//! the bundle verifies and cannot be run; the same arguments give the same
//! bytes but for the key.

use std::error::Error;
use std::path::Path;

use bundle_format::{
    BundleBuilder, BundleId, Channel, Digest, Documents, EntryPath, ExecutionProvider, ManifestDraft, Member, MemberId,
    OnnxProfile, Provenance, Requirements, Role, SelfTest, SemanticVersion, SigningKey, Text, Timestamp, Token, sign,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, n_members, n_mebibytes] = arguments.as_slice() else {
        return Err("usage: phantom_bundle FOLDER MEMBERS MEBIBYTES".into());
    };
    write(Path::new(folder), n_members.parse()?, n_mebibytes.parse::<usize>()? << 20)
}

/// Writes `model.unb` with networks of `n_bytes` each, and `key.pub`, into `folder`.
pub(crate) fn write(folder: &Path, n_members: u32, n_bytes: usize) -> Result<(), Box<dyn Error>> {
    fs_err::create_dir_all(folder)?;
    let mut builder = BundleBuilder::new(draft(n_members)?);
    for (path, role) in [
        ("config/pipeline.json", Role::Config),
        ("docs/license.txt", Role::Document),
        ("docs/model_card.md", Role::Document),
        ("sbom/model.cdx.json", Role::Sbom),
        ("selftest/expected.bin", Role::Selftest),
        ("selftest/input.bin", Role::Selftest),
    ] {
        builder.add_bytes(EntryPath::new(path)?, role, b"phantom\n".to_vec())?;
    }
    let staged = tempfile::tempdir_in(folder)?;
    for fold in 0..n_members {
        let file = staged.path().join(fold.to_string());
        fs_err::write(&file, noise(fold.into(), n_bytes))?;
        builder.add_file(model(fold)?, Role::Onnx, file)?;
    }
    let bundle = folder.join("model.unb");
    builder.write(&bundle)?;
    staged.close()?;
    let key = SigningKey::generate();
    sign(&bundle, &key, &bundle)?;
    Ok(fs_err::write(folder.join("key.pub"), key.public_key().to_pem())?)
}

fn model(fold: u32) -> Result<EntryPath, Box<dyn Error>> {
    Ok(EntryPath::new(format!("models/fold_{fold}/checkpoint_9.onnx"))?)
}

/// Bytes that no page of memory or disk shares: xorshift, started from `seed`.
fn noise(seed: u64, n_bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = (0..n_bytes / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

fn draft(n_members: u32) -> Result<ManifestDraft, Box<dyn Error>> {
    let digest = Digest::of(b"phantom");
    let mut members = Vec::new();
    for fold in 0..n_members {
        members.push(Member {
            cycle: Some(0),
            epoch: Some(9),
            external: Vec::new(),
            fold: Some(fold),
            id: MemberId::new(format!("fold_{fold}/checkpoint_9"))?,
            model: model(fold)?,
            weight_milli: 1000,
        });
    }
    Ok(ManifestDraft {
        channel: Channel::Research,
        created: Timestamp::from_unix(1_700_000_000)?,
        documents: Documents {
            license: EntryPath::new("docs/license.txt")?,
            model_card: EntryPath::new("docs/model_card.md")?,
            provenance: None,
            release_notes: None,
            sbom: EntryPath::new("sbom/model.cdx.json")?,
        },
        id: BundleId::new("phantom/noise")?,
        members,
        min_security_version: 0,
        onnx: OnnxProfile { ir_version: 8, operators: vec![Token::new("Conv")?], opset: 17 },
        pipeline: EntryPath::new("config/pipeline.json")?,
        provenance: Provenance {
            checkpoints_sha256: vec![digest],
            dataset_sha256: digest,
            plan_sha256: digest,
            source_revision: Text::new("phantom")?,
            trainer: Text::new("phantom_bundle")?,
        },
        requires: Requirements {
            arch: Vec::new(),
            compatible: vec![Token::new("generic")?],
            device_memory_mib: 0,
            execution_providers: vec![ExecutionProvider::Cpu],
            features: Vec::new(),
            memory_mib: 64,
            onnxruntime: ">=1.17, <2".parse()?,
            runtime: ">=0.1, <2".parse()?,
        },
        security_version: 1,
        selftest: SelfTest {
            expected: EntryPath::new("selftest/expected.bin")?,
            input: EntryPath::new("selftest/input.bin")?,
            max_abs_micro: 100,
            min_dice_milli: 999,
        },
        supersedes: Vec::new(),
        title: Text::new("Noise")?,
        version: SemanticVersion::new("1.0.0")?,
    })
}
