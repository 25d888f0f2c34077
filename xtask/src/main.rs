//! `cargo xtask bundle vocoder-plugin --release`: puts the plugin's library into VST3 and CLAP bundles.

fn main() -> nice_plug_xtask::Result<()> {
    nice_plug_xtask::main()
}
