//! Whether a training fits into memory, said before it starts and not by the system that kills it hours later.
//!
//! The need is an estimate of the peak: libraries; weights, gradients, momentum and a copy to save; the feature maps of
//! one batch that the backward pass needs, two per convolution (before and after its norm) and the joined ones of the
//! decoder, with the gradients of the largest stage; logits with what the loss makes of them; batches made ahead; and
//! the cases that are kept whole. What there is, is the least of what `/proc/meminfo` says is available and what every
//! enclosing control group (version 2) has left, where file pages that can be dropped count as free.

use std::path::Path;

use nnunet::topology::{EncoderBlock, UNet};

/// libtorch and the program itself.
const LIBRARIES: u64 = 256 << 20;
const BYTES_PER_FLOAT: u64 = 4;
/// Weights, gradients, momentum, and the copies of weights and momentum that are saved.
const COPIES_OF_PARAMETERS: u64 = 6;
/// Of these, the copies that are saved.
const COPIES_SAVED: u64 = 2;
/// Weights and gradients.
const COPIES_PER_REPLICA: u64 = 2;
/// Logits, log-probabilities, probabilities, reference, and the gradients of the first three.
const COPIES_OF_LOGITS: u64 = 7;
/// Batches that wait, one that is made, and one that is trained on.
const N_BATCHES: u64 = 5;

/// What a training needs, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Parameters and what belongs to each of them.
    pub parameters: u64,
    /// Feature maps and logits of one batch.
    pub activations: u64,
    /// Batches made ahead.
    pub batches: u64,
    /// Cases that are kept whole.
    pub cases: u64,
}

impl Need {
    /// The need of training `network` on batches of `batch_size` patches `[(z,) y, x]`, with cases of `cases` bytes
    /// kept.
    pub fn estimate(network: &UNet, patch: &[usize], batch_size: usize, cases: u64) -> Self {
        let n_parameters: u64 = network.parameters().iter().map(|parameter| product(&parameter.shape)).sum();
        let batch = batch_size as u64;
        let patch_voxels = product(patch);
        // A float per channel; a byte, and a label of 64 bits on the device, per target of at most two patches.
        let sample = patch_voxels * (BYTES_PER_FLOAT * network.n_channels as u64 + 2);
        Self {
            parameters: COPIES_OF_PARAMETERS * BYTES_PER_FLOAT * n_parameters,
            activations: BYTES_PER_FLOAT * batch * activations(network, patch),
            batches: N_BATCHES * batch * sample,
            cases,
        }
    }

    /// The need where the network has `n_replicas` on the processors; each further one has weights and gradients.
    #[must_use]
    pub fn with_replicas(self, n_replicas: usize) -> Self {
        let further = COPIES_PER_REPLICA * (n_replicas as u64).saturating_sub(1);
        Self { parameters: self.parameters + self.parameters / COPIES_OF_PARAMETERS * further, ..self }
    }

    /// What of it lies in the machine's own memory where the network is trained on GPUs: the copies that are saved,
    /// batches and cases.
    #[must_use]
    pub fn beside_gpus(self) -> Self {
        Self { parameters: self.parameters / COPIES_OF_PARAMETERS * COPIES_SAVED, activations: 0, ..self }
    }

    /// Bytes that a GPU needs at the very least for `n_samples` of the batch: weights, gradients and momentum, and
    /// feature maps in half precision.
    pub fn on_gpu(&self, n_samples: usize, batch_size: usize) -> u64 {
        let parameters = self.parameters / COPIES_OF_PARAMETERS * (COPIES_OF_PARAMETERS - COPIES_SAVED);
        let share = u128::from(self.activations) * n_samples as u128 / (2 * batch_size.max(1) as u128);
        parameters.saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// All of it, with the libraries.
    pub fn total(&self) -> u64 {
        LIBRARIES + self.parameters + self.activations + self.batches + self.cases
    }
}

/// Floats of one patch that are alive when the backward pass begins, and the gradients that it adds first.
fn activations(network: &UNet, patch: &[usize]) -> u64 {
    let mut extents = patch.to_vec();
    let mut floats = 0;
    // Voxels times features of every stage, and the largest sum of maps that gradients double.
    let (mut maps, mut largest) = (Vec::new(), 0);
    for blocks in &network.encoder {
        for block in blocks {
            for (extent, stride) in extents.iter_mut().zip(block.stride()) {
                *extent /= stride;
            }
            floats += maps_per_feature(block) * block.n_features() as u64 * product(&extents);
        }
        maps.push((product(&extents), blocks.last().map_or(0, |block| block.n_features() as u64)));
    }
    for (stage, &(voxels, skip)) in network.decoder.iter().zip(maps.iter().rev().skip(1)) {
        // Upsampled, joined with the skip, and two per convolution.
        let joined = 3 * skip * voxels;
        floats += joined + stage.blocks.iter().map(|block| 2 * block.n_features as u64 * voxels).sum::<u64>();
        largest = largest.max(joined + 2 * skip * voxels);
        floats += COPIES_OF_LOGITS * network.n_outputs as u64 * voxels;
    }
    floats + largest
}

/// Maps that an encoder block keeps for the backward pass, per feature: two per convolution with its norm, and the sum.
fn maps_per_feature(block: &EncoderBlock) -> u64 {
    match block {
        EncoderBlock::Plain(_) => 2,
        EncoderBlock::Residual(block) => 5 + 2 * u64::from(block.shortcut.projection.is_some()),
    }
}

fn product(extents: &[usize]) -> u64 {
    extents.iter().map(|&extent| extent as u64).product()
}

/// Bytes that this process may still take; `None` where the system does not say.
pub fn available() -> Option<u64> {
    let meminfo = fs_err::read_to_string("/proc/meminfo").ok()?;
    let groups = fs_err::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let left = left_in_groups(Path::new("/sys/fs/cgroup"), &groups);
    [field(&meminfo, "MemAvailable"), left].into_iter().flatten().min()
}

/// A field of `/proc/meminfo` or of a process's status, such as `MemAvailable`, bytes.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The least that a process's group of version 2, and the groups around it, have left; `None` without limits.
fn left_in_groups(root: &Path, groups: &str) -> Option<u64> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut left: Option<u64> = None;
    for folder in root.join(group).ancestors().take_while(|folder| folder.starts_with(root)) {
        let read = |name: &str| fs_err::read_to_string(folder.join(name)).ok();
        // No number but `max` where there is no limit.
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        if let (Some(limit), Some(current)) = (number("memory.max"), number("memory.current")) {
            let file_pages = read("memory.stat").and_then(|text| inactive_file_of(&text)).unwrap_or(0);
            let here = limit.saturating_sub(current.saturating_sub(file_pages));
            left = Some(left.map_or(here, |left| left.min(here)));
        }
    }
    left
}

