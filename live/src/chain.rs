//! The model behind the plugin: sound or notes to mel, mel to sound by the network.

use std::sync::Arc;

use vocoder::Result;
use vocoder::mel::{Mel, MelConfig, MelStream};
use vocoder::prior::{Memory, Prior};
use vocoder::render::latency;
use vocoder::start::Start;

use crate::chunk::Chunk;
use crate::clip::{ClipMel, Notes};
use crate::loader::{Loader, Slot, SlotKey, SlotMaker};
use crate::model::Model;
use crate::resample::Resampler;
use crate::shape::Shaper;
use crate::watch::Watch;
use crate::{Controls, NoteEvent, Status, Telemetry};

/// See the module. Each lane is a channel with a network of its own.
pub(crate) struct Chain {
    mel: MelConfig,
    prior: Prior,
    rates: (u32, u32),
    source: Source,
    lanes: Vec<Lane>,
    loader: Loader,
    current: Option<Box<Slot>>,
    /// The one that is fading in, and the voice's sample from which on.
    next: Option<(Box<Slot>, u64)>,
    /// Frames of the stream so far, samples of it that were rendered, and restarts.
    frames: u64,
    rendered: u64,
    passes: u64,
    watch: Watch,
    telemetry: Arc<Telemetry>,
}

/// Where frames come from.
enum Source {
    Input,
    Clip(Box<ClipSource>),
}

struct ClipSource {
    notes: Notes,
    /// Host samples since the restart.
    taken: u64,
}

struct Lane {
    down: Resampler,
    stream: MelStream,
    shaper: Shaper,
    up: Resampler,
    /// Input at the voice's rate, from the frame on that is whitened next.
    carrier: Vec<f32>,
    /// The newest two frames as they came.
    heard: Vec<f32>,
    memory: Memory,
    /// New frames of this chunk, as they came and shaped.
    fresh: Vec<f32>,
    shaped: Vec<f32>,
    low: Vec<f32>,
}

impl Lane {
    fn new(mel: &MelConfig, (host, voice): (u32, u32)) -> Result<Self> {
        Ok(Self {
            down: Resampler::new(host, voice),
            stream: MelStream::new(mel)?,
            shaper: Shaper::new(mel),
            up: Resampler::new(voice, host),
            carrier: Vec::new(),
            heard: Vec::new(),
            memory: Memory::default(),
            fresh: Vec::new(),
            shaped: Vec::new(),
            low: Vec::new(),
        })
    }

    fn reset(&mut self) {
        self.down.reset();
        self.stream.reset();
        self.shaper.reset();
        self.up.reset();
        self.carrier.clear();
        self.heard.clear();
        self.memory = Memory::default();
    }
}

