//! Writes the presets as files for VST3 hosts: `vocoder-presets FOLDER`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("vocoder-presets: expected a folder to write to, got nothing");
        return ExitCode::from(2);
    };
    match vocoder_plugin::presets::write_all(Path::new(&folder)) {
        Ok(files) => {
            println!("{} presets in {}", files.len(), Path::new(&folder).display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("vocoder-presets: {}: {error}", Path::new(&folder).display());
            ExitCode::FAILURE
        }
    }
}
