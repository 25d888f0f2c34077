//! A voice's network as an ONNX model: one step of the reverse chain, for other runtimes.
//!
//! | name | type and shape | |
//! | --- | --- | --- |
//! | `signal` | float `[batch, samples]` | the noisy waveform over the prior's deviation |
//! | `mel` | float `[batch, frames, n_mels]` | the log-mel as the voice's config defines it |
//! | `level` | double `[batch]` | the noise level, in (0, 1]: single precision can't tell weak noise apart |
//! | `noise` | float `[batch, samples]` | the output: the unit noise in the signal |
//!
//! `samples` is `frames` times the hop. The model's metadata hold the voice's configs as JSON. Signals
//! inside are `[batch, channels, time]`, as ONNX's convolutions want them.
//!
//! Messages and field numbers: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

mod resample;

use super::Voice;
use crate::config::{LEAKY_SLOPE, LevelEncoding, Padding, Prediction};
use crate::network::MAX_HALF_LOG_SNR;
use crate::protobuf::Message;
use crate::{Error, Result};
use candle_core::Tensor;

/// Version of the file's layout, and of the set of operations: both old enough for any runtime.
const IR_VERSION: i64 = 8;
const OPERATIONS: i64 = 17;

/// `TensorProto.DataType`.
const FLOAT: i64 = 1;
const INT64: i64 = 7;
const DOUBLE: i64 = 11;

/// The ONNX file of `voice`.
///
/// # Errors
/// A voice whose parts don't fit each other.
pub fn export(voice: &Voice) -> Result<Vec<u8>> {
    voice.validate()?;
    let mut graph = Graph { voice, body: Message::new(), count: 0 };
    graph.network()?;
    let bands = Dimension::Fixed(voice.mel.n_mels as i64);
    let (batch, frames, samples) =
        (Dimension::Free("batch"), Dimension::Free("frames"), Dimension::Free("samples"));
    let body = graph
        .body
        .bytes(2, "wavegrad")
        .message(11, value("signal", FLOAT, &[batch, samples]))
        .message(11, value("mel", FLOAT, &[batch, frames, bands]))
        .message(11, value("level", DOUBLE, &[batch]))
        .message(12, value("noise", FLOAT, &[batch, samples]));
    let json = |part: serde_json::Result<String>| {
        part.map_err(|e| Error::config("voice", format!("can't be written as JSON: {e}")))
    };
    let metadata = [
        ("mel", json(serde_json::to_string(&voice.mel))?),
        ("model", json(serde_json::to_string(&voice.model))?),
        ("provenance", json(serde_json::to_string(&voice.provenance))?),
    ];
    let model = Message::new()
        .integer(1, IR_VERSION)
        .bytes(2, "vocoder")
        .bytes(3, env!("CARGO_PKG_VERSION"))
        .message(7, body)
        .message(8, Message::new().bytes(1, "").integer(2, OPERATIONS));
    let model = metadata.iter().fold(model, |model, (key, text)| {
        model.message(14, Message::new().bytes(1, key).bytes(2, text))
    });
    Ok(model.into_bytes())
}

/// A size in a shape.
#[derive(Clone, Copy)]
enum Dimension {
    Fixed(i64),
    Free(&'static str),
}

/// A `ValueInfoProto`.
fn value(name: &str, data_type: i64, shape: &[Dimension]) -> Message {
    let shape = shape.iter().fold(Message::new(), |shape, dimension| {
        let dimension = match dimension {
            Dimension::Fixed(size) => Message::new().integer(1, *size),
            Dimension::Free(name) => Message::new().bytes(2, name),
        };
        shape.message(1, dimension)
    });
    let tensor = Message::new().integer(1, data_type).message(2, shape);
    Message::new().bytes(1, name).message(2, Message::new().message(1, tensor))
}

/// An attribute of an operation.
enum Attribute<'a> {
    Integer(&'a str, i64),
    Integers(&'a str, &'a [i64]),
    Float(&'a str, f32),
}

impl Attribute<'_> {
    fn encode(&self) -> Message {
        match self {
            Self::Integer(name, v) => Message::new().bytes(1, name).integer(3, *v).integer(20, 2),
            Self::Float(name, v) => Message::new().bytes(1, name).float(2, *v).integer(20, 1),
            Self::Integers(name, values) => {
                let named = Message::new().bytes(1, name);
                values.iter().fold(named, |message, v| message.integer(8, *v)).integer(20, 7)
            }
        }
    }
}

/// A graph under construction; values are called by number.
struct Graph<'a> {
    voice: &'a Voice,
    body: Message,
    count: usize,
}

