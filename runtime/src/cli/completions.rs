//! `unnunet completions`: what a shell needs to complete this program's command lines.

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Outcome, output};

/// Print a script with which a shell completes this program's command lines
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet completions bash > ~/.local/share/bash-completion/completions/unnunet
  unnunet completions zsh > ~/.zfunc/_unnunet
  unnunet completions fish > ~/.config/fish/completions/unnunet.fish")]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs `unnunet completions`.
///
/// # Errors
///
/// If the script is no text, which no version of it ever was.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let script = String::from_utf8(script(args.shell, Cli::command()))?;
    output::line(script.trim_end());
    Ok(Outcome::Done)
}

fn script(shell: Shell, mut command: Command) -> Vec<u8> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::cli::man::tests::names_of_all;

    #[test]
    fn every_shell_completes_every_subcommand() {
        for &shell in Shell::value_variants() {
            let script = String::from_utf8(script(shell, Cli::command())).unwrap();
            for path in names_of_all(&Cli::command()) {
                let last = path.last().unwrap();
                assert!(script.contains(last.as_str()), "{shell} does not know `{}`", path.join(" "));
            }
        }
    }

    #[test]
    fn bash_completes_options_and_their_values() {
        let script = String::from_utf8(script(Shell::Bash, Cli::command())).unwrap();
        for word in ["--public-key", "--uncertainty", "auto cpu openvino cuda tensorrt"] {
            assert!(script.contains(word), "no `{word}`");
        }
    }
}
