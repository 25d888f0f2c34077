//! `vocoder schedule`: learns the noise levels that suit a voice, shows them and compares them.

mod compare;
mod learn;
mod show;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Learns the noise levels that suit a voice, shows them and compares them with others
#[derive(Debug, Args)]
pub struct ScheduleArgs {
    #[command(subcommand)]
    verb: ScheduleVerb,
}

#[derive(Debug, Subcommand)]
enum ScheduleVerb {
    Learn(learn::LearnArgs),
    Show(show::ShowArgs),
    Compare(compare::CompareArgs),
}

/// Runs the verb.
///
/// # Errors
/// A voice or recordings that don't serve; a file that can't be written.
pub fn run(args: &ScheduleArgs, quiet: bool) -> Result<()> {
    match &args.verb {
        ScheduleVerb::Learn(args) => learn::run(args, quiet),
        ScheduleVerb::Show(args) => show::run(args),
        ScheduleVerb::Compare(args) => compare::run(args, quiet),
    }
}
