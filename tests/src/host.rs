//! A CLAP host without display or sound card, over the plugin as it is linked into the test program.

use std::ffi::CString;

use clack_extensions::latency::{HostLatency, HostLatencyImpl, PluginLatency};
use clack_extensions::params::{ParamInfoBuffer, PluginParams};
use clack_extensions::render::{PluginRender, RenderMode};
use clack_extensions::state::PluginState;
use clack_host::entry::EntryDescriptor;
use clack_host::events::Match;
use clack_host::events::event_types::{NoteOffEvent, NoteOnEvent, ParamValueEvent};
use clack_host::prelude::*;
use clack_host::utils::ClapId;
// Links the plugin in.
use vocoder_plugin as _;

use crate::allocations;

unsafe extern "C" {
    static clap_entry: EntryDescriptor;
}

/// The effect's id.
pub const EFFECT: &str = "vocoder.effect";
/// The instrument's id.
pub const INSTRUMENT: &str = "vocoder.instrument";

/// What happens at a sample of the input.
#[derive(Debug, Clone)]
pub enum Happening {
    /// The parameter of this name takes the value of this text.
    Set(&'static str, String),
    /// A key goes down or up.
    Key(u16, bool),
    /// The host resets the plugin (at the next block).
    Reset,
}

/// How a plugin is run.
#[derive(Debug, Clone)]
pub struct Run {
    /// [`EFFECT`] or [`INSTRUMENT`].
    pub id: &'static str,
    /// Samples a second.
    pub rate: f64,
    /// What the host announces.
    pub max_block: usize,
    /// Block lengths, one after the other and again from the first; each at most `max_block`.
    pub blocks: Vec<usize>,
    /// Whether the host says that it renders offline.
    pub offline: bool,
    /// Parameters before the start.
    pub settings: Vec<(&'static str, String)>,
    /// In order.
    pub happenings: Vec<(usize, Happening)>,
    /// Loaded before the settings.
    pub state: Option<Vec<u8>>,
    /// Waits this long after each block, in seconds: a real-time host.
    pub pause_s: f64,
}

impl Run {
    /// Offline at 48 kHz in blocks of 512.
    pub fn new(id: &'static str) -> Self {
        Self {
            id,
            rate: 48_000.0,
            max_block: 512,
            blocks: vec![512],
            offline: true,
            settings: Vec::new(),
            happenings: Vec::new(),
            state: None,
            pause_s: 0.0,
        }
    }

    /// With the parameter `name` at `value`.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.settings.push((name, value.to_string()));
        self
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// As the plugin reports it.
    pub latency: usize,
    /// As long as the input and the latency.
    pub left: Vec<f32>,
    /// The other channel.
    pub right: Vec<f32>,
    /// After the run.
    pub state: Vec<u8>,
    /// Of the audio thread in `process`.
    pub allocations: usize,
    /// The longest `process`, in seconds.
    pub longest_s: f64,
    /// Whether `process` reported an error.
    pub failed: bool,
    /// Name and text of each parameter after the run.
    pub values: Vec<(String, String)>,
}

struct Shared;
impl SharedHandler<'_> for Shared {
    fn request_restart(&self) {}
    fn request_process(&self) {}
    fn request_callback(&self) {}
}

struct Main;
impl MainThreadHandler<'_> for Main {}
impl HostLatencyImpl for Main {
    fn changed(&self) {}
}

struct Handlers;
impl HostHandlers for Handlers {
    type Shared<'a> = Shared;
    type MainThread<'a> = Main;
    type AudioProcessor<'a> = ();

