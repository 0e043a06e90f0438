//! What does the model compute? A decoder of the llama family over rows of tokens.
//!
//! One forward pass serves every architecture and every use: each row has a token, a position, a place in
//! the cache and the tokens it sees. Sampling, sessions and prompts are elsewhere.

use crate::attention::{Attend, Sight};
use crate::cache::{Memory, Sizes, Slot};
use crate::config::Config;
use crate::matmul::{Compute, Input, Linear, Precision, Product, multiply, multiply_gated};
use crate::rope::{Rope, Rotation};
use crate::simd;
use crate::weights::{Experts, FeedForward, Layer, Weights};

/// Weights and constants; no state.
pub(crate) struct Decoder {
    config: Config,
    weights: Weights,
    /// One for layers that see everything, one for those with a window (mostly the same).
    ropes: [Rope; 2],
}

/// One token of a forward pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) token: u32,
    pub(crate) position: usize,
    /// Where its key and value go.
    pub(crate) slot: Slot,
}

/// The rows of one forward pass.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) rows: Vec<Row>,
    /// What each row sees, itself included.
    pub(crate) sight: Sight,
    /// Rows whose hidden states are wanted, ascending.
    pub(crate) wanted: Vec<usize>,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.sight.clear();
        self.wanted.clear();
    }
}

/// Hears the hidden states of all rows after each layer.
pub(crate) trait Observer {
    /// `hidden` is row-major, one row for each of the pass.
    fn layer(&mut self, layer: usize, hidden: &[f32]);
}

/// Buffers of a forward pass; they grow to the largest pass and are reused.
#[derive(Default)]
pub(crate) struct Workspace {
    pub(crate) batch: Batch,
    window: Sight,
    hidden: Vec<f32>,
    /// Normalised hidden states; after a pass those that were wanted, of the last layer.
    pub(crate) input: Input,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    attended: Input,
    gate: Vec<f32>,
    up: Vec<f32>,
    activated: Input,
    rows: Vec<usize>,
    branch: Vec<f32>,
}

impl Decoder {
    pub(crate) fn new(config: Config, weights: Weights) -> Self {
        let ropes = [false, true].map(|windowed| Rope::new(&config, windowed, &weights.rope_factors));
        Self { config, weights, ropes }
    }

    /// Sizes of the keys and values of one token.
    pub(crate) fn sizes(&self) -> Sizes {
        let heads = self.config.heads;
        Sizes { layers: self.config.layers, kv_heads: heads.kv_heads, head_dim: heads.head_dim }
    }

    pub(crate) fn context_length(&self) -> usize {
        self.config.context_length
    }

    pub(crate) fn embedding(&self) -> usize {
        self.config.embedding
    }

    /// Runs the rows of `workspace.batch`, writes their keys and values to their slots, and leaves the
    /// normalised hidden states of the wanted ones in `workspace.input`, rounded for the output matrix.
    pub(crate) fn forward(
        &self,
        compute: &Compute,
        memory: &mut Memory,
        workspace: &mut Workspace,
        precision: Precision,
        mut observer: Option<&mut dyn Observer>,
    ) {
        let width = self.config.embedding;
        let count = workspace.batch.rows.len();
        grow(&mut workspace.hidden, count * width);
        let rows = &workspace.batch.rows;
        each_row(compute, &mut workspace.hidden[..count * width], width, |row, hidden| {
            self.weights.embedding.read(rows[row].token, hidden);
            if self.config.embedding_scale != 1.0 {
                hidden.iter_mut().for_each(|x| *x *= self.config.embedding_scale);
            }
        });
        let positions = || workspace.batch.rows.iter().map(|row| row.position);
        let rotations = [self.ropes[0].at(positions()), self.ropes[1].at(positions())];
        let last = self.weights.layers.len() - 1;
        workspace.rows.clear();
        workspace.rows.extend(0..count);
        for (index, layer) in self.weights.layers.iter().enumerate() {
            let pass = Pass { decoder: self, compute, precision, index, layer };
            let window = self.config.layer_window(index);
            let rotation = &rotations[usize::from(window.is_some())];
            pass.remember(workspace, memory, rotation);
            // Nothing reads the last layer's other rows: their keys and values were all that mattered.
            if index == last && observer.is_none() {
                pass.keep_wanted(workspace);
                if workspace.rows.is_empty() {
                    break;
                }
            }
            pass.attend(workspace, memory, rotation, window);
            pass.feed_forward(workspace);
            if let Some(observer) = observer.as_deref_mut() {
                observer.layer(index, &workspace.hidden[..workspace.rows.len() * width]);
            }
        }
        if observer.is_some() {
            let Workspace { hidden, rows, batch, .. } = workspace;
            rows.clear();
            rows.extend_from_slice(&batch.wanted);
            for (to, from) in rows.iter().enumerate() {
                hidden.copy_within(from * width..(from + 1) * width, to * width);
            }
        }
        let Workspace { hidden, input, rows, .. } = workspace;
        self.normalise(compute, &hidden[..rows.len() * width], &self.weights.output_norm, input);
        input.round(compute, precision);
    }

