//! Which tensors does the decoder need, and how do they get from the file into packed panels?
//!
//! Every matrix gets a place in one buffer, laid out in the order a pass reads it; then all cores pack, and
//! give back the file's pages as they go, so that no second copy stays. Rows of the embedding are read
//! from the mapped file when a token needs them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};

use crate::config::{Config, ExpertSizes};
use crate::error::Result;
use crate::gguf::{Gguf, TensorInfo};
use crate::kernel::PANEL_ROWS;
use crate::matmul::{Compute, FloatMatrix, Linear, Weight};
use crate::packed::{AlignedBytes, Arena, Format, PackedMatrix, Shape, Source, pack_panel};

/// Panels packed by one job.
const JOB_PANELS: usize = 16;

pub(crate) struct Layer {
    pub(crate) attention_norm: Vec<f32>,
    pub(crate) query: Linear,
    pub(crate) key: Linear,
    pub(crate) value: Linear,
    /// Norms of each head of queries and keys.
    pub(crate) query_norm: Option<Vec<f32>>,
    pub(crate) key_norm: Option<Vec<f32>>,
    pub(crate) attention_output: Linear,
    /// Norms of what attention and feed-forward add.
    pub(crate) attention_post_norm: Option<Vec<f32>>,
    pub(crate) feed_forward_norm: Vec<f32>,
    pub(crate) feed_forward: FeedForward,
    pub(crate) feed_forward_post_norm: Option<Vec<f32>>,
}

pub(crate) enum FeedForward {
    Dense { gate: Linear, up: Linear, down: Linear },
    Experts(Experts),
}

/// A mixture of experts.
pub(crate) struct Experts {
    pub(crate) router: Linear,
    pub(crate) experts: Vec<Expert>,
    /// Experts that each token goes through.
    pub(crate) used: usize,
}

pub(crate) struct Expert {
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

pub(crate) struct Weights {
    pub(crate) embedding: Embedding,
    pub(crate) layers: Vec<Layer>,
    pub(crate) output_norm: Vec<f32>,
    pub(crate) output: Linear,
    /// Divisors of the rotary frequencies; mostly empty.
    pub(crate) rope_factors: Vec<f32>,
    pub(crate) vocabulary: usize,
}

/// Rows of the token embedding, dequantised from the file as they are needed.
pub(crate) struct Embedding {
    gguf: Arc<Gguf>,
    info: TensorInfo,
}

impl Embedding {
    /// Writes a token's row; zeros for a token that does not exist.
    pub(crate) fn read(&self, token: u32, out: &mut [f32]) {
        let bytes = self.gguf.tensor_bytes(&self.info);
        let row_bytes = row_bytes(self.info.dtype, out.len());
        let row = bytes.chunks_exact(row_bytes).nth(token as usize).unwrap_or_default();
        match dequantise(self.info.dtype, row) {
            Ok(values) if values.len() == out.len() => out.copy_from_slice(&values),
            _ => out.fill(0.0),
        }
    }
}

impl Weights {
    pub(crate) fn load(gguf: &Arc<Gguf>, config: &Config, compute: &Compute) -> Result<Self> {
        let mut loader =
            Loader { gguf, used: HashSet::new(), jobs: Vec::new(), arena: Arc::default(), arena_bytes: 0 };
        let vocabulary = loader.vocabulary(config.embedding)?;
        loader.check_layers(config)?;
        let layers = (0..config.layers).map(|layer| loader.layer(layer, config));
        let layers = layers.collect::<Result<Vec<_>>>()?;
        let tied = gguf.tensor("output.weight").is_none();
        let name = if tied { "token_embd.weight" } else { "output.weight" };
        let output = loader.linear(Rows::all(name, &[vocabulary]), vocabulary, config.embedding)?;
        let rope_factors = loader.rope_factors(config)?;
        let output_norm = loader.vector("output_norm.weight", config.embedding)?;
        let info = loader.info("token_embd.weight")?.clone();
        let embedding = Embedding { gguf: Arc::clone(gguf), info };
        loader.check_all_used()?;
        loader.pack(compute)?;
        Ok(Self { embedding, layers, output_norm, output, rope_factors, vocabulary })
    }
}

struct Loader<'a> {
    gguf: &'a Gguf,
    /// Names of the tensors looked at.
    used: HashSet<String>,
    jobs: Vec<Job>,
    arena: Arc<Arena>,
    arena_bytes: usize,
}

