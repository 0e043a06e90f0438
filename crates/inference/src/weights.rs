//! Which tensors does the decoder need, and in which form do candle's fast kernels take them?
//!
//! Q4_K, Q6_K and Q8_0 with rows of a multiple of 256 have VNNI kernels; everything else would run on
//! scalar code (a fifth of the speed), so it becomes Q8_0 here, rows padded with zeros. Weights of eight
//! bits or fewer keep their values within 1/254 of a 32-value block's largest.
//!
//! Those kernels round activations to eight bits with one scale per 256 of them, which costs little in a
//! model of billions of weights (KL divergence to 32-bit arithmetic 0.004 nats at 0.5B) and much in a tiny
//! one (0.017 at 135M, top-1 agreement 9 of 12; `examples/quality.rs` prints these). Models that fit in a
//! gigabyte as 32-bit floats are kept so.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};
use fs_err::File;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::config::Config;
use crate::error::Result;
use crate::gguf::{Gguf, TensorInfo};
use crate::matrix::{BLOCK, Linear};

/// Values dequantised at a time while changing the quantisation.
const CHUNK_VALUES: usize = 1 << 22;

/// Models up to this size in 32-bit floats are computed in them.
const MAX_FLOAT_BYTES: u64 = 1 << 30;

pub(crate) struct Layer {
    pub(crate) attention_norm: Vec<f32>,
    pub(crate) query: Linear,
    pub(crate) key: Linear,
    pub(crate) value: Linear,
    pub(crate) attention_output: Linear,
    pub(crate) feed_forward_norm: Vec<f32>,
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

pub(crate) struct Weights {
    pub(crate) embedding: Arc<QTensor>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) output_norm: Vec<f32>,
    pub(crate) output: Linear,
    /// Divisors of the rotary frequencies; mostly empty.
    pub(crate) rope_factors: Vec<f32>,
    pub(crate) vocabulary: usize,
}

impl Weights {
    pub(crate) fn load(gguf: &Gguf, config: &Config) -> Result<Self> {
        let loader = Loader { gguf, float: gguf.parameters() * 4 <= MAX_FLOAT_BYTES };
        let vocabulary = loader.vocabulary(config.embedding)?;
        loader.check_layers(config)?;
        let embedding = Arc::new(loader.tensor("token_embd.weight")?);
        let layers = (0..config.layers).into_par_iter().map(|layer| loader.layer(layer, config));
        let layers = layers.collect::<Result<Vec<_>>>()?;
        let tied = gguf.tensor("output.weight").is_none();
        let output = if tied && !loader.float && fits_kernels(embedding.dtype(), config.embedding) {
            Linear::quantised(embedding.clone(), None)?
        } else {
            let name = if tied { "token_embd.weight" } else { "output.weight" };
            loader.linear(name, None, vocabulary, config.embedding)?
        };
        let rope_factors = match gguf.tensor("rope_freqs.weight") {
            Some(_) => loader.vector("rope_freqs.weight", config.rope_dimensions / 2)?,
            None => Vec::new(),
        };
        let output_norm = loader.vector("output_norm.weight", config.embedding)?;
        Ok(Self { embedding, layers, output_norm, output, rope_factors, vocabulary })
    }
}

struct Loader<'a> {
    gguf: &'a Gguf,
    float: bool,
}

impl Loader<'_> {
    fn vocabulary(&self, embedding: usize) -> Result<usize> {
        match self.info("token_embd.weight")?.shape.as_slice() {
            [vocabulary, columns] if *columns == embedding => Ok(*vocabulary),
            shape => {
                let what = format!("token_embd.weight is {shape:?}, not {embedding} wide");
                Err(self.gguf.incomplete(what))
            }
        }
    }

    /// Says at once, and before gigabytes are read, that the last layer is missing.
    fn check_layers(&self, config: &Config) -> Result<()> {
        for layer in 0..config.layers {
            self.expect(&format!("blk.{layer}.attn_norm.weight"), &[config.embedding])?;
            self.expect(&format!("blk.{layer}.ffn_down.weight"), &[config.embedding, config.feed_forward])?;
        }
        self.expect("output_norm.weight", &[config.embedding]).map(drop)
    }

    fn layer(&self, layer: usize, config: &Config) -> Result<Layer> {
        let name = |tensor: &str| format!("blk.{layer}.{tensor}");
        let embedding = config.embedding;
        let q_width = config.heads.heads * config.heads.head_dim;
        let kv_width = config.heads.kv_heads * config.heads.head_dim;
        let linear = |tensor: &str, outputs: usize, inputs: usize| {
            let bias = name(&format!("{tensor}.bias"));
            self.linear(&name(&format!("{tensor}.weight")), Some(&bias), outputs, inputs)
        };
        Ok(Layer {
            attention_norm: self.vector(&name("attn_norm.weight"), embedding)?,
            query: linear("attn_q", q_width, embedding)?,
            key: linear("attn_k", kv_width, embedding)?,
            value: linear("attn_v", kv_width, embedding)?,
            attention_output: linear("attn_output", embedding, q_width)?,
            feed_forward_norm: self.vector(&name("ffn_norm.weight"), embedding)?,
            gate: linear("ffn_gate", config.feed_forward, embedding)?,
            up: linear("ffn_up", config.feed_forward, embedding)?,
            down: linear("ffn_down", embedding, config.feed_forward)?,
        })
    }

    fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.gguf.tensor(name).ok_or_else(|| self.gguf.incomplete(format!("no tensor {name}")))
    }

    fn expect(&self, name: &str, shape: &[usize]) -> Result<&TensorInfo> {
        let info = self.info(name)?;
        if info.shape == shape {
            return Ok(info);
        }
        Err(self.gguf.incomplete(format!("tensor {name} is {:?} where {shape:?} is expected", info.shape)))
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>> {
        self.expect(name, &[length])?;
        Ok(self.tensor(name)?.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?)
    }

    fn linear(&self, name: &str, bias: Option<&str>, outputs: usize, inputs: usize) -> Result<Linear> {
        self.expect(name, &[outputs, inputs])?;
        let bias = match bias.filter(|bias| self.gguf.tensor(bias).is_some()) {
            Some(bias) => Some(self.vector(bias, outputs)?),
            None => None,
        };
        let tensor = self.tensor(name)?;
        if self.float {
            return Linear::float(tensor.dequantize(&Device::Cpu)?, bias);
        }
        Linear::quantised(Arc::new(for_kernels(tensor)?), bias)
    }

    fn tensor(&self, name: &str) -> Result<QTensor> {
        let info = self.info(name)?;
        let bytes = self.gguf.read_tensor(&mut File::open(&self.gguf.path)?, info)?;
        quantised(bytes, info.dtype, info.shape.clone())
    }
}

