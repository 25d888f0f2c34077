# The commands that a person types. CARGO_FLAGS=--features=cuda (or metal, sound) adds a feature.
CARGO ?= cargo
CARGO_FLAGS ?=
DEMO_OUT ?= out/demo

.PHONY: demo test build lint deny plugin install-plugin screenshot

## Hear it: samples/ -> mel -> our voice and Griffin-Lim -> wav files, a picture, a table.
demo: build
	target/release/vocoder demo --out $(DEMO_OUT)

## The program, in target/release/vocoder.
build:
	@scripts/setup
	$(CARGO) build --release --locked --workspace --bin vocoder $(CARGO_FLAGS)

## Every test of every package (the end-to-end tests run the program that `build` made).
test: build
	$(CARGO) test --release --workspace --locked

## Format, clippy and docs; warnings are errors.
lint:
	@scripts/setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps --locked

## Licences and banned crates. Needs cargo-deny; its advisory list needs the network, so it is left out.
deny:
	$(CARGO) deny --all-features check licenses bans sources

## VST3, CLAP, stand-alone and presets, in target/bundled. The bundles are built without the feature of
## the stand-alone, so that they link no sound card; the bundler picks up the program that was built first.
plugin:
	@scripts/setup-plugin
	$(CARGO) build --release --locked --package vocoder-plugin --bin vocoder-plugin --features standalone $(CARGO_FLAGS)
	$(CARGO) xtask bundle vocoder-plugin --release --locked $(CARGO_FLAGS)
	target/release/vocoder-presets target/bundled/presets

## Where this user's hosts look for plugins and presets.
install-plugin: plugin
	scripts/install-plugin

## The README's picture of the plugin.
screenshot: plugin
	@scripts/setup-plugin --screenshot
	scripts/screenshot docs/plugin.png