/// A matrix that has its place and waits to be packed.
struct Job {
    info: TensorInfo,
    first_row: usize,
    shape: Shape,
}

/// A stretch of a tensor's rows.
#[derive(Clone, Copy)]
struct Rows<'n> {
    tensor: &'n str,
    /// The tensor's shape but for its columns.
    of: &'n [usize],
    first: usize,
}

impl<'n> Rows<'n> {
    fn all(tensor: &'n str, of: &'n [usize]) -> Self {
        Self { tensor, of, first: 0 }
    }
}

impl<'a> Loader<'a> {
    fn vocabulary(&mut self, embedding: usize) -> Result<usize> {
        match self.info("token_embd.weight")?.shape.as_slice() {
            [vocabulary, columns] if *columns == embedding => Ok(*vocabulary),
            shape => {
                let what = format!("token_embd.weight is {shape:?}, not {embedding} wide");
                Err(self.gguf.incomplete(what))
            }
        }
    }

    /// Says at once, and before gigabytes are read, that the last layer is missing.
    fn check_layers(&mut self, config: &Config) -> Result<()> {
        for layer in 0..config.layers {
            self.expect(&format!("blk.{layer}.attn_norm.weight"), &[config.embedding])?;
        }
        self.expect("output_norm.weight", &[config.embedding]).map(drop)
    }

    /// A tensor that nothing reads means that the model computes something else than the decoder does.
    fn check_all_used(&self) -> Result<()> {
        // Of LongRoPE's two sets one is used; rotary frequencies of files of 2023 can be computed.
        let needless = |name: &str| name.starts_with("rope_factors_") || name.ends_with("attn_rot_embd");
        let unused = |name: &&str| !self.used.contains(*name) && !needless(name);
        match self.gguf.tensor_names().filter(unused).min() {
            Some(name) => {
                let advice = "no model of this architecture is known to have it; use another file";
                Err(self.gguf.unsupported(format!("tensor {name}"), advice))
            }
            None => Ok(()),
        }
    }

    fn rope_factors(&mut self, config: &Config) -> Result<Vec<f32>> {
        let Some(name) = config.rope.factors else { return Ok(Vec::new()) };
        let factors = self.vector(name, config.rope.dimensions / 2)?;
        match factors.iter().find(|factor| !(factor.is_finite() && **factor > 0.0)) {
            Some(factor) => Err(self.gguf.incomplete(format!("{name} divides a frequency by {factor}"))),
            None => Ok(factors),
        }
    }

    fn layer(&mut self, layer: usize, config: &Config) -> Result<Layer> {
        let name = |tensor: &str| format!("blk.{layer}.{tensor}.weight");
        let embedding = config.embedding;
        let q_width = config.heads.heads * config.heads.head_dim;
        let kv_width = config.heads.kv_heads * config.heads.head_dim;
        let (query, key, value);
        if self.has(&name("attn_qkv")) {
            let tensor = name("attn_qkv");
            let of = [q_width + 2 * kv_width];
            let rows = |first| Rows { tensor: &tensor, of: &of, first };
            query = self.linear(rows(0), q_width, embedding)?;
            key = self.linear(rows(q_width), kv_width, embedding)?;
            value = self.linear(rows(q_width + kv_width), kv_width, embedding)?;
        } else {
            query = self.linear(Rows::all(&name("attn_q"), &[q_width]), q_width, embedding)?;
            key = self.linear(Rows::all(&name("attn_k"), &[kv_width]), kv_width, embedding)?;
            value = self.linear(Rows::all(&name("attn_v"), &[kv_width]), kv_width, embedding)?;
        }
        let head_norms = config.head_norms.then_some(config.heads.head_dim);
        let post_norms = config.post_norms.then_some(embedding);
        let output = name("attn_output");
        Ok(Layer {
            attention_norm: self.vector(&name("attn_norm"), embedding)?,
            query,
            key,
            value,
            query_norm: head_norms.map(|length| self.vector(&name("attn_q_norm"), length)).transpose()?,
            key_norm: head_norms.map(|length| self.vector(&name("attn_k_norm"), length)).transpose()?,
            attention_output: self.linear(Rows::all(&output, &[embedding]), embedding, q_width)?,
            attention_post_norm: post_norms
                .map(|length| self.vector(&name("post_attention_norm"), length))
                .transpose()?,
            feed_forward_norm: self.vector(&name("ffn_norm"), embedding)?,
            feed_forward: self.feed_forward(layer, config)?,
            feed_forward_post_norm: post_norms
                .map(|length| self.vector(&name("post_ffw_norm"), length))
                .transpose()?,
        })
    }

