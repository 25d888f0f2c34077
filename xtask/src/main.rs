//! `cargo xtask bundle vocoder-plugin --release`: puts the plugin's library into VST3 and CLAP bundles.
//!
//! nice-plug's bundler, but for the build: that one selects one package, and with it other features of
//! the packages below, so that candle and all on it would be compiled once for the program and once
//! more for the plugin. Here the whole workspace is selected, as in every other build.

use std::env;
use std::path::PathBuf;

use nice_plug_xtask::{Result, build, bundle, chdir_workspace_root};

/// What a bundle takes, and the program that writes its presets.
const TARGETS: [&str; 6] =
    ["--workspace", "--lib", "--bin", "vocoder_plugin", "--bin", "vocoder-presets"];

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.as_slice() {
        [verb, package, options @ ..] if verb == "bundle" && !package.starts_with('-') => {
            chdir_workspace_root()?;
            let targets = TARGETS.iter().map(|arg| arg.to_string());
            build(&[], &targets.chain(options.iter().cloned()).collect::<Vec<_>>())?;
            bundle(&target_folder(), package, options, /* universal */ false)
        }
        _ => nice_plug_xtask::main(),
    }
}

/// Where cargo builds, relative to the workspace's root.
fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}
