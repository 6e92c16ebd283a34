//! The passphrase of a private key: typed at a prompt, or read from a file descriptor; never an argument.
//!
//! An argument would stand in the process list and in the shell's history.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use fs_err as fs;

/// Longest passphrase, in bytes.
const MAX_BYTES: usize = 1024;

/// Where the passphrase comes from; without an option it is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct PassphraseArgs {
    /// Read the passphrase, one line, from this open file descriptor
    #[arg(long, value_name = "FD", conflicts_with = "no_passphrase")]
    passphrase_fd: Option<u32>,
    /// The private key is not encrypted
    #[arg(long)]
    no_passphrase: bool,
}

impl PassphraseArgs {
    /// The passphrase for an existing key; `None` with `--no-passphrase`.
    ///
    /// # Errors
    ///
    /// If nothing was given and there is no terminal to ask at, or the descriptor cannot be read.
    pub(super) fn existing(&self) -> anyhow::Result<Option<String>> {
        match self.given()? {
            Some(given) => Ok(given),
            None => prompt("passphrase: ").map(Some),
        }
    }

    /// The passphrase for a new key, asked for twice.
    ///
    /// # Errors
    ///
    /// As [`Self::existing`], and if the two differ or are empty.
    pub(super) fn new_one(&self) -> anyhow::Result<Option<String>> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        let first = prompt("new passphrase: ")?;
        if prompt("the same again: ")? != first {
            bail!("the two passphrases differ");
        }
        Ok(Some(first))
    }

    #[expect(clippy::option_option, reason = "outer: was anything given; inner: is there a passphrase")]
    fn given(&self) -> anyhow::Result<Option<Option<String>>> {
        if self.no_passphrase {
            return Ok(Some(None));
        }
        let Some(fd) = self.passphrase_fd else { return Ok(None) };
        let path = format!("/dev/fd/{fd}");
        let file = fs::File::open(&path).context("cannot read the passphrase")?;
        read_line(io::BufReader::new(file)).map(Some).map(Some)
    }
}

fn prompt(text: &str) -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        bail!("no passphrase: there is no terminal to ask at; use `--passphrase-fd` or `--no-passphrase`");
    }
    let mut stderr = io::stderr();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    rpassword::read_password().context("cannot read the passphrase")
}

fn read_line(reader: impl io::BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    reader.take(MAX_BYTES as u64 + 1).read_line(&mut line).context("cannot read the passphrase")?;
    if line.len() > MAX_BYTES {
        bail!("the passphrase is longer than {MAX_BYTES} bytes");
    }
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_one_line_without_its_end() {
        assert_eq!(read_line(&b"a b \r\nnext"[..]).unwrap(), "a b ");
    }

    #[test]
    fn an_endless_line_is_refused() {
        assert!(read_line(io::BufReader::new(io::repeat(b'a'))).is_err());
    }
}