    fn feed_forward(&mut self, layer: usize, config: &Config) -> Result<FeedForward> {
        let name = |tensor: &str| format!("blk.{layer}.{tensor}.weight");
        let (inner, embedding) = (config.feed_forward, config.embedding);
        // A layer without a router is dense even in a mixture.
        if let Some(sizes) = config.experts.as_ref().filter(|_| !self.has(&name("ffn_gate"))) {
            return self.experts(layer, sizes, embedding).map(FeedForward::Experts);
        }
        let up = name("ffn_up");
        let (gate, up) = if config.gate_in_up && !self.has(&name("ffn_gate")) {
            let of = [2 * inner];
            let rows = |first| Rows { tensor: &up, of: &of, first };
            (self.linear(rows(0), inner, embedding)?, self.linear(rows(inner), inner, embedding)?)
        } else {
            let gate = self.linear(Rows::all(&name("ffn_gate"), &[inner]), inner, embedding)?;
            (gate, self.linear(Rows::all(&up, &[inner]), inner, embedding)?)
        };
        let down = self.linear(Rows::all(&name("ffn_down"), &[embedding]), embedding, inner)?;
        Ok(FeedForward::Dense { gate, up, down })
    }

    /// The experts lie behind one another in one tensor, or, in files of 2023, each in its own.
    fn experts(&mut self, layer: usize, sizes: &ExpertSizes, embedding: usize) -> Result<Experts> {
        let ExpertSizes { count, used, feed_forward } = *sizes;
        let router = format!("blk.{layer}.ffn_gate_inp.weight");
        let router = self.linear(Rows::all(&router, &[count]), count, embedding)?;
        let mut part = |part: &str, expert: usize, outputs: usize, inputs: usize| {
            let alone = format!("blk.{layer}.ffn_{part}.{expert}.weight");
            if self.has(&alone) {
                return self.linear(Rows::all(&alone, &[outputs]), outputs, inputs);
            }
            let tensor = format!("blk.{layer}.ffn_{part}_exps.weight");
            let rows = Rows { tensor: &tensor, of: &[count, outputs], first: expert * outputs };
            self.linear(rows, outputs, inputs)
        };
        let expert = |expert: usize| {
            Ok(Expert {
                gate: part("gate", expert, feed_forward, embedding)?,
                up: part("up", expert, feed_forward, embedding)?,
                down: part("down", expert, embedding, feed_forward)?,
            })
        };
        let experts = (0..count).map(expert).collect::<Result<_>>()?;
        Ok(Experts { router, experts, used })
    }

    fn has(&self, name: &str) -> bool {
        self.gguf.tensor(name).is_some()
    }

