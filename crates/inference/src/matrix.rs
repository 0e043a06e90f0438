//! Rows of activations in the shape candle's quantised products take them.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Tensor};

use crate::error::{Error, Result};
use crate::parallel::for_each_piece;
use crate::simd;

/// Candle's fast kernels work on blocks of 256 weights; narrower rows are padded with zeros.
pub(crate) const BLOCK: usize = 256;

/// `rows` × `columns` values; rows begin every `stride` values and what lies between is zero.
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) stride: usize,
    storage: CpuStorage,
}

impl Matrix {
    /// Zeros, each row padded for use as the input of a [`Linear`].
    pub(crate) fn padded(rows: usize, columns: usize) -> Self {
        let stride = columns.next_multiple_of(BLOCK);
        Self { rows, columns, stride, storage: CpuStorage::F32(vec![0.0; rows * stride]) }
    }

    fn dense(rows: usize, columns: usize, storage: CpuStorage) -> Self {
        Self { rows, columns, stride: columns, storage }
    }

    pub(crate) fn values(&self) -> &[f32] {
        match &self.storage {
            CpuStorage::F32(values) => values,
            _ => &[],
        }
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        match &mut self.storage {
            CpuStorage::F32(values) => values,
            _ => &mut [],
        }
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        let start = row * self.stride;
        &self.values()[start..start + self.columns]
    }
}

impl Matrix {
    /// The values without padding.
    fn dense_values(&self) -> Vec<f32> {
        if self.stride == self.columns {
            return self.values().to_vec();
        }
        self.values().chunks_exact(self.stride).flat_map(|row| &row[..self.columns]).copied().collect()
    }

    /// A copy of the rows named, in that order.
    pub(crate) fn gather(&self, rows: &[usize]) -> Self {
        let values = self.values();
        let row = |row: &usize| &values[row * self.stride..(row + 1) * self.stride];
        let values = rows.iter().flat_map(row).copied().collect();
        Self {
            rows: rows.len(),
            columns: self.columns,
            stride: self.stride,
            storage: CpuStorage::F32(values),
        }
    }
}

/// A matrix of weights and an optional bias.
pub(crate) struct Linear {
    weight: Weight,
    outputs: usize,
    bias: Option<Vec<f32>>,
}

enum Weight {
    /// `[outputs, inputs]`, inputs padded to a multiple of [`BLOCK`]. Activations are rounded to eight bits
    /// with one scale per 256.
    Quantised(Arc<QTensor>),
    /// `[outputs, inputs]`, exact.
    Float(Tensor),
}

impl Linear {
    /// `weight` is `[outputs, inputs]`, inputs padded to a multiple of [`BLOCK`].
    pub(crate) fn quantised(weight: Arc<QTensor>, bias: Option<Vec<f32>>) -> Result<Self> {
        let (outputs, inputs) = weight.shape().dims2()?;
        let linear = Self { weight: Weight::Quantised(weight), outputs, bias };
        // Makes candle repack the weights now rather than inside the first answer. Two rows, because one
        // row of Q6_K is computed from the unpacked weights.
        linear.forward(&Matrix::padded(2, inputs))?;
        Ok(linear)
    }

    /// `weight` is `[outputs, inputs]`.
    pub(crate) fn float(weight: Tensor, bias: Option<Vec<f32>>) -> Result<Self> {
        let (outputs, _) = weight.dims2()?;
        Ok(Self { weight: Weight::Float(weight), outputs, bias })
    }

    /// `x · weightᵀ + bias`.
    pub(crate) fn forward(&self, x: &Matrix) -> Result<Matrix> {
        let storage = match &self.weight {
            Weight::Quantised(weight) => {
                weight.cpu_fwd(&x.storage, &Layout::contiguous((x.rows, x.stride)))?.0
            }
            Weight::Float(weight) => {
                let x = Tensor::from_vec(x.dense_values(), (x.rows, x.columns), &Device::Cpu)?;
                CpuStorage::F32(x.matmul(&weight.t()?)?.flatten_all()?.to_vec1()?)
            }
        };
        let mut y = Matrix::dense(x.rows, self.outputs, storage);
        if y.values().len() != x.rows * self.outputs {
            return Err(Error::Compute(Box::new(candle_core::Error::msg("product of unexpected size"))));
        }
        if let Some(bias) = &self.bias {
            let width = self.outputs;
            for_each_piece(y.values_mut(), width, |_, row| simd::add(row, bias));
        }
        Ok(y)
    }
}
