//! Which tensors does the embedder need, and how do they get from safetensors into packed panels?
//!
//! Matrices are rounded to eight bits, one scale per 32 columns, in one buffer; without AMX, those of
//! queries, keys and values stay floats. Rows of the token embedding are read from the mapped file when a
//! text needs them.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use candle_core::DType;
use candle_core::safetensors::SliceSafetensors;
use candle_transformers::models::bert::Config;
use casemate_disk::Map;

use crate::kernel::{Isa, PANEL_ROWS};
use crate::matmul::{FloatMatrix, Linear, Weight};
use crate::packed::{AlignedBytes, Arena, Format, PackedMatrix, Shape, Source, pack_panel};
use crate::pool::Pool;

pub(super) struct Weights {
    pub(super) words: Words,
    /// `[position][dimension]`: the embedding of the position plus that of the first type of token.
    pub(super) positions: Vec<f32>,
    pub(super) norm: Norm,
    pub(super) layers: Vec<Layer>,
}

/// Scale and offset of a layer norm.
pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

pub(super) struct Layer {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) attention_output: Linear,
    pub(super) attention_norm: Norm,
    pub(super) feed_forward: Vec<FeedForward>,
    pub(super) output_norm: Norm,
}

/// A part of the inner dimensions: its activations go up and down again while they are in the second-level
/// cache, and take a quarter of the memory that all would.
pub(super) struct FeedForward {
    pub(super) up: Linear,
    pub(super) down: Linear,
}

/// Inner dimensions of a part.
const PART: usize = 384;

/// The token embedding, in the file.
pub(super) struct Words {
    map: Map,
    range: Range<usize>,
    dtype: DType,
}

impl Words {
    /// Writes a token's row, of a token that exists.
    pub(super) fn read(&self, token: u32, out: &mut [f32]) {
        let bytes = out.len() * self.dtype.size_in_bytes();
        let row = self.map[self.range.clone()].chunks_exact(bytes).nth(token as usize);
        read_floats(self.dtype, row.unwrap_or_default(), out);
    }
}

impl Weights {
    /// Positions up to `max_length` are kept. An error says what is missing or wrong.
    pub(super) fn load(
        map: Map,
        config: &Config,
        isa: Isa,
        max_length: usize,
        pool: &Pool,
    ) -> Result<Self, String> {
        let tensors = SliceSafetensors::new(&map).map_err(|e| e.to_string())?;
        let mut loader =
            Loader { prefix: prefix(&tensors, config)?, tensors, isa, jobs: Vec::new(), bytes: 0 };
        let arena = Arc::new(Arena::default());
        let hidden = config.hidden_size;

        let words = "embeddings.word_embeddings.weight";
        let words = loader.tensor(words, &[config.vocab_size, hidden])?;
        let start = words.data.as_ptr().addr() - map.as_ptr().addr();
        let (range, dtype) = (start..start + words.data.len(), words.dtype);
        let positions = "embeddings.position_embeddings.weight";
        let positions = loader.tensor(positions, &[config.max_position_embeddings, hidden])?;
        let mut positions = positions.rows(0..max_length, hidden)?;
        let types = "embeddings.token_type_embeddings.weight";
        let types = loader.tensor(types, &[config.type_vocab_size, hidden])?.rows(0..1, hidden)?;
        for row in positions.chunks_exact_mut(hidden) {
            row.iter_mut().zip(&types).for_each(|(x, of_type)| *x += of_type);
        }
        let norm = loader.norm("embeddings.LayerNorm", hidden)?;
        let layers = (0..config.num_hidden_layers).map(|layer| loader.layer(layer, config, &arena));
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        arena.fill(loader.pack(pool)?);
        drop(loader);
        Ok(Self { words: Words { map, range, dtype }, positions, norm, layers })
    }
}

struct Loader<'a> {
    tensors: SliceSafetensors<'a>,
    /// What stands before every tensor's name.
    prefix: String,
    isa: Isa,
    jobs: Vec<Job>,
    /// Bytes of the arena that are given away.
    bytes: usize,
}

/// A matrix that has its place and waits to be packed.
struct Job {
    name: String,
    /// Rows and columns of the tensor in the file.
    full: [usize; 2],
    part: Part,
    shape: Shape,
}

