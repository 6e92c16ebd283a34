//! A device for tests: model bundles without models, and the operations as values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bundle_format::store::{
    Activation, DeviceState, DeviceStore, Downgrade, FileSystem, LockedStore, Moment, MonotonicCounter, NoCounter,
    Release, Trial, Verify,
};
use bundle_format::{BundleError, BundleId, Channel, Digest, SemanticVersion, Text, Timestamp};

/// Where the store lies on a simulated disk.
pub(crate) const STORE: &str = "/device";

/// A bundle that is its own description: enough for everything but its verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) id: &'static str,
    pub(crate) version: &'static str,
    pub(crate) security_version: u32,
    pub(crate) min_security_version: u32,
}

impl Model {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self { id, version, security_version, min_security_version } = self;
        format!("{id} {version} {security_version} {min_security_version} end").into_bytes()
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.bytes())
    }

    pub(crate) fn id(&self) -> BundleId {
        BundleId::new(self.id).unwrap()
    }

    /// The file outside of the store that holds it.
    pub(crate) fn file(&self) -> PathBuf {
        PathBuf::from(format!("/outside/{}", self.digest()))
    }
}

/// Three versions of one model, and one of another.
pub(crate) const MODELS: [Model; 4] = [
    Model { id: "test/hearts", version: "1.0.0", security_version: 1, min_security_version: 0 },
    Model { id: "test/hearts", version: "1.1.0", security_version: 2, min_security_version: 1 },
    Model { id: "test/hearts", version: "2.0.0", security_version: 3, min_security_version: 2 },
    Model { id: "test/lungs", version: "1.0.0", security_version: 1, min_security_version: 1 },
];

/// The files outside of the store.
pub(crate) fn outside(models: &[Model]) -> BTreeMap<PathBuf, Vec<u8>> {
    models.iter().map(|model| (model.file(), model.bytes())).collect()
}

/// Stands for verification: the file must be whole.
pub(crate) fn verify<F: FileSystem>(fs: &F, file: &Path) -> Result<(Digest, Release), BundleError> {
    let refused = || BundleError::NotRegularFile { path: file.to_path_buf() };
    let bytes = fs.read(file, 0, 1 << 16).map_err(|_| refused())?;
    let text = std::str::from_utf8(&bytes).map_err(|_| refused())?;
    let [id, version, security_version, min_security_version, "end"] = text.split(' ').collect::<Vec<_>>()[..] else {
        return Err(refused());
    };
    let release = Release {
        channel: Channel::Research,
        id: BundleId::new(id).unwrap(),
        min_security_version: min_security_version.parse().unwrap(),
        security_version: security_version.parse().unwrap(),
        signers: vec![Digest::of(b"key")],
        version: SemanticVersion::new(version).unwrap(),
    };
    Ok((Digest::of(&bytes), release))
}

/// A moment, `second` after some day.
pub(crate) fn moment(second: u64) -> Moment {
    Moment { now: Timestamp::from_unix(1_790_000_000 + second).unwrap(), trust_version: Some(0) }
}

/// One command on a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Install(Model),
    Activate(Model, Activation),
    Attempt(&'static str),
    Pass(&'static str),
    FallBack(&'static str),
    Run(&'static str),
    Commit(&'static str),
    Rollback(&'static str, Downgrade),
    Collect,
}

/// Activation without counting, with leave for a downgrade.
pub(crate) const ALLOW: Activation = Activation { downgrade: Downgrade::Allow, runs_to_commit: None };
/// Activation without counting, without leave for a downgrade.
pub(crate) const REFUSE: Activation = Activation { downgrade: Downgrade::Refuse, runs_to_commit: None };

impl Act {
    /// Does it: locks the store at `second`, changes it, and lets go.
    pub(crate) fn on<F: FileSystem + Clone>(&self, fs: &F, second: u64) -> Result<DeviceState, BundleError> {
        self.with_counter(fs, second, NoCounter)
    }

    pub(crate) fn with_counter<F: FileSystem + Clone, C: MonotonicCounter>(
        &self,
        fs: &F,
        second: u64,
        counter: C,
    ) -> Result<DeviceState, BundleError> {
        let store = DeviceStore::new(Path::new(STORE), fs.clone(), counter);
        let mut locked = store.lock(moment(second))?;
        self.apply(&mut locked, &|file| verify(fs, file))?;
        Ok(locked.state().clone())
    }

    pub(crate) fn apply<F: FileSystem, C: MonotonicCounter>(
        &self,
        store: &mut LockedStore<'_, F, C>,
        verify: Verify<'_>,
    ) -> Result<(), BundleError> {
        let id = |id: &str| BundleId::new(id).unwrap();
        match self {
            Self::Install(model) => store.install(&model.file(), verify).map(|_| ()),
            Self::Activate(model, activation) => store.activate(model.digest(), *activation, verify).map(|_| ()),
            Self::Attempt(name) => store.attempt(&id(name)).map(|_: Trial| ()),
            Self::Pass(name) => store.pass(&id(name)),
            Self::FallBack(name) => store.fall_back(&id(name), Text::new("the self-test failed").unwrap()),
            Self::Run(name) => store.run_succeeded(&id(name)),
            Self::Commit(name) => store.commit(&id(name)).map(|_| ()),
            Self::Rollback(name, downgrade) => store.rollback(&id(name), *downgrade, verify).map(|_| ()),
            Self::Collect => store.collect().map(|_| ()),
        }
    }
}

/// Does every act in turn; each must work.
pub(crate) fn play<F: FileSystem + Clone>(fs: &F, acts: &[Act]) {
    for (second, act) in acts.iter().enumerate() {
        act.on(fs, second as u64).unwrap_or_else(|error| panic!("{act:?}: {error}"));
    }
}

/// The store's state as anybody can read it.
pub(crate) fn state<F: FileSystem + Clone>(fs: &F) -> Result<DeviceState, BundleError> {
    DeviceStore::new(Path::new(STORE), fs.clone(), NoCounter).state()
}

/// The number of records of a log that is whole.
pub(crate) fn audit<F: FileSystem + Clone>(fs: &F) -> Result<u64, BundleError> {
    DeviceStore::new(Path::new(STORE), fs.clone(), NoCounter).verify_audit(&mut |_| ())
}