fn quantised(bytes: Vec<u8>, dtype: GgmlDType, shape: Vec<usize>) -> Result<QTensor> {
    Ok(QTensor::new(QStorage::from_data(Cow::Owned(bytes), &Device::Cpu, dtype)?, shape)?)
}

fn fits_kernels(dtype: GgmlDType, columns: usize) -> bool {
    matches!(dtype, GgmlDType::Q4K | GgmlDType::Q6K | GgmlDType::Q8_0) && columns.is_multiple_of(BLOCK)
}

/// The tensor itself, or its like in Q8_0 with padded rows.
fn for_kernels(tensor: QTensor) -> Result<QTensor> {
    let (rows, columns) = tensor.shape().dims2()?;
    if fits_kernels(tensor.dtype(), columns) {
        return Ok(tensor);
    }
    let padded = columns.next_multiple_of(BLOCK);
    let bytes = tensor.data()?;
    let row_bytes = bytes.len() / rows;
    let chunk_rows = (CHUNK_VALUES / columns).max(1);
    let mut out = Vec::with_capacity(rows * padded / 32 * GgmlDType::Q8_0.type_size());
    for chunk in bytes.chunks(chunk_rows * row_bytes) {
        let shape = (chunk.len() / row_bytes, columns);
        let storage = QStorage::from_data(Cow::Borrowed(chunk), &Device::Cpu, tensor.dtype())?;
        let values = QTensor::new(storage, shape)?.dequantize(&Device::Cpu)?;
        let values = values.pad_with_zeros(1, 0, padded - columns)?;
        out.extend_from_slice(&requantise(&values)?);
    }
    quantised(out, GgmlDType::Q8_0, vec![rows, padded])
}

fn requantise(values: &Tensor) -> Result<Vec<u8>> {
    Ok(QTensor::quantize(&values.contiguous()?, GgmlDType::Q8_0)?.data()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;

    /// Relative error of a product whose weights and activations were rounded to eight bits.
    const TOLERANCE: f32 = 0.02;

    fn check(dtype: GgmlDType, rows: usize, columns: usize) {
        let values: Vec<f32> = (0..rows * columns).map(|i| (i as f32 * 0.73).sin()).collect();
        let weight = Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap();
        let tensor = QTensor::quantize(&weight, dtype).unwrap();
        let exact = Linear::float(tensor.dequantize(&Device::Cpu).unwrap(), None).unwrap();
        let fast = Linear::quantised(Arc::new(for_kernels(tensor).unwrap()), Some(vec![1.0; rows])).unwrap();
        let mut x = Matrix::padded(3, columns);
        let stride = x.stride;
        for (i, row) in x.values_mut().chunks_exact_mut(stride).enumerate() {
            row[..columns].iter_mut().zip(0..).for_each(|(x, j)| *x = ((i * 31 + j * 7) as f32).cos());
        }
        let (expected, found) = (exact.forward(&x).unwrap(), fast.forward(&x).unwrap());
        let scale = expected.values().iter().map(|x| x * x).sum::<f32>() / expected.values().len() as f32;
        for (a, b) in expected.values().iter().zip(found.values()) {
            assert!(
                (a + 1.0 - b).abs() < TOLERANCE * scale.sqrt() * 4.0,
                "{dtype:?} {rows}x{columns}: {a} {b}"
            );
        }
    }

    #[test]
    fn fast_form_keeps_the_products() {
        for dtype in [GgmlDType::Q4K, GgmlDType::Q6K, GgmlDType::Q8_0, GgmlDType::Q5K] {
            check(dtype, 48, 512);
        }
        for dtype in [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q8_0, GgmlDType::F16] {
            check(dtype, 48, 96);
            check(dtype, 7, 288);
        }
    }
}
