//! `docs/reference/cli.md`, generated from what the command line says of itself.

use std::fmt::Write;

use clap::{Arg, Command};

/// The reference page for `command`.
pub(super) fn markdown(command: &Command) -> String {
    let mut page = String::from(
        "# Command line\n\n<!-- Generated from src/cli; a test compares. OSIER_BLESS=1 writes it anew. -->\n\n\
         `osier [OPTIONS] COMMAND`\n\n",
    );
    page.push_str("## Options that every command takes\n\n");
    arguments(&mut page, command.get_arguments());
    page.push_str("\n## Exit codes\n\n| code | means |\n|---|---|\n");
    let after = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    for line in after.lines().filter(|line| line.starts_with("  ")) {
        if let Some((code, meaning)) = line.trim().split_once(' ') {
            // Writing to a String cannot fail.
            let _ = writeln!(page, "| {code} | {} |", meaning.trim());
        }
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        section(&mut page, sub, "osier", 2);
    }
    page
}

fn section(page: &mut String, command: &Command, parent: &str, depth: usize) {
    let name = format!("{parent} {}", command.get_name());
    let _ = writeln!(page, "\n{} `{name}`\n", "#".repeat(depth));
    let about = command
        .get_long_about()
        .or(command.get_about())
        .map(ToString::to_string);
    let _ = writeln!(page, "{}\n", about.unwrap_or_default());
    let _ = writeln!(page, "`{}`\n", usage(command, &name));
    let aliases: Vec<_> = command
        .get_visible_aliases()
        .map(|alias| format!("`{alias}`"))
        .collect();
    if !aliases.is_empty() {
        let _ = writeln!(page, "Also: {}\n", aliases.join(", "));
    }
    arguments(page, command.get_arguments());
    if let Some(examples) = command.get_after_help() {
        let text = examples.to_string();
        let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
        let _ = writeln!(page, "\n```sh\n{}\n```", lines.collect::<Vec<_>>().join("\n"));
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        section(page, sub, &name, depth + 1);
    }
}

fn usage(command: &Command, name: &str) -> String {
    let usage = command.clone().bin_name(name).render_usage().to_string();
    usage.trim_start_matches("Usage: ").replace('\n', " ")
}

fn arguments<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    let shown = arguments.filter(|argument| !argument.is_hide_set());
    for argument in shown.collect::<Vec<_>>() {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(page, "- {}: {}", spelling(argument), help.trim_end_matches('.'));
    }
}

fn spelling(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .filter(|_| argument.get_action().takes_values())
        .map(|names| names.iter().map(|name| format!(" {name}")).collect::<String>())
        .unwrap_or_default();
    if argument.is_positional() {
        return format!("`{}`", value.trim());
    }
    let short = argument.get_short().map(|short| format!("`-{short}`"));
    let long = argument.get_long().map(|long| format!("`--{long}{value}`"));
    short.into_iter().chain(long).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_what_the_command_line_says_of_itself() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/cli.md");
        let page = markdown(&super::super::args::command());
        if std::env::var_os("OSIER_BLESS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            committed == page,
            "docs/reference/cli.md is old: run the tests once with OSIER_BLESS=1"
        );
    }
}