/// Some rows and columns of a tensor.
struct Part {
    rows: Range<usize>,
    columns: Range<usize>,
}

struct Tensor<'a> {
    name: &'a str,
    dtype: DType,
    data: &'a [u8],
}

impl Tensor<'_> {
    /// Some of the rows of `columns` values each. Rounding to eight bits would hide what is not a number, so
    /// that is refused here.
    fn rows(&self, rows: Range<usize>, columns: usize) -> Result<Vec<f32>, String> {
        let row_bytes = columns * self.dtype.size_in_bytes();
        let mut values = vec![0.0; rows.len() * columns];
        read_floats(self.dtype, &self.data[rows.start * row_bytes..rows.end * row_bytes], &mut values);
        match values.iter().find(|x| !x.is_finite()) {
            Some(x) => Err(format!("tensor {} holds {x} where a finite number is expected", self.name)),
            None => Ok(values),
        }
    }
}

/// Files of whole models name the encoder in front of its tensors' names.
fn prefix(tensors: &SliceSafetensors<'_>, config: &Config) -> Result<String, String> {
    const FIRST: &str = "embeddings.word_embeddings.weight";
    let of_type = config.model_type.as_ref().map(|name| format!("{name}."));
    let mut prefixes = [Some(String::new()), Some("bert.".to_owned()), of_type].into_iter().flatten();
    prefixes
        .find(|prefix| tensors.get(&format!("{prefix}{FIRST}")).is_ok())
        .ok_or_else(|| format!("no tensor {FIRST}"))
}