    /// Scores of every token of the vocabulary after each row of `input`: `rows` × vocabulary.
    pub(crate) fn logits(&self, compute: &Compute, input: &Input, out: &mut Vec<f32>) {
        grow(out, input.rows() * self.weights.vocabulary);
        multiply(compute, input, [Product::new(&self.weights.output, out)]);
    }

    fn normalise(&self, compute: &Compute, hidden: &[f32], weight: &[f32], out: &mut Input) {
        let width = self.config.embedding;
        let out = out.reset(hidden.len() / width, width);
        let epsilon = self.config.epsilon;
        let norm = |row: usize, out: &mut [f32]| {
            simd::rms_norm(compute.isa, &hidden[row * width..(row + 1) * width], weight, epsilon, out);
        };
        each_row(compute, out, width, norm);
    }
}

/// Calls `work` for every row, on all cores where there is enough to do.
fn each_row(compute: &Compute, values: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    const SMALL: usize = 1 << 14;
    const ROWS: usize = 8;
    if values.len() <= SMALL {
        values.chunks_exact_mut(width).enumerate().for_each(|(row, values)| work(row, values));
        return;
    }
    compute.pool.for_each_piece(values, ROWS * width, |piece, values| {
        for (row, values) in values.chunks_exact_mut(width).enumerate() {
            work(piece * ROWS + row, values);
        }
    });
}

fn grow(values: &mut Vec<f32>, length: usize) {
    if values.len() < length {
        values.resize(length, 0.0);
    }
}

/// One layer of one forward pass.
struct Pass<'a> {
    decoder: &'a Decoder,
    compute: &'a Compute,
    precision: Precision,
    index: usize,
    layer: &'a Layer,
}