impl Graph<'_> {
    /// The operations of [`Network::forward`](crate::network::Network::forward), in its order.
    fn network(&mut self) -> Result<()> {
        let model = self.voice.model.clone();
        let axis = self.integers(&[1]);
        let signal = self.node("Unsqueeze", &["signal", &axis], &[]);
        let position = self.position(&model.level);
        let mut wave = self.conv("stem", &signal, 1)?;
        let mut films = Vec::new();
        let (channels, factors) = (model.down_channels(), model.down_factors());
        for (i, channels) in channels.into_iter().enumerate() {
            films.push(self.film(i, &wave, &position, channels)?);
            if let Some(factor) = factors.get(i) {
                wave = self.down(i, &wave, *factor, model.down_dilations)?;
            }
        }
        let mel = self.mel();
        let mut x = self.conv("mel", &mel, 1)?;
        for (i, factor) in model.factors.iter().enumerate() {
            let (Some(film), channels) = (films.pop(), model.up[i]) else { break };
            x = self.up(i, &x, &film, (*factor, channels), model.up_dilations[i])?;
        }
        let predicted = self.conv("last", &x, 1)?;
        match model.prediction {
            Prediction::Noise => self.named("Squeeze", &[&predicted, &axis], &["noise"], &[]),
            Prediction::Velocity => {
                let velocity = self.node("Squeeze", &[&predicted, &axis], &[]);
                self.noise_of_velocity(&velocity);
            }
        }
        Ok(())
    }

    /// As the network's: the noise is sigma x + l v.
    fn noise_of_velocity(&mut self, velocity: &str) {
        let (axis, one) = (self.integers(&[1]), self.doubles(&[1.0], &[]));
        let level = self.node("Unsqueeze", &["level", &axis], &[]);
        let square = self.node("Mul", &[&level, &level], &[]);
        let variance = self.node("Sub", &[&one, &square], &[]);
        let sigma = self.node("Sqrt", &[&variance], &[]);
        let [level, sigma] = [level, sigma]
            .map(|value| self.node("Cast", &[&value], &[Attribute::Integer("to", FLOAT)]));
        let signal = self.node("Mul", &["signal", &sigma], &[]);
        let velocity = self.node("Mul", &[velocity, &level], &[]);
        self.named("Add", &[&signal, &velocity], &["noise"], &[]);
    }

    /// `[batch, 1]`, double: what [`LevelEncoding`] multiplies by frequencies.
    fn position(&mut self, encoding: &LevelEncoding) -> String {
        let axis = self.integers(&[1]);
        let level = self.node("Unsqueeze", &["level", &axis], &[]);
        match *encoding {
            LevelEncoding::Level { scale } => {
                let scale = self.doubles(&[scale], &[]);
                self.node("Mul", &[&level, &scale], &[])
            }
            LevelEncoding::LogSnr { scale } => {
                let (one, scale) = (self.doubles(&[1.0], &[]), self.doubles(&[scale], &[]));
                let limits = [-MAX_HALF_LOG_SNR, MAX_HALF_LOG_SNR].map(|v| self.doubles(&[v], &[]));
                let square = self.node("Mul", &[&level, &level], &[]);
                let variance = self.node("Sub", &[&one, &square], &[]);
                let sigma = self.node("Sqrt", &[&variance], &[]);
                let ratio = self.node("Div", &[&level, &sigma], &[]);
                let half_log_snr = self.node("Log", &[&ratio], &[]);
                let limited = self.node("Clip", &[&half_log_snr, &limits[0], &limits[1]], &[]);
                self.node("Mul", &[&limited, &scale], &[])
            }
        }
    }

    /// `[batch, channels, 1]`: sines, then cosines.
    fn encoded(&mut self, position: &str, channels: usize) -> String {
        let half = channels / 2;
        let frequencies: Vec<f64> =
            (0..half).map(|k| 10f64.powf(-4.0 * k as f64 / half as f64)).collect();
        let frequencies = self.doubles(&frequencies, &[half as i64]);
        let turn = self.doubles(&[std::f64::consts::TAU], &[]);
        let angles = self.node("Mul", &[position, &frequencies], &[]);
        // Angles reach thousands of radians: reduced while they are double.
        let angles = self.node("Mod", &[&angles, &turn], &[Attribute::Integer("fmod", 1)]);
        let angles = self.node("Cast", &[&angles], &[Attribute::Integer("to", FLOAT)]);
        let (sin, cos) = (self.node("Sin", &[&angles], &[]), self.node("Cos", &[&angles], &[]));
        let both = self.node("Concat", &[&sin, &cos], &[Attribute::Integer("axis", 1)]);
        let axis = self.integers(&[2]);
        self.node("Unsqueeze", &[&both, &axis], &[])
    }

    /// As [`Film::forward`](crate::network::Film::forward).
    fn film(&mut self, i: usize, x: &str, position: &str, channels: usize) -> Result<String> {
        let level = self.encoded(position, channels);
        let h = self.conv(&format!("film.{i}.input"), x, 1)?;
        let h = self.leaky(&h);
        let h = self.node("Add", &[&h, &level], &[]);
        self.conv(&format!("film.{i}.output"), &h, 1)
    }

    /// As [`Down::forward`](crate::network::Down::forward).
    fn down(&mut self, i: usize, x: &str, factor: usize, dilations: [usize; 3]) -> Result<String> {
        let x = self.fewer(x, factor);
        let mut h = x.clone();
        for (j, dilation) in dilations.into_iter().enumerate() {
            let active = self.leaky(&h);
            h = self.conv(&format!("down.{i}.conv.{j}"), &active, dilation)?;
        }
        let residual = self.conv(&format!("down.{i}.residual"), &x, 1)?;
        Ok(self.node("Add", &[&h, &residual], &[]))
    }

    /// As [`Up::forward`](crate::network::Up::forward).
    fn up(
        &mut self,
        i: usize,
        x: &str,
        film: &str,
        (factor, channels): (usize, usize),
        dilations: [usize; 4],
    ) -> Result<String> {
        let name = |j: usize| format!("up.{i}.conv.{j}");
        let halves = self.integers(&[channels as i64; 2]);
        let parts = [self.name(), self.name()];
        self.named(
            "Split",
            &[film, &halves],
            &[&parts[0], &parts[1]],
            &[Attribute::Integer("axis", 1)],
        );
        let residual = self.conv(&format!("up.{i}.residual"), x, 1)?;
        let residual = self.more(&residual, factor);
        let h = self.leaky(x);
        let h = self.more(&h, factor);
        let h = self.conv(&name(0), &h, dilations[0])?;
        let h = self.modulated(&h, &parts);
        let h = self.conv(&name(1), &h, dilations[1])?;
        let h = self.node("Add", &[&h, &residual], &[]);
        let y = self.modulated(&h, &parts);
        let y = self.conv(&name(2), &y, dilations[2])?;
        let y = self.modulated(&y, &parts);
        let y = self.conv(&name(3), &y, dilations[3])?;
        Ok(self.node("Add", &[&y, &h], &[]))
    }

    /// The mel on the network's scale and ahead by its look-ahead, `[batch, n_mels, frames]`.
    fn mel(&mut self) -> String {
        let model = &self.voice.model;
        let (padding, scale) = (model.padding, model.mel_scale);
        let shift = model.mel_shift * scale;
        let mel = self.node("Transpose", &["mel"], &[Attribute::Integers("perm", &[0, 2, 1])]);
        let (scale, shift) = (self.floats(&[scale], &[]), self.floats(&[shift], &[]));
        let mel = self.node("Mul", &[&mel, &scale], &[]);
        let mel = self.node("Add", &[&mel, &shift], &[]);
        let look_ahead = match padding {
            Padding::Causal { look_ahead } => look_ahead,
            Padding::Symmetric => 0,
        };
        if look_ahead == 0 {
            return mel;
        }
        let rest = self.slice(&mel, look_ahead as i64, i64::MAX, 1);
        let last = self.slice(&mel, -1, i64::MAX, 1);
        let mut parts = vec![rest.as_str()];
        parts.extend(std::iter::repeat_n(last.as_str(), look_ahead));
        self.node("Concat", &parts, &[Attribute::Integer("axis", 2)])
    }

    /// leaky(scale x + shift), with shift and scale in this order in `film`.
    fn modulated(&mut self, x: &str, film: &[String; 2]) -> String {
        let scaled = self.node("Mul", &[x, &film[1]], &[]);
        let shifted = self.node("Add", &[&scaled, &film[0]], &[]);
        self.leaky(&shifted)
    }

    fn leaky(&mut self, x: &str) -> String {
        self.node("LeakyRelu", &[x], &[Attribute::Float("alpha", LEAKY_SLOPE as f32)])
    }

    /// The convolution with the weights `name`.
    fn conv(&mut self, name: &str, x: &str, dilation: usize) -> Result<String> {
        let part = |part: &str| -> Result<&Tensor> {
            let name = format!("{name}.{part}");
            let weight = self.voice.weights.get(&name);
            weight.ok_or_else(|| Error::mismatch("weights", format!("`{name}`"), "no such tensor"))
        };
        // [taps, channels in, channels out] -> [channels out, channels in, taps].
        let weight = part("weight")?.permute((2, 1, 0))?;
        let (taps, bias) = (weight.dim(2)?, part("bias")?);
        let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let (values, biases) = (values(&weight)?, values(bias)?);
        let shape = weight.dims().iter().map(|d| *d as i64).collect::<Vec<_>>();
        let weight = self.floats(&values, &shape);
        let bias = self.floats(&biases, &[biases.len() as i64]);
        let span = dilation * (taps - 1);
        let left = match self.voice.model.padding {
            Padding::Symmetric => span / 2,
            Padding::Causal { .. } => span,
        };
        let pads = [left as i64, (span - left) as i64];
        Ok(self.node(
            "Conv",
            &[x, &weight, &bias],
            &[
                Attribute::Integers("kernel_shape", &[taps as i64]),
                Attribute::Integers("dilations", &[dilation as i64]),
                Attribute::Integers("pads", &pads),
            ],
        ))
    }

    /// Adds an operation of one output and returns that.
    fn node(&mut self, operation: &str, inputs: &[&str], attributes: &[Attribute]) -> String {
        let output = self.name();
        self.named(operation, inputs, &[&output], attributes);
        output
    }

    fn named(&mut self, operation: &str, inputs: &[&str], outputs: &[&str], with: &[Attribute]) {
        let node = inputs.iter().fold(Message::new(), |node, name| node.bytes(1, name));
        let node = outputs.iter().fold(node, |node, name| node.bytes(2, name)).bytes(4, operation);
        let node = with.iter().fold(node, |node, attribute| node.message(5, attribute.encode()));
        self.body = std::mem::take(&mut self.body).message(1, node);
    }

    fn integers(&mut self, values: &[i64]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(INT64, &[values.len() as i64], &bytes)
    }

    fn floats(&mut self, values: &[f32], shape: &[i64]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(FLOAT, shape, &bytes)
    }

    fn doubles(&mut self, values: &[f64], shape: &[i64]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(DOUBLE, shape, &bytes)
    }

    fn constant(&mut self, data_type: i64, shape: &[i64], bytes: &[u8]) -> String {
        let name = self.name();
        let tensor = shape.iter().fold(Message::new(), |tensor, size| tensor.integer(1, *size));
        let tensor = tensor.integer(2, data_type).bytes(8, &name).bytes(9, bytes);
        self.body = std::mem::take(&mut self.body).message(5, tensor);
        name
    }

    fn name(&mut self) -> String {
        self.count += 1;
        format!("v{}", self.count)
    }
}
