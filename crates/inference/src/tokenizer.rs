//! Which tokens is this text, and which text are these tokens?
//!
//! Byte-pair encoding with the vocabulary, merges and splitting rules named in the GGUF file. Control
//! tokens are not in the vocabulary that texts are encoded with, so no text can form one; only
//! [`Tokenizer::encode_template`] knows them. Deliberately absent: sentencepiece vocabularies.

use std::collections::HashMap;

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior};

use crate::error::{Error, Result};
use crate::gguf::{Gguf, Value};

/// A sequence of token ids.
pub type Tokens = Vec<u32>;

const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A token of type NORMAL in llama.cpp's `llama_token_type`; all others are kept from texts.
const NORMAL: i64 = 1;

pub(crate) struct Tokenizer {
    text: tokenizers::Tokenizer,
    /// Control and user-defined tokens, longest first.
    special: Vec<(String, u32)>,
    /// The bytes of each normal token; empty for special and unused ones.
    bytes: Vec<Vec<u8>>,
    names: HashMap<u32, String>,
    pub(crate) bos: Option<u32>,
    pub(crate) add_bos: bool,
    /// Ends the assistant's turn.
    pub(crate) end: u32,
}

impl Tokenizer {
    pub(crate) fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let model = gguf.text("tokenizer.ggml.model").unwrap_or("no tokenizer");
        if model != "gpt2" {
            return Err(gguf.unsupported(format!("tokenizer '{model}'"), "byte-pair ('gpt2') ones are"));
        }
        let tokens =
            gguf.texts("tokenizer.ggml.tokens").ok_or_else(|| gguf.incomplete("no tokenizer.ggml.tokens"))?;
        let merges =
            gguf.texts("tokenizer.ggml.merges").ok_or_else(|| gguf.incomplete("no tokenizer.ggml.merges"))?;
        let types = match gguf.get("tokenizer.ggml.token_type") {
            Some(Value::Integers(types)) if types.len() == tokens.len() => types,
            _ => return Err(gguf.incomplete("no tokenizer.ggml.token_type for every token")),
        };
        let id = |key: &str| gguf.size(key).filter(|id| *id < tokens.len()).map(|id| id as u32);
        let end = id("tokenizer.ggml.eos_token_id")
            .ok_or_else(|| gguf.incomplete("no tokenizer.ggml.eos_token_id within the vocabulary"))?;
        let pre = gguf.text("tokenizer.ggml.pre").unwrap_or("default");
        let rules = Rules::named(pre).map_err(|error| Error::Tokenizer(error.to_string()))?;
        let rules = rules.ok_or_else(|| {
            let advice = "qwen2, llama-bpe, smollm, gpt-2 and default are";
            gguf.unsupported(format!("pre-tokenizer '{pre}'"), advice)
        })?;

