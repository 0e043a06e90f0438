//! How are configurations computed that the path of our own does not know? By candle, in 32-bit floats.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use rayon::ThreadPool;

use super::unit_mean;
use crate::error::{Error, Result};

/// Texts per forward pass.
const BATCH: usize = 16;

pub(super) struct Stock {
    model: BertModel,
    dimension: usize,
    /// One thread each, so that every core runs its own batch from end to end.
    cores: Vec<ThreadPool>,
}

impl Stock {
    /// From the bytes of a safetensors file; says what is wrong with it.
    pub(super) fn load(bytes: &[u8], config: &Config, threads: usize) -> Result<Self, String> {
        let weights = VarBuilder::from_slice_safetensors(bytes, DType::F32, &Device::Cpu);
        let model =
            weights.and_then(|weights| BertModel::load(weights, config)).map_err(|e| e.to_string())?;
        let pool = |_| rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let cores = (0..threads).map(pool).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        Ok(Self { model, dimension: config.hidden_size, cores })
    }

    /// The vectors of the texts at `order`, in that order. Texts of like length should be neighbours: each
    /// batch is padded to its longest.
    pub(super) fn embed(&self, texts: &[Vec<u32>], order: &[usize]) -> Result<Vec<Vec<f32>>> {
        let batches: Vec<&[usize]> = order.chunks(BATCH).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(batch) = batches.get(index) else { return Ok::<_, Error>(done) };
                let texts: Vec<&[u32]> = batch.iter().map(|text| texts[*text].as_slice()).collect();
                done.push((index, self.forward(&texts)?));
            }
        };
        let results = std::thread::scope(|scope| {
            let threads: Vec<_> = self.cores.iter().map(|core| scope.spawn(|| core.install(work))).collect();
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        let mut vectors = vec![Vec::new(); batches.len()];
        for result in results {
            let done = result.map_err(|_| Error::Tokenizer("an embedding thread failed".to_owned()))??;
            for (index, of_batch) in done {
                vectors[index] = of_batch;
            }
        }
        Ok(vectors.into_iter().flatten().collect())
    }

    fn forward(&self, batch: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let length = batch.iter().map(|tokens| tokens.len()).max().unwrap_or(0).max(1);
        let mut ids = Vec::with_capacity(batch.len() * length);
        let mut mask = Vec::with_capacity(batch.len() * length);
        for tokens in batch {
            ids.extend_from_slice(tokens);
            ids.resize(ids.len() + length - tokens.len(), 0);
            mask.resize(mask.len() + tokens.len(), 1u32);
            mask.resize(mask.len() + length - tokens.len(), 0);
        }
        let shape = (batch.len(), length);
        let ids = Tensor::from_vec(ids, shape, &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;
        let hidden = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let hidden = hidden.to_vec3::<f32>()?;
        let rows = batch.iter().zip(&hidden);
        Ok(rows
            .map(|(tokens, rows)| unit_mean(rows[..tokens.len()].iter().map(Vec::as_slice), self.dimension))
            .collect())
    }
}
