//! `loadgen completions` and `loadgen man`: what shells and people are told about the flags. Both
//! come from the definition that parses them, so that they cannot differ from it.

use std::io;

use clap::{CommandFactory as _, ValueEnum};
use clap_mangen::Man;

use super::{CommandLine, PROGRAM, fail};

/// Writes the completion script of a shell to stdout
///
/// For example: loadgen completions bash > ~/.local/share/bash-completion/completions/loadgen
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

/// A shell that completes words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Writes the manual page to stdout, in the form that man reads
///
/// For example: loadgen man | man -l -
#[derive(Debug, clap::Args)]
pub(super) struct Manual {
    /// The page of this subcommand instead
    #[arg(value_name = "SUBCOMMAND")]
    of: Option<String>,
}

/// Writes the completion script.
pub(super) fn completions(args: &Completions) -> u8 {
    emit(&script(args.shell))
}

/// Writes the page.
pub(super) fn manual(args: &Manual) -> u8 {
    match page(args.of.as_deref()) {
        Ok(page) => emit(&page),
        Err(why) => cli::usage::refuse(PROGRAM, &why),
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    clap_complete::generate(shell, &mut CommandLine::command(), PROGRAM, &mut script);
    script
}

/// The page of the program, or that of one subcommand.
///
/// # Errors
///
/// That there is no such subcommand, in one line that names all of them.
fn page(subcommand: Option<&str>) -> Result<Vec<u8>, String> {
    // Building names each subcommand after the program.
    let mut program = CommandLine::command().disable_help_subcommand(true);
    program.build();
    let command = match subcommand {
        None => program,
        Some(name) => program.find_subcommand(name).cloned().ok_or_else(|| {
            let names: Vec<&str> = program
                .get_subcommands()
                .map(clap::Command::get_name)
                .collect();
            format!(
                "invalid value '{name}' for '[SUBCOMMAND]' [possible values: {}]",
                names.join(", ")
            )
        })?,
    };
    let mut page = Vec::new();
    Man::new(command)
        .render(&mut page)
        .map_err(|error| format!("cannot write the page: {error}"))?;
    Ok(page)
}

fn emit(text: &[u8]) -> u8 {
    let written = String::from_utf8(text.to_vec())
        .map_err(io::Error::other)
        .and_then(|text| cli::stdout::emit(&text));
    match written {
        Ok(()) => cli::exit::SUCCESS,
        Err(error) => fail(&format!("cannot write stdout: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The long flags of the program and of its subcommands.
    fn flags() -> Vec<String> {
        let program = CommandLine::command();
        let commands = std::iter::once(&program).chain(program.get_subcommands());
        let flags = commands.flat_map(clap::Command::get_arguments);
        flags
            .filter_map(|flag| flag.get_long().map(str::to_owned))
            .collect()
    }

    #[test]
    fn every_shell_knows_every_flag() {
        assert!(flags().iter().any(|flag| flag == "connections"));
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for flag in flags() {
                assert!(script.contains(&flag), "{shell:?}: {flag}");
            }
        }
    }

    #[test]
    fn the_page_explains_every_flag() {
        let page = String::from_utf8(page(None).unwrap()).unwrap();
        let command = CommandLine::command();
        let shown = command.get_arguments().filter(|flag| !flag.is_hide_set());
        for flag in shown.filter_map(clap::Arg::get_long) {
            let typeset = flag.replace('-', "\\-");
            assert!(page.contains(&format!("\\-\\-{typeset}")), "{flag}");
        }
        assert!(
            page.starts_with(".ie") || page.contains(".TH loadgen 1"),
            "{page}"
        );
    }

    #[test]
    fn every_subcommand_has_a_page_and_no_other_name_has() {
        for command in CommandLine::command().get_subcommands() {
            let page = page(Some(command.get_name())).unwrap();
            let page = String::from_utf8(page).unwrap();
            assert!(
                page.contains(&format!("loadgen {}", command.get_name())),
                "{page}"
            );
        }
        let why = page(Some("nonsense")).unwrap_err();
        assert!(
            why.contains("'nonsense'") && why.contains("report,") && why.contains("man,"),
            "{why}"
        );
    }
}