impl Chain {
    /// A chain for the input's sound.
    pub fn of_input(
        maker: SlotMaker,
        rate: u32,
        watch: Watch,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self> {
        Self::new(maker, rate, Source::Input, watch, telemetry)
    }

    /// A chain for notes on `clip`.
    pub fn of_clip(
        maker: SlotMaker,
        rate: u32,
        clip: Option<ClipMel>,
        watch: Watch,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self> {
        let notes = Notes::new(&maker.voice.mel, clip);
        let source = Source::Clip(Box::new(ClipSource { notes, taken: 0 }));
        Self::new(maker, rate, source, watch, telemetry)
    }

    fn new(
        maker: SlotMaker,
        rate: u32,
        source: Source,
        watch: Watch,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self> {
        let mel = maker.voice.mel.clone();
        let rates = (rate, mel.sample_rate);
        Ok(Self {
            prior: Prior::new(maker.voice.model.prior, &mel)?,
            lanes: (0..maker.lanes).map(|_| Lane::new(&mel, rates)).collect::<Result<_>>()?,
            loader: Loader::new(maker)?,
            mel,
            rates,
            source,
            current: None,
            next: None,
            frames: 0,
            rendered: 0,
            passes: 0,
            watch,
            telemetry,
        })
    }

    /// Samples of the host after its place that an output sample waits for.
    pub fn look_ahead(maker: &SlotMaker, rate: u32, of_input: bool) -> usize {
        let voice = &maker.voice;
        let most = crate::MAX_STEPS;
        let ahead = latency(&voice.model, &voice.mel, &Start::Noise, most, maker.polish);
        let low = voice.mel.sample_rate;
        let (down, up) = (Resampler::new(rate, low), Resampler::new(low, rate));
        let (mel, down) = if of_input { (ahead.mel, down.look_ahead()) } else { (0, 0) };
        let low_samples = up.look_ahead() + ahead.frames * voice.mel.hop + mel + 1;
        down + (low_samples as f64 * f64::from(rate) / f64::from(low)).ceil() as usize + 1
    }

    /// Fills each lane's `fresh` with the frames that `chunk` completes.
    fn hear(&mut self, chunk: &Chunk) -> Result<()> {
        match &mut self.source {
            Source::Input => {
                for (lane, samples) in self.lanes.iter_mut().zip(&chunk.channels) {
                    lane.low.clear();
                    lane.down.push(samples, &mut lane.low);
                    lane.carrier.extend_from_slice(&lane.low);
                    lane.fresh = lane.stream.push(&lane.low)?;
                }
            }
            Source::Clip(clip) => {
                let lane = &mut self.lanes[0];
                lane.fresh.clear();
                clip.hear(chunk, self.frames, self.mel.hop, self.rates, &mut lane.fresh);
            }
        }
        Ok(())
    }

    /// Sees that a slot for the controls is there or on its way; starts to fade to one that came.
    fn arrange(&mut self, controls: &Controls, wait: bool) -> Result<()> {
        // One change after the other.
        let key = SlotKey::new(controls, self.passes);
        if self.next.is_some() || self.current.as_ref().is_some_and(|slot| slot.key == key) {
            return Ok(());
        }
        let Some(slot) = self.loader.get(key, wait)? else { return Ok(()) };
        self.telemetry.set_levels(&slot.levels);
        if self.frames == 0 {
            // At the beginning of a stream there is nothing to fade from.
            self.take_over(slot);
        } else {
            self.next = Some((slot, self.frames * self.mel.hop as u64));
        }
        Ok(())
    }

    /// `slot` is the one that is heard, from now on alone.
    fn take_over(&mut self, slot: Box<Slot>) {
        if let Some(old) = self.current.replace(slot) {
            self.loader.free(old);
        }
    }

    /// The whitened input of the frames before the new ones, for chains that follow it.
    fn whiten(&mut self, index: usize) -> Result<Vec<f32>> {
        let lane = &mut self.lanes[index];
        let (bands, hop) = (self.mel.n_mels, self.mel.hop);
        let known = lane.heard.len() / bands;
        let mut data = lane.heard.clone();
        data.extend_from_slice(&lane.fresh);
        let total = data.len() / bands;
        let mel = Mel { config: self.mel.clone(), frames: total, data };
        // All frames that have a neighbour after them and were not whitened before.
        let from = known.saturating_sub(1);
        let to = total.saturating_sub(1);
        let mut signal: Vec<f32> = lane.carrier.drain(..(to - from) * hop).collect();
        let follows = |slot: &Slot| slot.key.follow > 0;
        let wanted = self.current.as_deref().is_some_and(follows)
            || self.next.as_ref().is_some_and(|(slot, _)| follows(slot));
        if wanted {
            self.prior.whiten(&mel, from..to, &mut lane.memory, &mut signal)?;
        }
        let keep = total.saturating_sub(2) * bands;
        lane.heard = mel.data[keep..].to_vec();
        Ok(signal)
    }

    /// Renders the new frames of a lane into its `low`.
    fn render(&mut self, index: usize, temperature: f32) -> Result<()> {
        let guide = match self.source {
            Source::Input => self.whiten(index)?,
            Source::Clip(_) => Vec::new(),
        };
        let (hop, lane) = (self.mel.hop as u64, &mut self.lanes[index]);
        let mel = Mel {
            config: self.mel.clone(),
            frames: lane.shaped.len() / self.mel.n_mels,
            data: std::mem::take(&mut lane.shaped),
        };
        let run = |slot: &mut Slot, guide: &[f32]| {
            let renderer = &mut slot.renderers[index];
            renderer.set_temperature(temperature);
            renderer.push_given(guide);
            renderer.push(&mel)
        };
        lane.low.clear();
        if let Some(slot) = &mut self.current {
            lane.low = run(slot, &guide)?;
        }
        if let Some((slot, since)) = &mut self.next {
            // Its first frame is the stream's of sample `since`; guides before it are not its own.
            let first_guide = (self.frames * hop).saturating_sub(hop);
            let skip = (since.saturating_sub(first_guide) as usize).min(guide.len());
            let fresh = run(slot, &guide[skip..])?;
            // Both lists end with the same sample.
            let shared = fresh.len().min(lane.low.len());
            let begin = lane.low.len() - shared;
            let fading = lane.low[begin..].iter_mut().zip(&fresh[fresh.len() - shared..]);
            for (sample, (old, new)) in (self.rendered + begin as u64..).zip(fading) {
                let share = (sample - *since + 1) as f32 / hop as f32;
                *old += (new - *old) * share.min(1.0);
            }
        }
        lane.shaped = mel.data;
        Ok(())
    }
}

impl ClipSource {
    /// Appends the frames whose centres lie in `chunk`, `frames` being those before it.
    fn hear(
        &mut self,
        chunk: &Chunk,
        frames: u64,
        hop: usize,
        (host, voice): (u32, u32),
        out: &mut Vec<f32>,
    ) {
        let mut events = chunk.notes.iter().peekable();
        let end = self.taken + chunk.channels.first().map_or(0, |c| c.len() as u64);
        let mut frame = frames;
        loop {
            let centre = frame * hop as u64 * u64::from(host) / u64::from(voice);
            if centre >= end {
                break;
            }
            while let Some((_, event)) =
                events.next_if(|(at, _)| self.taken + u64::from(*at) <= centre)
            {
                self.notes.take(*event, &chunk.controls);
            }
            self.notes.frame(&chunk.controls, out);
            frame += 1;
        }
        events.for_each(|(_, event): &(u32, NoteEvent)| self.notes.take(*event, &chunk.controls));
        self.taken = end;
    }
}

impl Model for Chain {
    fn is_ready(&mut self, chunk: &Chunk) -> bool {
        if self.current.is_some() {
            return true;
        }
        match self.arrange(&chunk.controls, chunk.waited_for) {
            Ok(()) if self.current.is_some() => true,
            Ok(()) => {
                self.telemetry.set_status(Status::Loading);
                false
            }
            Err(error) => {
                self.telemetry.set_status(Status::Failed);
                self.telemetry.set_message(error.to_string());
                false
            }
        }
    }

    fn restart(&mut self) {
        self.lanes.iter_mut().for_each(Lane::reset);
        if let Source::Clip(clip) = &mut self.source {
            clip.notes.reset();
            clip.taken = 0;
        }
        if let Some((slot, _)) = self.next.take() {
            self.take_over(slot);
        }
        for renderer in self.current.iter_mut().flat_map(|slot| &mut slot.renderers) {
            renderer.reset();
        }
        (self.frames, self.rendered) = (0, 0);
        self.watch.reset();
        self.passes += 1;
    }

    fn push(&mut self, chunk: &Chunk, out: &mut [Vec<f32>]) -> Result<()> {
        self.arrange(&chunk.controls, chunk.waited_for)?;
        self.hear(chunk)?;
        let bands = self.mel.n_mels;
        for index in 0..self.lanes.len() {
            let lane = &mut self.lanes[index];
            lane.shaped.clear();
            lane.shaped.extend_from_slice(&lane.fresh);
            if matches!(self.source, Source::Input) {
                for frame in lane.shaped.chunks_mut(bands) {
                    lane.shaper.apply(&chunk.controls, frame);
                }
            }
            self.render(index, chunk.controls.temperature)?;
            let lane = &mut self.lanes[index];
            lane.up.push(&lane.low, &mut out[index]);
        }
        // An instrument's one lane is heard on all channels.
        let (lanes, rest) = out.split_at_mut(self.lanes.len());
        for other in rest {
            let from = other.len();
            other.extend_from_slice(&lanes[0][from..]);
        }
        let lane = &self.lanes[0];
        self.watch.take(&lane.fresh, &lane.low)?;
        self.rendered += lane.low.len() as u64;
        self.frames += (lane.fresh.len() / bands) as u64;
        if let Some((_, since)) = &self.next
            && self.rendered >= since + self.mel.hop as u64
            && let Some((slot, _)) = self.next.take()
        {
            self.take_over(slot);
        }
        Ok(())
    }
}