    fn declare_extensions(builder: &mut HostExtensions<Self>, _shared: &Shared) {
        builder.register::<HostLatency>();
    }
}

/// Runs the plugin over `left` and `right`, and as much silence as its latency asks for.
pub fn run(how: &Run, left: &[f32], right: &[f32]) -> Outcome {
    // SAFETY: the entry is the plugin's own, linked into this program.
    let entry =
        unsafe { PluginEntry::load_from_raw(&clap_entry, c"/nowhere/vocoder.clap") }.unwrap();
    let info = HostInfo::new("tests", "vocoder", "https://example.org", "1").unwrap();
    let id = CString::new(how.id).unwrap();
    let mut plugin =
        PluginInstance::<Handlers>::new(|_| Shared, |_| Main, &entry, &id, &info).unwrap();
    let mut handle = plugin.plugin_handle();
    if let Some(state) = &how.state {
        let extension = handle.get_extension::<PluginState>().unwrap();
        // One that can't be loaded changes nothing.
        let _ = extension.load(&handle, &mut &state[..]);
    }
    let render = handle.get_extension::<PluginRender>().unwrap();
    let mode = if how.offline { RenderMode::Offline } else { RenderMode::Realtime };
    render.set(&handle, mode).unwrap();
    let params = handle.get_extension::<PluginParams>().unwrap();
    let names = names(&params, &mut handle);
    let value = |handle: &mut PluginMainThreadHandle, name: &str, text: &str| {
        let (id, _) =
            names.iter().find(|(_, known)| known == name).unwrap_or_else(|| panic!("{name}"));
        let text = CString::new(text).unwrap();
        (
            *id,
            params.text_to_value(handle, *id, &text).unwrap_or_else(|| panic!("{name}: {text:?}")),
        )
    };
    let first: Vec<ParamValueEvent> = how
        .settings
        .iter()
        .map(|(name, text)| {
            let (id, value) = value(&mut handle, name, text);
            ParamValueEvent::new(0, id, Pckn::match_all(), value)
        })
        .collect();
    let later: Vec<(usize, Event)> = how
        .happenings
        .iter()
        .map(|(at, happening)| {
            let event = match happening {
                Happening::Set(name, text) => {
                    let (id, value) = value(&mut handle, name, text);
                    Event::Set(id, value)
                }
                Happening::Key(key, true) => Event::On(*key),
                Happening::Key(key, false) => Event::Off(*key),
                Happening::Reset => Event::Reset,
            };
            (*at, event)
        })
        .collect();
    // Before the start, as hosts do when a project is loaded.
    let mut flushed = EventBuffer::new();
    first.iter().for_each(|event| flushed.push(event));
    let mut answers = EventBuffer::new();
    let mut inactive = plugin.inactive_plugin_handle().unwrap();
    params.flush(&mut inactive, &flushed.as_input(), &mut answers.as_output());

    let config = PluginAudioConfiguration {
        sample_rate: how.rate,
        min_frames_count: 1,
        max_frames_count: how.max_block as u32,
    };
    let stopped = plugin.activate(|_, _| (), config).unwrap();
    let handle = plugin.plugin_handle();
    let latency = handle.get_extension::<PluginLatency>().unwrap().get(&handle) as usize;
    let mut outcome = Outcome {
        latency,
        left: Vec::new(),
        right: Vec::new(),
        state: Vec::new(),
        allocations: 0,
        longest_s: 0.0,
        failed: false,
        values: Vec::new(),
    };
    let length = left.len() + latency;
    let padded = |side: &[f32]| {
        let mut side = side.to_vec();
        side.resize(length, 0.0);
        side
    };
    let mut sides = [padded(left), padded(right)];
    let stopped = std::thread::scope(|scope| {
        scope.spawn(|| process(how, stopped, &mut sides, &later, &mut outcome)).join().unwrap()
    });
    plugin.deactivate(stopped);
    let handle = plugin.plugin_handle();
    let extension = handle.get_extension::<PluginState>().unwrap();
    extension.save(&handle, &mut outcome.state).unwrap();
    for (id, name) in &names {
        let value = params.get_value(&handle, *id).unwrap();
        let mut text = [0u8; 256];
        let text = params.value_to_text(&handle, *id, value, &mut text).unwrap();
        outcome.values.push((name.clone(), text_of(text)));
    }
    [outcome.left, outcome.right] = sides;
    outcome
}

/// Up to the terminating zero.
fn text_of(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

enum Event {
    Set(ClapId, f64),
    On(u16),
    Off(u16),
    Reset,
}

/// Id and name of each parameter.
fn names(params: &PluginParams, handle: &mut PluginMainThreadHandle) -> Vec<(ClapId, String)> {
    (0..params.count(handle))
        .map(|index| {
            let mut buffer = ParamInfoBuffer::new();
            let info = params.get_info(handle, index, &mut buffer).unwrap();
            (info.id, text_of(info.name))
        })
        .collect()
}

/// The audio thread.
fn process(
    how: &Run,
    stopped: StoppedPluginAudioProcessor<Handlers>,
    sides: &mut [Vec<f32>; 2],
    happenings: &[(usize, Event)],
    outcome: &mut Outcome,
) -> StoppedPluginAudioProcessor<Handlers> {
    let mut processor = stopped.start_processing().unwrap_or_else(|_| panic!("can't start"));
    let [left, right] = sides;
    let (mut inputs, mut outputs) =
        (AudioPorts::with_capacity(2, 1), AudioPorts::with_capacity(2, 1));
    let instrument = how.id == INSTRUMENT;
    let (mut from, mut next) = (0, 0);
    let mut lengths = how.blocks.iter().cycle();
    while from < left.len() {
        let to = (from + lengths.next().unwrap()).min(left.len());
        let mut events = EventBuffer::new();
        while let Some((at, event)) = happenings.get(next).filter(|(at, _)| *at < to) {
            let time = at.saturating_sub(from) as u32;
            let key = |key: u16| Pckn::new(0u16, 0u16, key, Match::All);
            match event {
                Event::Set(id, value) => {
                    events.push(&ParamValueEvent::new(time, *id, Pckn::match_all(), *value));
                }
                Event::On(k) => events.push(&NoteOnEvent::new(time, key(*k), 0.8)),
                Event::Off(k) => events.push(&NoteOffEvent::new(time, key(*k), 0.0)),
                Event::Reset => processor.reset(),
            }
            next += 1;
        }
        let mut ins = [left[from..to].to_vec(), right[from..to].to_vec()];
        let mut outs = [vec![0f32; to - from], vec![0f32; to - from]];
        let channels = if instrument { 0 } else { 2 };
        let ports = (!instrument).then(|| AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_input_only(
                ins.iter_mut()
                    .take(channels)
                    .map(|side| InputChannel::variable(side.as_mut_slice())),
            ),
        });
        let ins = inputs.with_input_buffers(ports);
        let mut outs_ports = outputs.with_output_buffers([AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_output_only(
                outs.iter_mut().map(|o| o.as_mut_slice()),
            ),
        }]);
        let mut answers = EventBuffer::with_capacity(1024);
        let began = std::time::Instant::now();
        let (allocations, status) = allocations::count(|| {
            processor.process(
                &ins,
                &mut outs_ports,
                &events.as_input(),
                &mut answers.as_output(),
                Some(from as u64),
                None,
            )
        });
        outcome.longest_s = outcome.longest_s.max(began.elapsed().as_secs_f64());
        outcome.allocations += allocations;
        outcome.failed |= status.is_err();
        left[from..to].copy_from_slice(&outs[0]);
        right[from..to].copy_from_slice(&outs[1]);
        from = to;
        if how.pause_s > 0.0 {
            std::thread::sleep(std::time::Duration::from_secs_f64(how.pause_s));
        }
    }
    processor.stop_processing()
}
