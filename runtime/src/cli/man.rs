//! `unnunet man`: the manual, a page for the program and for every subcommand, made of what `--help` says.
//!
//! Pages are named as git names its own: `man unnunet-bundle-sign` explains `unnunet bundle sign`.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{Cli, Outcome, output};

/// Write the manual, a page for every subcommand
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unnunet man --output ~/.local/share/man/man1
  man unnunet-predict")]
pub(super) struct Args {
    /// Folder for the pages; it is made if it is not there, and pages in it are replaced
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// Runs `unnunet man`.
///
/// # Errors
///
/// If a page cannot be written.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let pages = pages(Cli::command()).context("cannot make the manual")?;
    fs_err::create_dir_all(&args.output)?;
    for page in &pages {
        imaging::atomic_file::write(&args.output.join(&page.file), &page.text)
            .with_context(|| format!("cannot write `{}`", page.file))?;
    }
    output::note(format_args!("{} pages in `{}`", pages.len(), args.output.display()));
    Ok(Outcome::Done)
}

/// A page of the manual.
struct Page {
    /// Such as `unnunet-predict.1`.
    file: String,
    /// Written in roff.
    text: Vec<u8>,
}

/// The page of `program` and those of its subcommands, down to the last.
fn pages(program: Command) -> io::Result<Vec<Page>> {
    let mut program = program.disable_help_subcommand(true);
    // Gives every subcommand its full name.
    program.build();
    let source = format!("{} {}", program.get_name(), program.get_version().unwrap_or_default());
    let mut pages = Vec::new();
    add_pages(&program, &source, &mut pages)?;
    Ok(pages)
}

fn add_pages(command: &Command, source: &str, pages: &mut Vec<Page>) -> io::Result<()> {
    pages.push(page(command, source)?);
    command.get_subcommands().filter(|command| !command.is_hide_set()).try_for_each(|it| add_pages(it, source, pages))
}

fn page(command: &Command, source: &str) -> io::Result<Page> {
    // Shown by `notes`, line by line: the generator would run the lines together.
    let man = Man::new(command.clone().after_help("")).source(source);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    text.write_all(notes(command).as_bytes())?;
    Ok(Page { file: man.get_filename(), text })
}

/// What `--help` says after the options, with its lines as they are.
fn notes(command: &Command) -> String {
    let Some(notes) = command.get_after_help() else {
        return String::new();
    };
    let mut roff = Roff::new();
    roff.control("SH", ["NOTES"]).control("nf", []);
    for line in notes.to_string().lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.render()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The words of every subcommand, such as `["bundle", "sign"]`.
    pub(in crate::cli) fn names_of_all(command: &Command) -> Vec<Vec<String>> {
        let with_those_below = |subcommand: &Command| {
            let paths = std::iter::once(Vec::new()).chain(names_of_all(subcommand));
            let name = subcommand.get_name().to_owned();
            paths.map(|path| std::iter::once(name.clone()).chain(path).collect()).collect::<Vec<_>>()
        };
        command.get_subcommands().flat_map(with_those_below).collect()
    }

    fn text_of(file: &str) -> String {
        let pages = pages(Cli::command()).unwrap();
        String::from_utf8(pages.into_iter().find(|page| page.file == file).unwrap().text).unwrap()
    }

    #[test]
    fn every_subcommand_has_a_page_and_nothing_else_has() {
        let mut expected: Vec<_> =
            names_of_all(&Cli::command()).iter().map(|path| format!("unnunet-{}.1", path.join("-"))).collect();
        expected.push("unnunet.1".to_owned());
        assert!(expected.contains(&"unnunet-bundle-trust-add-key.1".to_owned()));
        let mut files: Vec<_> = pages(Cli::command()).unwrap().into_iter().map(|page| page.file).collect();
        expected.sort();
        files.sort();
        assert_eq!(files, expected);
    }

    #[test]
    fn a_page_has_what_help_has() {
        let page = text_of("unnunet-predict.1");
        for part in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", "uncertainty", "scores.csv", "unnunet predict"] {
            assert!(page.contains(part), "no `{part}`\n{page}");
        }
        assert!(text_of("unnunet.1").contains("unnunet\\-bundle(1)"), "the program's page points to the others");
    }

    #[test]
    fn examples_keep_their_lines() {
        let page = text_of("unnunet.1");
        let notes = page.split(".SH NOTES").nth(1).unwrap();
        assert!(notes.contains("\n.nf\nExamples:\n  unnunet bundle verify"), "{notes}");
        assert_eq!(notes.lines().last(), Some(".fi"), "{notes}");
    }
}
