//! nnU-Net's side: its own command on its own model folder, on the CPU, with the processes it takes by default.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use fs_err as fs;
use imaging::atomic_file;

use super::Args;
use crate::bench::Peer;

/// nnU-Net on one model.
#[derive(Debug)]
pub(super) struct NnUNet<'a> {
    args: &'a Args,
    peer: &'a Peer,
    folder: PathBuf,
}

impl<'a> NnUNet<'a> {
    pub(super) fn new(args: &'a Args, peer: &'a Peer, work: &Path) -> Self {
        Self { args, peer, folder: work.join("nnunet") }
    }

    /// Shows nnU-Net a folder with a copy of the trainer's file alone: it imports every Python file there.
    ///
    /// # Errors
    ///
    /// When the file cannot be copied.
    pub(super) fn prepare(&self) -> Result<()> {
        fs::create_dir_all(self.folder.join("trainer"))?;
        if let Some(trainer) = &self.args.trainer {
            atomic_file::write(&self.folder.join("trainer/peer_trainer.py"), &fs::read(trainer)?)?;
        }
        Ok(())
    }

    /// The command that predicts all images with the final checkpoint of every fold.
    pub(super) fn predict(&self, output: &Path) -> Command {
        let mut command = Command::new(self.peer.python.with_file_name("nnUNetv2_predict_from_modelfolder"));
        command.arg("-i").arg(&self.args.images).arg("-o").arg(output).arg("-m").arg(&self.args.model).arg("-f");
        command.args(self.args.folds.iter().map(u16::to_string));
        command.args(["-chk", "checkpoint_final.pth", "-device", "cpu", "--disable_progress_bar"]);
        if self.args.no_mirroring {
            command.arg("--disable_tta");
        }
        for variable in ["nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"] {
            command.env(variable, &self.folder);
        }
        command.env("nnUNet_extTrainer", self.folder.join("trainer"));
        command.env("nnUNet_compile", "f").env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}