impl Pass<'_> {
    /// Computes queries, keys and values of all rows, and writes the latter two to the cache.
    fn remember(&self, workspace: &mut Workspace, memory: &mut Memory, rotation: &Rotation<'_>) {
        let Self { decoder, compute, layer, .. } = self;
        let heads = decoder.config.heads;
        let count = workspace.rows.len();
        let width = decoder.config.embedding;
        let (q_width, kv_width) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
        let Workspace { hidden, input, queries, keys, values, batch, .. } = workspace;
        decoder.normalise(compute, &hidden[..count * width], &layer.attention_norm, input);
        input.round(compute, self.precision);
        grow(queries, count * q_width);
        grow(keys, count * kv_width);
        grow(values, count * kv_width);
        let products = [
            Product::new(&layer.query, queries),
            Product::new(&layer.key, keys),
            Product::new(&layer.value, values),
        ];
        multiply(compute, input, products);
        let keys = &mut keys[..count * kv_width];
        self.turn(keys, kv_width, layer.key_norm.as_deref(), rotation);
        memory.write(
            &compute.pool,
            self.index,
            |row| batch.rows[row].slot,
            keys,
            &values[..count * kv_width],
        );
        let queries = &mut queries[..count * q_width];
        self.turn(queries, q_width, layer.query_norm.as_deref(), rotation);
    }

    /// Normalises, where the model does, and rotates every head.
    fn turn(&self, rows: &mut [f32], width: usize, norm: Option<&[f32]>, rotation: &Rotation<'_>) {
        let Self { decoder, compute, .. } = self;
        let head_dim = decoder.config.heads.head_dim;
        each_row(compute, rows, width, |row, values| {
            for head in values.chunks_exact_mut(head_dim) {
                if let Some(norm) = norm {
                    simd::rms_norm_in_place(compute.isa, head, norm, decoder.config.epsilon);
                }
                rotation.apply(row, head);
            }
        });
    }

    /// Drops all rows but those wanted.
    fn keep_wanted(&self, workspace: &mut Workspace) {
        let width = self.decoder.config.embedding;
        let heads = self.decoder.config.heads;
        let q_width = heads.heads * heads.head_dim;
        let Workspace { hidden, queries, rows, batch, .. } = workspace;
        rows.clear();
        rows.extend_from_slice(&batch.wanted);
        for (to, from) in rows.iter().enumerate() {
            hidden.copy_within(from * width..(from + 1) * width, to * width);
            queries.copy_within(from * q_width..(from + 1) * q_width, to * q_width);
        }
    }

    /// Attends and adds what was found to the hidden states.
    fn attend(
        &self,
        workspace: &mut Workspace,
        memory: &Memory,
        _rotation: &Rotation<'_>,
        window: Option<usize>,
    ) {
        let Self { decoder, compute, layer, .. } = self;
        let heads = decoder.config.heads;
        let (count, q_width) = (workspace.rows.len(), heads.heads * heads.head_dim);
        let Workspace { batch, window: seen, queries, rows, attended, .. } = workspace;
        let sight = match window {
            Some(tokens) => {
                batch.sight.window(tokens, seen);
                &*seen
            }
            None => &batch.sight,
        };
        let attend = Attend {
            queries: &queries[..count * q_width],
            rows,
            sight,
            layer: self.index,
            heads,
            scale: decoder.config.attention_scale,
        };
        attend.run(compute, memory, self.precision, attended.reset(count, q_width));
        attended.round(compute, self.precision);
        let norm = layer.attention_post_norm.as_deref();
        self.add(
            &layer.attention_output,
            &workspace.attended,
            norm,
            &mut workspace.branch,
            &mut workspace.hidden,
        );
    }

    /// Adds `linear(x)` to the hidden states, normalised before where the model does that.
    fn add(
        &self,
        linear: &Linear,
        x: &Input,
        norm: Option<&[f32]>,
        branch: &mut Vec<f32>,
        hidden: &mut [f32],
    ) {
        let Some(norm) = norm else {
            return multiply(self.compute, x, [Product::added_to(linear, hidden)]);
        };
        grow(branch, x.rows() * linear.outputs());
        multiply(self.compute, x, [Product::new(linear, branch)]);
        self.add_normalised(norm, &mut branch[..x.rows() * linear.outputs()], hidden);
    }

    fn add_normalised(&self, norm: &[f32], branch: &mut [f32], hidden: &mut [f32]) {
        let (compute, width) = (self.compute, self.decoder.config.embedding);
        for (branch, hidden) in branch.chunks_exact_mut(width).zip(hidden.chunks_exact_mut(width)) {
            simd::rms_norm_in_place(compute.isa, branch, norm, self.decoder.config.epsilon);
            simd::add(compute.isa, hidden, branch);
        }
    }

    fn feed_forward(&self, workspace: &mut Workspace) {
        let Self { decoder, compute, layer, .. } = self;
        let (count, width) = (workspace.rows.len(), decoder.config.embedding);
        let Workspace { hidden, input, gate, up, activated, branch, .. } = workspace;
        decoder.normalise(compute, &hidden[..count * width], &layer.feed_forward_norm, input);
        match &layer.feed_forward {
            FeedForward::Dense { gate: gate_linear, up: up_linear, down } => {
                input.round(compute, self.precision);
                let activation = decoder.config.activation;
                let linears = [gate_linear, up_linear];
                multiply_gated(compute, input, linears, activation, [gate, up], self.precision, activated);
                self.add(down, activated, layer.feed_forward_post_norm.as_deref(), branch, hidden);
            }
            FeedForward::Experts(experts) => self.mix(experts, workspace),
        }
    }

    /// Each row goes through the experts that its router scores highest, weighted by those scores.
    fn mix(&self, experts: &Experts, workspace: &mut Workspace) {
        let (compute, width) = (self.compute, self.decoder.config.embedding);
        let count = experts.experts.len();
        let Workspace { hidden, input, gate, up, activated, branch, rows, .. } = workspace;
        let rows = rows.len();
        let mut scores = vec![0.0; rows * count];
        input.round(compute, self.precision);
        multiply(compute, input, [Product::new(&experts.router, &mut scores)]);
        // By expert, the rows it gets and their weights.
        let mut routes: Vec<Vec<(usize, f32)>> = vec![Vec::new(); count];
        for (row, scores) in scores.chunks_exact_mut(count).enumerate() {
            for (expert, weight) in route(scores, experts.used) {
                routes[expert].push((row, weight));
            }
        }
        let mut part = Input::default();
        grow(branch, rows * width);
        let mut mixed = vec![0.0; rows * width];
        for (expert, route) in experts.experts.iter().zip(&routes).filter(|(_, route)| !route.is_empty()) {
            let out = part.reset(route.len(), width);
            for ((row, _), out) in route.iter().zip(out.chunks_exact_mut(width)) {
                out.copy_from_slice(input.row(*row));
            }
            part.round(compute, self.precision);
            let (linears, activation) = ([&expert.gate, &expert.up], self.decoder.config.activation);
            multiply_gated(compute, &part, linears, activation, [gate, up], self.precision, activated);
            multiply(compute, activated, [Product::new(&expert.down, branch)]);
            for ((row, weight), branch) in route.iter().zip(branch.chunks_exact(width)) {
                let mixed = &mut mixed[row * width..(row + 1) * width];
                mixed.iter_mut().zip(branch).for_each(|(mixed, x)| *mixed += weight * x);
            }
        }
        match self.layer.feed_forward_post_norm.as_deref() {
            Some(norm) => self.add_normalised(norm, &mut mixed, hidden),
            None => simd::add(compute.isa, &mut hidden[..rows * width], &mixed),
        }
    }
}

/// The `used` experts with the highest scores and their weights: softmax over those.
fn route(scores: &mut [f32], used: usize) -> Vec<(usize, f32)> {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|x| *x = (*x - max).exp());
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    order.truncate(used);
    let total: f32 = order.iter().map(|expert| scores[*expert]).sum();
    order.into_iter().map(|expert| (expert, scores[expert] / total)).collect()
}