/// `inactive_file` of `memory.stat`, bytes.
fn inactive_file_of(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("inactive_file "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use nnunet::plans::{ConfigurationName, Plans};

    use super::*;

    #[test]
    fn the_need_grows_with_batch_patch_and_cases() {
        let plans = Plans::parse(include_str!("../../nnunet/tests/golden/plans/hippocampus.json")).unwrap();
        let mut configuration = plans.configuration(&ConfigurationName("3d_fullres".into())).unwrap();
        let arguments = &mut configuration.architecture.arch_kwargs;
        arguments.features_per_stage = vec![2, 4, 8, 10];
        configuration.patch_size = vec![8, 16, 8];
        let network = UNet::new(&configuration, 1, 3).unwrap();
        let need = Need::estimate(&network, &[8, 16, 8], 2, 1000);
        // Encoder, two convolutions a stage: 4 · (2·1024 + 4·128 + 8·16 + 10·2). Decoder, two convolutions a stage:
        // 7 · (8·16 + 4·128 + 2·1024). Logits: 7 · 3 · (16 + 128 + 1024). Gradients: 5 · 2·1024.
        let floats = 4 * (2048 + 512 + 128 + 20) + 7 * (128 + 512 + 2048) + 21 * (16 + 128 + 1024) + 5 * 2048;
        assert_eq!(need.activations, 4 * 2 * floats);
        assert_eq!(need.batches, 5 * 2 * 1024 * 6);
        assert_eq!(need.cases, 1000);
        assert_eq!(need.total(), LIBRARIES + need.parameters + need.activations + need.batches + need.cases);
    }

    #[test]
    fn replicas_add_weights_and_gradients_and_gpus_take_the_network_from_the_host() {
        let need = Need { parameters: 60, activations: 400, batches: 7, cases: 8 };
        assert_eq!(need.with_replicas(1), need);
        assert_eq!(need.with_replicas(3).parameters, 60 + 2 * 20);
        assert_eq!(need.beside_gpus(), Need { parameters: 20, activations: 0, batches: 7, cases: 8 });
        // Four copies of the parameters; three of four samples, two bytes a float.
        assert_eq!(need.on_gpu(3, 4), 40 + 150);
    }

    #[test]
    fn available_memory_is_read_in_bytes() {
        assert_eq!(field("MemTotal:  9 kB\nMemAvailable:   24 kB\n", "MemAvailable"), Some(24 << 10));
        assert_eq!(field("MemTotal:  9 kB\n", "MemAvailable"), None);
        assert_eq!(field("MemAvailable: much kB\n", "MemAvailable"), None);
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(field(status, "VmHWM"), Some(2048 << 10));
        assert_eq!(field(status, "VmSwap"), None);
    }

    #[test]
    fn the_tightest_group_around_the_process_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |group: &str, files: [(&str, &str); 3]| {
            let folder = root.path().join(group);
            fs_err::create_dir_all(&folder).unwrap();
            for (name, text) in files {
                fs_err::write(folder.join(name), text).unwrap();
            }
        };
        write("a/b", [("memory.max", "max\n"), ("memory.current", "50\n"), ("memory.stat", "")]);
        let groups = "4:memory:/elsewhere\n0::/a/b\n";
        assert_eq!(left_in_groups(root.path(), groups), None);
        let stat = "anon 1\ninactive_file 20\n";
        write("a", [("memory.max", "100\n"), ("memory.current", "70\n"), ("memory.stat", stat)]);
        assert_eq!(left_in_groups(root.path(), groups), Some(50));
        write("a/b", [("memory.max", "60\n"), ("memory.current", "50\n"), ("memory.stat", "")]);
        assert_eq!(left_in_groups(root.path(), groups), Some(10));
        assert_eq!(left_in_groups(root.path(), "4:memory:/elsewhere\n"), None);
    }
}