impl Loader<'_> {
    /// The tensor of that name, whose shape and type are as expected.
    fn tensor<'t>(&'t self, name: &'t str, shape: &[usize]) -> Result<Tensor<'t>, String> {
        let view = self.tensors.get(&format!("{}{name}", self.prefix));
        let view = view.map_err(|_| format!("no tensor {name}"))?;
        if view.shape() != shape {
            return Err(format!("tensor {name} is {:?} where {shape:?} is expected", view.shape()));
        }
        match DType::try_from(view.dtype()) {
            Ok(dtype @ (DType::F32 | DType::F16 | DType::BF16)) => {
                Ok(Tensor { name, dtype, data: view.data() })
            }
            _ => Err(format!("tensor {name} holds {:?} where F32, F16 or BF16 is expected", view.dtype())),
        }
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, String> {
        self.tensor(name, &[length])?.rows(0..1, length)
    }

    fn norm(&self, name: &str, length: usize) -> Result<Norm, String> {
        // Old files say gamma and beta.
        let either = |new: &str, old: &str| {
            let old = format!("{name}.{old}");
            let is_old = self.tensors.get(&format!("{}{old}", self.prefix)).is_ok();
            self.vector(&if is_old { old } else { format!("{name}.{new}") }, length)
        };
        Ok(Norm { weight: either("weight", "gamma")?, bias: either("bias", "beta")? })
    }

    fn layer(&mut self, layer: usize, config: &Config, arena: &Arc<Arena>) -> Result<Layer, String> {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let mut feed_forward = Vec::new();
        for start in (0..inner).step_by(PART) {
            let part = start..inner.min(start + PART);
            let up = Part { rows: part.clone(), columns: 0..hidden };
            let up = self.linear(&name("intermediate.dense"), [inner, hidden], up, arena)?;
            let down = Part { rows: 0..hidden, columns: part };
            let down = self.linear(&name("output.dense"), [hidden, inner], down, arena)?;
            feed_forward.push(FeedForward { up, down });
        }
        Ok(Layer {
            attention_output: self.linear(
                &name("attention.output.dense"),
                [hidden, hidden],
                Part { rows: 0..hidden, columns: 0..hidden },
                arena,
            )?,
            query: self.of_scores(&name("attention.self.query"), hidden, arena)?,
            key: self.of_scores(&name("attention.self.key"), hidden, arena)?,
            value: self.of_scores(&name("attention.self.value"), hidden, arena)?,
            feed_forward,
            attention_norm: self.norm(&name("attention.output.LayerNorm"), hidden)?,
            output_norm: self.norm(&name("output.LayerNorm"), hidden)?,
        })
    }

    /// A matrix before the scores, where rounding both weights and activations to eight bits costs most: up
    /// to 0.002 of the cosine to what 32 bits give, of very short texts. Tiles do not round activations so.
    fn of_scores(&mut self, name: &str, hidden: usize, arena: &Arc<Arena>) -> Result<Linear, String> {
        if self.isa == Isa::Amx {
            let all = Part { rows: 0..hidden, columns: 0..hidden };
            return self.linear(name, [hidden, hidden], all, arena);
        }
        let bias = Some(self.vector(&format!("{name}.bias"), hidden)?);
        let name = format!("{name}.weight");
        let values = self.tensor(&name, &[hidden, hidden])?.rows(0..hidden, hidden)?;
        Ok(Linear { weight: Weight::Float(FloatMatrix::new(&values, hidden, hidden)), bias })
    }

    /// Gives a part of a matrix its place. The bias goes with the first columns.
    fn linear(
        &mut self,
        name: &str,
        full: [usize; 2],
        part: Part,
        arena: &Arc<Arena>,
    ) -> Result<Linear, String> {
        let bias = self.vector(&format!("{name}.bias"), full[0])?;
        let bias = (part.columns.start == 0).then(|| bias[part.rows.clone()].to_vec());
        let name = format!("{name}.weight");
        self.tensor(&name, &full)?;
        let shape = Shape { format: Format::Q8, rows: part.rows.len(), columns: part.columns.len() };
        let matrix = PackedMatrix::new(shape, Arc::clone(arena), self.bytes);
        self.bytes += shape.place_bytes();
        self.jobs.push(Job { name, full, part, shape });
        Ok(Linear { weight: Weight::Packed(matrix), bias })
    }

    /// Packs every matrix that has a place.
    fn pack(&self, pool: &Pool) -> Result<AlignedBytes, String> {
        let mut bytes = AlignedBytes::zeroed(self.bytes);
        let mut rest = bytes.as_mut_slice();
        let mut matrices = Vec::new();
        for job in &self.jobs {
            let (matrix, after) = rest.split_at_mut(job.shape.place_bytes());
            rest = after;
            matrices.push((self.tensor(&job.name, &job.full)?, job, Mutex::new(matrix)));
        }
        let failure = Mutex::new(None);
        pool.for_each(matrices.len(), 1, |index| {
            let (tensor, job, matrix) = &matrices[index];
            // Each index comes once, so the lock is always free.
            let Ok(mut matrix) = matrix.lock() else { return };
            if let Err(error) = pack_matrix(tensor, job, &mut matrix[..job.shape.bytes()])
                && let Ok(mut failure) = failure.lock()
            {
                *failure = Some(error);
            }
        });
        drop(matrices);
        match failure.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(bytes),
        }
    }
}

fn pack_matrix(tensor: &Tensor<'_>, job: &Job, out: &mut [u8]) -> Result<(), String> {
    let Job { full, part, shape, .. } = job;
    let mut wanted = Vec::new();
    for (panel, out) in out.chunks_exact_mut(shape.panel_bytes()).enumerate() {
        let first = part.rows.start + panel * PANEL_ROWS;
        let rows = first..part.rows.end.min(first + PANEL_ROWS);
        wanted.clear();
        for row in tensor.rows(rows.clone(), full[1])?.chunks_exact(full[1]) {
            wanted.extend_from_slice(&row[part.columns.clone()]);
        }
        pack_panel(&Source::Float(&wanted), rows.len(), shape.columns, out);
    }
    Ok(())
}

/// Little-endian floats of one of the three types that weights come in.
fn read_floats(dtype: DType, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        DType::F32 => {
            let values = bytes.as_chunks::<4>().0;
            out.iter_mut().zip(values).for_each(|(out, x)| *out = f32::from_le_bytes(*x));
        }
        DType::BF16 => {
            let values = bytes.as_chunks::<2>().0;
            out.iter_mut().zip(values).for_each(|(out, x)| *out = half::bf16::from_le_bytes(*x).to_f32());
        }
        _ => {
            let values = bytes.as_chunks::<2>().0;
            out.iter_mut().zip(values).for_each(|(out, x)| *out = half::f16::from_le_bytes(*x).to_f32());
        }
    }
}
