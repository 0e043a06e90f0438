//! Rows of activations in the shape candle's quantised products take them.

use candle_core::quantized::QTensor;
use candle_core::{CpuStorage, CustomOp1, Layout};

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
    /// A copy of some rows.
    pub(crate) fn slice(&self, first: usize, rows: usize) -> Self {
        let values = self.values()[first * self.stride..(first + rows) * self.stride].to_vec();
        Self { rows, columns: self.columns, stride: self.stride, storage: CpuStorage::F32(values) }
    }
}

/// A quantised matrix, candle's caches of it, and an optional bias.
pub(crate) struct Linear {
    weight: std::sync::Arc<QTensor>,
    outputs: usize,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// `weight` has `outputs` rows, each padded to a multiple of [`BLOCK`].
    pub(crate) fn new(weight: std::sync::Arc<QTensor>, bias: Option<Vec<f32>>) -> Result<Self> {
        let (outputs, _) = weight.shape().dims2()?;
        let linear = Self { weight, outputs, bias };
        linear.pack()?;
        Ok(linear)
    }

    /// Makes candle repack the weights now rather than inside the first answer. Two rows, because one row
    /// of Q6_K is computed from the unpacked weights.
    fn pack(&self) -> Result<()> {
        let (_, inputs) = self.weight.shape().dims2()?;
        self.forward(&Matrix::dense(2, inputs, CpuStorage::F32(vec![0.0; 2 * inputs]))).map(drop)
    }

    /// `x · weightᵀ + bias`.
    pub(crate) fn forward(&self, x: &Matrix) -> Result<Matrix> {
        let layout = Layout::contiguous((x.rows, x.stride));
        let (storage, _) = self.weight.cpu_fwd(&x.storage, &layout)?;
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