    fn info(&mut self, name: &str) -> Result<&'a TensorInfo> {
        let info = self.gguf.tensor(name).ok_or_else(|| self.gguf.incomplete(format!("no tensor {name}")))?;
        if !self.used.contains(name) {
            self.used.insert(name.to_owned());
        }
        Ok(info)
    }

    fn expect(&mut self, name: &str, shape: &[usize]) -> Result<&'a TensorInfo> {
        let info = self.info(name)?;
        if info.shape == shape {
            return Ok(info);
        }
        Err(self.gguf.incomplete(format!("tensor {name} is {:?} where {shape:?} is expected", info.shape)))
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        let info = self.expect(name, &[length])?;
        dequantise(info.dtype, self.gguf.tensor_bytes(info))
    }

    /// `outputs` rows of a tensor from `rows.first` on, and its bias if it has one.
    fn linear(&mut self, rows: Rows<'_>, outputs: usize, inputs: usize) -> Result<Linear> {
        let info = self.expect(rows.tensor, &[rows.of, &[inputs]].concat())?.clone();
        let bias = rows.tensor.strip_suffix("weight").map(|stem| format!("{stem}bias"));
        let bias = match bias.filter(|bias| self.has(bias)) {
            Some(bias) => {
                let values = self.vector(&bias, rows.of.iter().product())?;
                Some(values[rows.first..rows.first + outputs].to_vec())
            }
            None => None,
        };
        let weight = match format_of(info.dtype) {
            None => {
                let row_bytes = row_bytes(info.dtype, inputs);
                let bytes = &self.gguf.tensor_bytes(&info)[rows.first * row_bytes..][..outputs * row_bytes];
                Weight::Float(FloatMatrix::new(&dequantise(info.dtype, bytes)?, outputs, inputs))
            }
            Some(format) => {
                let shape = Shape { format, rows: outputs, columns: inputs };
                let start = self.arena_bytes;
                self.arena_bytes += shape.place_bytes();
                self.jobs.push(Job { info, first_row: rows.first, shape });
                Weight::Packed(PackedMatrix::new(shape, Arc::clone(&self.arena), start))
            }
        };
        Ok(Linear { weight, bias })
    }

    /// Packs every matrix that has a place.
    fn pack(&self, compute: &Compute) -> Result<()> {
        let mut bytes = AlignedBytes::zeroed(self.arena_bytes);
        let mut pieces = Vec::new();
        let mut rest = bytes.as_mut_slice();
        for job in &self.jobs {
            let (matrix, after) = rest.split_at_mut(job.shape.place_bytes());
            let matrix = &mut matrix[..job.shape.bytes()];
            rest = after;
            let size = JOB_PANELS * job.shape.panel_bytes();
            for (piece, out) in matrix.chunks_mut(size.max(1)).enumerate() {
                pieces.push((job, piece * JOB_PANELS, Mutex::new(out)));
            }
        }
        let failure = Mutex::new(None);
        compute.pool.for_each(pieces.len(), 1, |index| {
            let (job, first_panel, out) = &pieces[index];
            let Ok(mut out) = out.lock() else { return };
            if let Err(error) = self.pack_piece(job, *first_panel, &mut out)
                && let Ok(mut failure) = failure.lock()
            {
                *failure = Some(error);
            }
        });
        drop(pieces);
        if let Ok(Some(error)) = failure.into_inner() {
            return Err(error);
        }
        self.arena.fill(bytes);
        Ok(())
    }

    fn pack_piece(&self, job: &Job, first_panel: usize, out: &mut [u8]) -> Result<()> {
        let columns = job.shape.columns;
        let row_bytes = row_bytes(job.info.dtype, columns);
        let bytes = self.gguf.tensor_bytes(&job.info);
        let mut read = 0..0;
        for (i, out) in out.chunks_exact_mut(job.shape.panel_bytes()).enumerate() {
            let row = (first_panel + i) * PANEL_ROWS;
            let rows = PANEL_ROWS.min(job.shape.rows - row);
            let start = (job.first_row + row) * row_bytes;
            let range = start..start + rows * row_bytes;
            read = if i == 0 { range.clone() } else { read.start..range.end };
            let values;
            let source = match source_of(job.info.dtype, &bytes[range.clone()]) {
                Some(source) => source,
                None => {
                    values = dequantise(job.info.dtype, &bytes[range])?;
                    Source::Float(&values)
                }
            };
            pack_panel(&source, rows, columns, out);
        }
        self.gguf.release(&job.info, read);
        Ok(())
    }
}

fn row_bytes(dtype: GgmlDType, columns: usize) -> usize {
    columns / dtype.block_size() * dtype.type_size()
}

/// The packed form of a storage type; none for those computed as they are.
fn format_of(dtype: GgmlDType) -> Option<Format> {
    match dtype {
        GgmlDType::F32 => None,
        _ => Some(source_of(dtype, &[]).map_or(Format::Q8, |source| source.format())),
    }
}

/// Bytes of a storage type that is packed without dequantising it.
fn source_of(dtype: GgmlDType, bytes: &[u8]) -> Option<Source<'_>> {
    Some(match dtype {
        GgmlDType::Q4_0 => Source::Q4_0(bytes),
        GgmlDType::Q4_1 => Source::Q4_1(bytes),
        GgmlDType::Q4K => Source::Q4K(bytes),
        GgmlDType::Q6K => Source::Q6K(bytes),
        GgmlDType::Q8_0 => Source::Q8_0(bytes),
        _ => return None,
    })
}

fn dequantise(dtype: GgmlDType, bytes: &[u8]) -> Result<Vec<f32>> {
    let count = bytes.len() / dtype.type_size() * dtype.block_size();
    let storage = QStorage::from_data(bytes.into(), &Device::Cpu, dtype)?;
    Ok(QTensor::new(storage, (count,))?.dequantize(&Device::Cpu)?.to_vec1()?)
}