        let kinds = || tokens.iter().zip(types).zip(0u32..);
        let bytes =
            kinds().map(|((token, kind), _)| if *kind == NORMAL { bytes_of(token) } else { Vec::new() });
        let special = |kind: i64| matches!(kind, 3 | 4);
        let mut special: Vec<_> = kinds()
            .filter(|((token, kind), _)| special(**kind) && !token.is_empty())
            .map(|((token, _), id)| (token.clone(), id))
            .collect();
        special.sort_by_key(|(token, _)| std::cmp::Reverse(token.len()));
        let normal = kinds().filter(|((_, kind), _)| **kind == NORMAL);
        let vocabulary: Vocab = normal.map(|((token, _), id)| (token.clone(), id)).collect();
        Ok(Self {
            text: rules.tokenizer(vocabulary, merges)?,
            names: special.iter().map(|(name, id)| (*id, name.clone())).collect(),
            special,
            bytes: bytes.collect(),
            bos: id("tokenizer.ggml.bos_token_id"),
            add_bos: gguf.get("tokenizer.ggml.add_bos_token") == Some(&Value::Bool(true)),
            end,
        })
    }

    /// Number of tokens the file names.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Encodes text that may come from anywhere: special tokens cannot form.
    pub(crate) fn encode(&self, text: &str) -> Result<Tokens> {
        let encoding =
            self.text.encode_fast(text, false).map_err(|error| Error::Tokenizer(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Encodes text that the model file's own chat template wrote, special tokens included.
    pub(crate) fn encode_template(&self, mut text: &str) -> Result<Tokens> {
        let mut tokens = Tokens::new();
        while !text.is_empty() {
            // The leftmost special token; of those that begin there, the longest.
            let found =
                self.special.iter().filter_map(|(name, id)| Some((text.find(name.as_str())?, name, *id)));
            let Some((at, name, id)) = found.min_by_key(|(at, ..)| *at) else {
                tokens.extend(self.encode(text)?);
                break;
            };
            tokens.extend(self.encode(&text[..at])?);
            tokens.push(id);
            text = &text[at + name.len()..];
        }
        Ok(tokens)
    }

    /// The bytes a token stands for; none for special tokens.
    pub(crate) fn bytes(&self, token: u32) -> &[u8] {
        self.bytes.get(token as usize).map_or(&[], Vec::as_slice)
    }

    /// The name of a special token, such as `<|im_end|>`.
    pub(crate) fn special_name(&self, token: u32) -> Option<&str> {
        self.names.get(&token).map(String::as_str)
    }

    /// The text of tokens; special ones are left out, broken UTF-8 is replaced.
    pub(crate) fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| self.bytes(*token)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// How text is cut before byte-pair encoding.
struct Rules {
    split: PreTokenizerWrapper,
    compose: bool,
    /// Whole words found in the vocabulary are taken as they are.
    ignore_merges: bool,
}

impl Rules {
    fn named(name: &str) -> tokenizers::Result<Option<Self>> {
        let pattern = |regex: &str| -> tokenizers::Result<PreTokenizerWrapper> {
            let regex = SplitPattern::Regex(regex.to_owned());
            let split = Split::new(regex, SplitDelimiterBehavior::Isolated, false)?;
            Ok(Sequence::new(vec![split.into(), ByteLevel::new(false, false, false).into()]).into())
        };
        let gpt2 = ByteLevel::new(false, false, true);
        Ok(Some(match name {
            "qwen2" | "deepseek-r1-qwen" => {
                Self { split: pattern(QWEN2)?, compose: true, ignore_merges: false }
            }
            "llama-bpe" | "llama3" | "smaug-bpe" => {
                Self { split: pattern(LLAMA3)?, compose: false, ignore_merges: name != "smaug-bpe" }
            }
            "smollm" => {
                let split = Sequence::new(vec![Digits::new(true).into(), gpt2.into()]).into();
                Self { split, compose: false, ignore_merges: false }
            }
            "default" | "gpt-2" | "gpt2" => Self { split: gpt2.into(), compose: false, ignore_merges: false },
            _ => return Ok(None),
        }))
    }

    fn tokenizer(self, vocabulary: Vocab, merges: &[String]) -> Result<tokenizers::Tokenizer> {
        let failed =
            |error: tokenizers::Error| Error::Tokenizer(format!("the vocabulary is unusable: {error}"));
        let mut pairs = Vec::with_capacity(merges.len());
        for merge in merges {
            let (left, right) = merge.split_once(' ').ok_or_else(|| {
                Error::Tokenizer(format!("merge '{merge}' is not two words: fetch the model again"))
            })?;
            // A merge that would form a special or unknown token must not exist for texts.
            let known = |token: &str| vocabulary.contains_key(token);
            if known(left) && known(right) && known(&format!("{left}{right}")) {
                pairs.push((left.to_owned(), right.to_owned()));
            }
        }
        let bpe = BPE::builder().vocab_and_merges(vocabulary, pairs).ignore_merges(self.ignore_merges);
        let mut tokenizer = tokenizers::Tokenizer::new(bpe.build().map_err(failed)?);
        tokenizer.with_pre_tokenizer(Some(self.split));
        if self.compose {
            tokenizer.with_normalizer(Some(NFC)).map_err(failed)?;
        }
        Ok(tokenizer)
    }
}

/// Undoes the byte-level alphabet of GPT-2, in which every byte is a printable character.
fn bytes_of(token: &str) -> Vec<u8> {
    let byte = |c: char| -> Option<u8> {
        let code = u32::from(c);
        match code {
            0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => Some(code as u8),
            0x100..=0x120 => Some((code - 0x100) as u8),
            0x121..=0x142 => Some((code - 0x121 + 0x7f) as u8),
            0x143 => Some(0xad),
            _ => None,
        }
    };
    // A character outside the alphabet stands for itself.
    let mut buffer = [0; 4];
    let mut bytes = Vec::with_capacity(token.len());
    for c in token.chars() {
        match byte(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_alphabet_is_a_bijection() {
        let alphabet = ByteLevel::alphabet();
        let mut seen: Vec<u8> = alphabet.iter().flat_map(|c| bytes_of(&c.to_string())).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..=255).collect::<Vec<u8>>());
        assert_eq!(bytes_of("Ġthe"), b" the");
        assert_eq!(bytes_of("Ċ"), b"\n");
    }
}
