# The commands that a person types. CARGO_FLAGS=--features=cuda (or metal, sound) adds a feature.
CARGO ?= cargo
CARGO_FLAGS ?=
DEMO_OUT ?= out/demo

.PHONY: demo test test-mpi build sound lint deny plugin install-plugin dist screenshot test-hosts test-kernels test-neon

## Hear it: samples/ -> mel -> our voice and Griffin-Lim -> wav files, a picture, a table.
demo: build
	target/release/vocoder demo --out $(DEMO_OUT)

## The program, in target/release/vocoder.
build:
	@scripts/setup
	$(CARGO) build --release --locked --workspace --bin vocoder $(CARGO_FLAGS)

## The program with sound: `vocoder play`. On Linux it needs ALSA's headers, which are installed.
sound:
	@scripts/setup-plugin
	$(CARGO) build --release --locked --workspace --bin vocoder --features vocoder-cli/sound $(CARGO_FLAGS)

## Every test of every package (the end-to-end tests run the program that `build` made).
test: build
	$(CARGO) test --release --workspace --locked
	if command -v mpirun >/dev/null && command -v mpicc >/dev/null; then $(MAKE) test-mpi; fi

## Training by two processes. Installs Open MPI and libclang where it can; puts the program without MPI back.
test-mpi:
	@scripts/setup
	@scripts/setup-mpi
	$(CARGO) build --release --locked --workspace --bin vocoder --features vocoder-cli/mpi
	cp target/release/vocoder target/vocoder-mpi
	$(CARGO) build --release --locked --workspace --bin vocoder
	VOCODER_MPI_PROGRAM=$(CURDIR)/target/vocoder-mpi $(CARGO) test --release --workspace --locked --test training_mpi

## The kernels of training on NVIDIA GPUs, run on the CPU. Needs a C++ compiler.
test-kernels:
	$(CARGO) test --release --locked -p vocoder --features cuda-emulated --lib network::gpu

## The engine as ARM processors run it, by emulation. Installs QEMU and a C compiler for ARM where it can.
test-neon:
	scripts/test-neon

## Format, clippy and docs; warnings are errors.
lint:
	@scripts/setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps --locked

## Licences and banned crates. Needs cargo-deny; its advisory list needs the network, so it is left out.
deny:
	$(CARGO) deny --all-features check licenses bans sources

## VST3, CLAP, stand-alone and presets, in target/bundled.
plugin:
	@scripts/setup-plugin
	CARGO=$(CARGO) scripts/bundle-plugin $(CARGO_FLAGS)

## Where this user's hosts look for plugins and presets.
install-plugin: plugin
	scripts/install-plugin

## An archive of both for people without Rust, in dist/: unpack it, then ./install.
dist: build plugin
	scripts/dist

## The README's picture of the plugin.
screenshot: plugin
	@scripts/setup-plugin --screenshot
	scripts/screenshot docs/plugin.png

## The plugin in pedalboard, DawDreamer and Ardour (installed where that can be done) and in the validators that are
## found; files dropped on its window; a new user's first sound from the archive of `make dist`.
test-hosts: dist
	scripts/test-hosts
	scripts/test-install
