//! Which vectors have been added since the file was written? Few, in memory, compared one by one.

use crate::code::Code;
use crate::index::{Query, Scope};
use crate::kernel::Kernel;
use crate::walk::Candidate;
use half::f16;
use half::slice::HalfFloatSliceExt;

/// Vectors not yet in the file, in order of arrival. A place is never given to another vector.
#[derive(Debug, Default)]
pub(crate) struct Head {
    codes: Vec<u8>,
    scales: Vec<f32>,
    vectors: Vec<f16>,
    /// Ids that share each; none once they are removed.
    members: Vec<Vec<u64>>,
}

impl Head {
    /// Number of vectors.
    pub(crate) fn len(&self) -> usize {
        self.scales.len()
    }

    pub(crate) fn push(&mut self, id: u64, vector: &[f16]) -> u32 {
        let code = Code::of(&vector.to_f32_vec());
        self.codes.extend_from_slice(&code.bytes);
        self.scales.push(code.scale);
        self.vectors.extend_from_slice(vector);
        self.members.push(vec![id]);
        self.len() as u32 - 1
    }

    pub(crate) fn members(&self, place: u32) -> &[u64] {
        &self.members[place as usize]
    }

    pub(crate) fn join(&mut self, place: u32, id: u64) {
        self.members[place as usize].push(id);
    }

    pub(crate) fn leave(&mut self, place: u32, id: u64) {
        self.members[place as usize].retain(|&member| member != id);
    }

    pub(crate) fn vector(&self, place: u32, dimension: usize) -> &[f16] {
        &self.vectors[place as usize * dimension..][..dimension]
    }

    /// The first `count` places are dropped, the others move down.
    pub(crate) fn forget_first(&mut self, count: usize, dimension: usize) {
        self.codes.drain(..count * crate::code::length(dimension));
        self.scales.drain(..count);
        self.vectors.drain(..count * dimension);
        self.members.drain(..count);
    }

    /// The `k` most similar places that have an id in `scope`, with exact similarity, best first.
    pub(crate) fn search(&self, kernel: Kernel, query: &Query, k: usize, scope: Scope<'_>) -> Vec<Candidate> {
        let codes = self.codes.chunks_exact(query.code.bytes.len());
        let mut found: Vec<Candidate> = (0..)
            .zip(codes.zip(&self.scales))
            .filter(|(place, _)| self.members(*place).iter().any(|&id| scope.admits(id)))
            .map(|(point, (code, &scale))| Candidate::new(query.code.similarity(kernel, code, scale), point))
            .collect();
        let most = k.saturating_mul(2).max(k.saturating_add(8));
        if found.len() > most {
            found.select_nth_unstable_by(most, |a, b| b.cmp(a));
            found.truncate(most);
        }
        for candidate in &mut found {
            let halves = self.vector(candidate.point(), query.vector.len());
            let exact = query.exact(kernel, bytemuck::cast_slice(halves.reinterpret_cast()));
            *candidate = Candidate::new(exact, candidate.point());
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }
}
