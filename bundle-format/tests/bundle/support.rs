//! A small bundle to read and to attack.

use std::io::Write;
use std::path::{Path, PathBuf};

use bundle_format::{
    Arch, BundleBuilder, BundleError, BundleId, Channel, Digest, Documents, EntryPath, ExecutionProvider, Limits,
    ManifestDraft, Member, MemberId, OnnxProfile, Provenance, PublicKey, Requirements, Role, SelfTest, SemanticVersion,
    SigningKey, Text, Timestamp, Token, TrustedKeys, UnverifiedBundle, VerifiedBundle, sign,
};
use tempfile::TempDir;

pub(crate) fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

pub(crate) fn tokens(texts: &[&str]) -> Vec<Token> {
    texts.iter().map(|text| Token::new(*text).unwrap()).collect()
}

/// A draft with `members` folds of one checkpoint each.
pub(crate) fn draft(members: u32) -> ManifestDraft {
    let digest = Digest::of(b"some input");
    let member = |fold| Member {
        cycle: Some(0),
        epoch: Some(9),
        external: Vec::new(),
        fold: Some(fold),
        id: MemberId::new(format!("fold_{fold}/checkpoint_9")).unwrap(),
        model: path(&format!("models/fold_{fold}/checkpoint_9.onnx")),
        weight_milli: 1000,
    };
    ManifestDraft {
        channel: Channel::Research,
        created: Timestamp::from_unix(1_700_000_000).unwrap(),
        documents: Documents {
            license: path("docs/license.txt"),
            model_card: path("docs/model_card.md"),
            provenance: None,
            release_notes: None,
            sbom: path("sbom/model.cdx.json"),
        },
        id: BundleId::new("test/hearts").unwrap(),
        members: (0..members).map(member).collect(),
        min_security_version: 0,
        onnx: OnnxProfile { ir_version: 8, operators: tokens(&["Conv", "Add"]), opset: 17 },
        pipeline: path("config/pipeline.json"),
        provenance: Provenance {
            checkpoints_sha256: vec![digest],
            dataset_sha256: digest,
            plan_sha256: digest,
            source_revision: Text::new("0123abc").unwrap(),
            trainer: Text::new("unnunet-train 0.1.0").unwrap(),
        },
        requires: Requirements {
            arch: vec![Arch::X86_64, Arch::Aarch64],
            compatible: tokens(&["generic"]),
            device_memory_mib: 0,
            execution_providers: vec![ExecutionProvider::Openvino, ExecutionProvider::Cpu],
            features: tokens(&[]),
            memory_mib: 64,
            onnxruntime: ">=1.20, <2".parse().unwrap(),
            runtime: ">=0.1, <2".parse().unwrap(),
        },
        security_version: 1,
        selftest: SelfTest {
            expected: path("selftest/expected.bin"),
            input: path("selftest/input.bin"),
            max_abs_micro: 100,
            min_dice_milli: 999,
        },
        supersedes: Vec::new(),
        title: Text::new("Hearts").unwrap(),
        version: SemanticVersion::new("1.0.0").unwrap(),
    }
}

/// Every file of the bundle that [`draft`] describes.
pub(crate) fn files(members: u32) -> Vec<(EntryPath, Role, Vec<u8>)> {
    let model = |fold| {
        let name = format!("models/fold_{fold}/checkpoint_9.onnx");
        (path(&name), Role::Onnx, format!("network {fold}").into_bytes())
    };
    let mut files = vec![
        (path("config/pipeline.json"), Role::Config, b"{}".to_vec()),
        (path("docs/license.txt"), Role::Document, b"as is\n".to_vec()),
        (path("docs/model_card.md"), Role::Document, b"# Hearts\n".to_vec()),
        (path("sbom/model.cdx.json"), Role::Sbom, b"{}".to_vec()),
        (path("selftest/expected.bin"), Role::Selftest, vec![1, 2, 3]),
        (path("selftest/input.bin"), Role::Selftest, Vec::new()),
    ];
    files.extend((0..members).map(model));
    files
}

pub(crate) fn builder(draft: ManifestDraft, files: Vec<(EntryPath, Role, Vec<u8>)>) -> BundleBuilder {
    let mut builder = BundleBuilder::new(draft);
    for (path, role, content) in files {
        builder.add_bytes(path, role, content).unwrap();
    }
    builder
}

/// A key that is the same in every run.
pub(crate) fn key(index: u8) -> SigningKey {
    use p256::pkcs8::{EncodePrivateKey, LineEnding};
    let secret = p256::SecretKey::from_slice(&[index; 32]).unwrap();
    let pem = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
    SigningKey::from_pem(&pem, None).unwrap()
}

/// A folder with one bundle in it.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) public: PublicKey,
}

impl Fixture {
    /// A bundle of one member, signed by key 1.
    pub(crate) fn signed() -> Self {
        let fixture = Self::unsigned(1);
        sign(&fixture.bundle(), &key(1), &fixture.bundle()).unwrap();
        fixture
    }

    pub(crate) fn unsigned(members: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Self { folder, public: key(1).public_key() };
        builder(draft(members), files(members)).write(&fixture.bundle()).unwrap();
        fixture
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.folder.path().join("model.unb")
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs_err::read(self.bundle()).unwrap()
    }

    /// What verification says about other bytes in the place of the bundle.
    pub(crate) fn verify_bytes(&self, bytes: &[u8]) -> Result<VerifiedBundle, BundleError> {
        let attacked = self.folder.path().join("attacked.unb");
        // Without truncating first: ext4 flushes a file that was truncated and written.
        let mut file = fs_err::OpenOptions::new().write(true).create(true).truncate(false).open(&attacked).unwrap();
        file.write_all(bytes).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        self.verify_path(&attacked)
    }

    pub(crate) fn verify_path(&self, path: &Path) -> Result<VerifiedBundle, BundleError> {
        let keys = TrustedKeys::single(self.public.clone());
        UnverifiedBundle::open(path, &Limits::default())?.verify(&keys)
    }

    /// The code that verification refuses these bytes with.
    #[track_caller]
    pub(crate) fn refusal(&self, bytes: &[u8]) -> &'static str {
        match self.verify_bytes(bytes) {
            Ok(_) => panic!("the attacked bundle was accepted"),
            Err(error) => error.code(),
        }
    }
}
