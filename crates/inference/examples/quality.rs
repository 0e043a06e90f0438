//! How far are the logits from 32-bit arithmetic on the same weights, ours and stock candle's?
//!
//! `quality MODEL.gguf TEXT_FILE`: run with `CANDLE_DEQUANTIZE_ALL=1` first, which makes the stock decoder
//! the reference and writes its logits beside the text; run again without it to compare.

use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use candle_transformers::models::{quantized_llama, quantized_qwen2};
use casemate_inference::Model;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
/// A stock decoder's forward pass over whole prefixes.
type Forward = Box<dyn FnMut(&Tensor) -> candle_core::Result<Tensor>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, path, text] = arguments.as_slice() else {
        return Err("usage: quality MODEL.gguf TEXT_FILE".into());
    };
    let model = Model::load(path.as_ref())?;
    let tokens = model.tokens_of_data(&fs_err::read_to_string(text)?)?;
    let lengths: Vec<usize> = (0..12).map(|i| 8 + i * 9).filter(|length| *length <= tokens.len()).collect();
    let reference = format!("{text}.{}.reference", model.info().file_bytes);
    if std::env::var_os("CANDLE_DEQUANTIZE_ALL").is_some() {
        let logits = stock(path, &tokens, &lengths)?;
        let bytes: Vec<u8> = logits.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        fs_err::write(&reference, bytes)?;
        return Ok(());
    }
    let bytes = fs_err::read(&reference)?;
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let expected: Vec<&[f32]> = values.chunks(model.info().vocabulary).collect();
    let mut session = model.session(256)?;
    let mut ours = Vec::new();
    for length in &lengths {
        session.rewind(0)?;
        session.read(&tokens[..*length], &mut |_| {})?;
        ours.push(session.logits()?);
    }
    report("ours", &ours, &expected);
    if std::env::var_os("STOCK").is_some() {
        report("stock", &stock(path, &tokens, &lengths)?, &expected);
    }
    Ok(())
}

fn stock(path: &str, tokens: &[u32], lengths: &[usize]) -> Outcome<Vec<Vec<f32>>> {
    let mut file = fs_err::File::open(path)?;
    let content = Content::read(&mut file)?;
    let mut forward: Forward = if content.metadata["general.architecture"].to_string()? == "llama" {
        let mut model = quantized_llama::ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?;
        Box::new(move |input| model.forward(input, 0))
    } else {
        let mut model = quantized_qwen2::ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?;
        Box::new(move |input| model.forward(input, 0))
    };
    let mut all = Vec::new();
    for length in lengths {
        let input = Tensor::new(&tokens[..*length], &Device::Cpu)?.unsqueeze(0)?;
        all.push(forward(&input)?.flatten_all()?.to_vec1()?);
    }
    Ok(all)
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f32::MIN, f32::max);
    let total = logits.iter().map(|x| f64::from(x - max).exp()).sum::<f64>().ln();
    logits.iter().map(|x| f64::from(x - max) - total).collect()
}

fn report(name: &str, logits: &[Vec<f32>], expected: &[&[f32]]) {
    let (mut divergence, mut squares, mut agreed) = (0.0, 0.0, 0);
    let top = |logits: &[f32]| (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
    for (logits, expected) in logits.iter().zip(expected) {
        let (q, p) = (log_softmax(logits), log_softmax(expected));
        divergence += p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
        squares += logits.iter().zip(*expected).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
            / logits.len() as f64;
        agreed += usize::from(top(logits) == top(expected));
    }
    let n = logits.len() as f64;
    println!(
        "{name}: KL {:.5} nats, logits rms {:.4}, top-1 {agreed}/{n}",
        divergence / n,
        (squares / n).sqrt()
    );
}
