//! The plugin as a program of its own: `Vocoder [instrument] [--play FILE] [OPTION...]`, with the
//! options of nice-plug's stand-alone (`--help`).

use std::path::Path;
use std::process::ExitCode;

use nice_plug::prelude::nice_export_standalone_with_args;
use vocoder_plugin::{Effect, Instrument, standalone};

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--play") {
        args.remove(at);
        if at >= args.len() {
            eprintln!("vocoder: --play: expected an audio file, got nothing");
            return ExitCode::from(2);
        }
        if let Err(error) = standalone::play(Path::new(&args.remove(at))) {
            eprintln!("vocoder: --play: {error}");
            return ExitCode::FAILURE;
        }
    }
    let instrument = args.get(1).is_some_and(|arg| arg == "instrument");
    let done = if instrument {
        args.remove(1);
        nice_export_standalone_with_args::<Instrument, _>(args)
    } else {
        nice_export_standalone_with_args::<Effect, _>(args)
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
