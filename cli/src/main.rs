//! The program `vocoder`: one file a verb. Results go to stdout, progress and errors to stderr; exit
//! status 0 done, 1 the work failed, 2 wrong usage, 130 interrupted.

mod batch;
mod bench;
mod demo;
mod device;
mod devices;
mod eval;
mod explain;
mod failure;
mod inputs;
mod interrupt;
mod mel;
mod memory;
mod output;
mod page;
mod play;
mod process;
mod progress;
mod render;
mod schedule;
mod shard;
mod source;
mod start;
mod stream;
mod train;
mod voice;
mod voices;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A diffusion vocoder: mel spectrograms to sound.
#[derive(Debug, Parser)]
#[command(name = "vocoder", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Say nothing but results and errors
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Render(render::RenderArgs),
    Play(play::PlayArgs),
    Mel(mel::MelArgs),
    Voice(voice::VoiceArgs),
    Train(train::TrainArgs),
    Schedule(schedule::ScheduleArgs),
    Eval(eval::EvalArgs),
    Bench(bench::BenchArgs),
    Demo(demo::DemoArgs),
    Devices(devices::DevicesArgs),
}

fn main() -> ExitCode {
    process::configure();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_usage(&error),
    };
    let result = interrupt::listen().and_then(|()| match &cli.verb {
        Verb::Render(args) => render::run(args, cli.quiet),
        Verb::Play(args) => play::run(args, cli.quiet),
        Verb::Mel(args) => mel::run(args, cli.quiet),
        Verb::Voice(args) => voice::run(args, cli.quiet),
        Verb::Train(args) => train::run(args, cli.quiet),
        Verb::Schedule(args) => schedule::run(args, cli.quiet),
        Verb::Eval(args) => eval::run(args, cli.quiet),
        Verb::Bench(args) => bench::run(args, cli.quiet),
        Verb::Demo(args) => demo::run(args, cli.quiet),
        Verb::Devices(args) => devices::run(args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

/// Prints help or the version as asked, or what is wrong with the arguments on one line.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    let asked = [
        ErrorKind::DisplayHelp,
        ErrorKind::DisplayVersion,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    if asked.contains(&error.kind()) {
        // A closed pipe while printing help is nobody's fault.
        let _ = error.print();
        return ExitCode::from(u8::from(error.use_stderr()) * 2);
    }
    let text = error.to_string();
    let end = text.find("\n\nUsage:").or(text.find("\n\nFor more")).unwrap_or(text.len());
    let message = text[..end].trim_start_matches("error: ").to_string();
    failure::report(&failure::usage(format!("{message} (see --help)")))
}
