//! Which tokens is this text, and which text are these tokens?
//!
//! Byte-pair encoding over bytes ("gpt2") or over characters with scores (SentencePiece, "llama"), with the
//! vocabulary, merges and splitting rules named in the GGUF file. Control tokens are not in the vocabulary
//! that texts are encoded with, so no text can form one; only [`Tokenizer::encode_template`] knows them.
//! Deliberately absent: other kinds of vocabulary (unigram, WordPiece).

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
use crate::sentencepiece::{self, SentencePiece};

/// A sequence of token ids.
pub type Tokens = Vec<u32>;

const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT_4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Types of tokens in llama.cpp's `llama_token_type`.
mod kind {
    pub(super) const NORMAL: i64 = 1;
    pub(super) const UNKNOWN: i64 = 2;
    pub(super) const CONTROL: i64 = 3;
    pub(super) const USER_DEFINED: i64 = 4;
    pub(super) const BYTE: i64 = 6;
}

/// Names that some converters leave as normal or user-defined though they are control tokens.
const CONTROL_NAMES: [&str; 14] = [
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "<bos>",
    "<eos>",
    "<mask>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CALLS]",
];

/// Ends of a turn, for files whose `eos_token_id` ends the text instead.
const TURN_ENDS: [&str; 4] = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>"];

/// Longest name of a special token that templates can use.
const MAX_NAME_BYTES: usize = 256;

pub(crate) struct Tokenizer {
    text: TextModel,
    /// Control and user-defined tokens by name.
    special: HashMap<String, u32>,
    /// Lengths of their names in bytes, longest first.
    lengths: Vec<usize>,
    /// The bytes of each token that texts can form; empty for special and unused ones.
    bytes: Vec<Vec<u8>>,
    names: HashMap<u32, String>,
    pub(crate) bos: Option<u32>,
    pub(crate) add_bos: bool,
    /// Ends the assistant's turn.
    pub(crate) end: u32,
}

/// What turns plain text into tokens.
enum TextModel {
    Bytes(Box<tokenizers::Tokenizer>),
    Pieces {
        pieces: SentencePiece,
        /// Text at the beginning and after special tokens gets a space before it.
        add_space: bool,
        /// White space after special tokens is not read (phi3).
        trim: bool,
    },
}

/// The vocabulary as the file has it, its lengths checked.
struct Listed<'a> {
    gguf: &'a Gguf,
    tokens: &'a [String],
    types: &'a [i64],
}

impl<'a> Listed<'a> {
    fn read(gguf: &'a Gguf) -> Result<Self> {
        let tokens =
            gguf.texts("tokenizer.ggml.tokens").ok_or_else(|| gguf.incomplete("no tokenizer.ggml.tokens"))?;
        match gguf.get("tokenizer.ggml.token_type") {
            Some(Value::Integers(types)) if types.len() == tokens.len() => Ok(Self { gguf, tokens, types }),
            _ => Err(gguf.incomplete("no tokenizer.ggml.token_type for every token")),
        }
    }

    /// Tokens, their types, corrected by what their names say, and ids.
    fn iter(&self) -> impl Iterator<Item = (&'a str, i64, u32)> {
        self.tokens.iter().zip(self.types).zip(0..).map(|((token, kind), id)| {
            let marker = token.len() > 4 && token.starts_with("<|") && token.ends_with("|>");
            let control = marker || CONTROL_NAMES.contains(&token.as_str());
            let kind = if control && *kind == kind::NORMAL { kind::CONTROL } else { *kind };
            (token.as_str(), kind, id)
        })
    }

    fn of_kind(&self, kind: i64) -> impl Iterator<Item = (&'a str, u32)> {
        self.iter().filter(move |(_, k, _)| *k == kind).map(|(token, _, id)| (token, id))
    }

    fn id(&self, key: &str) -> Option<u32> {
        self.gguf.size(key).filter(|id| *id < self.tokens.len()).map(|id| id as u32)
    }

    /// What `key` says; `default` if it says nothing.
    fn flag(&self, key: &str, default: bool) -> bool {
        match self.gguf.get(key) {
            Some(Value::Bool(flag)) => *flag,
            _ => default,
        }
    }

    fn byte_level(&self, rules: Rules) -> Result<TextModel> {
        let merges = self.gguf.texts("tokenizer.ggml.merges");
        let merges = merges.ok_or_else(|| self.gguf.incomplete("no tokenizer.ggml.merges"))?;
        let vocabulary: Vocab =
            self.of_kind(kind::NORMAL).map(|(token, id)| (token.to_owned(), id)).collect();
        Ok(TextModel::Bytes(Box::new(rules.tokenizer(vocabulary, merges)?)))
    }

    fn sentence_piece(&self) -> Result<TextModel> {
        let scores = match self.gguf.get("tokenizer.ggml.scores") {
            Some(Value::Floats(scores)) if scores.len() == self.tokens.len() => scores,
            _ => return Err(self.gguf.incomplete("no tokenizer.ggml.scores for every token")),
        };
        let score = |id: u32| scores.get(id as usize).copied().unwrap_or_default() as f32;
        let pieces = self.of_kind(kind::NORMAL).map(|(token, id)| (token, id, score(id)));
        let bytes: HashMap<u8, u32> =
            self.of_kind(kind::BYTE).filter_map(|(token, id)| Some((byte_of(token)?, id))).collect();
        let runs = self.of_kind(kind::USER_DEFINED).filter(|(token, _)| is_run(token));
        Ok(TextModel::Pieces {
            pieces: SentencePiece::new(pieces, runs, |byte| bytes.get(&byte).copied())?,
            add_space: self.flag("tokenizer.ggml.add_space_prefix", true),
            trim: self.gguf.text("general.architecture") == Some("phi3"),
        })
    }

    fn end(&self, special: &HashMap<String, u32>) -> Result<u32> {
        let end = self
            .id("tokenizer.ggml.eos_token_id")
            .ok_or_else(|| self.gguf.incomplete("no tokenizer.ggml.eos_token_id within the vocabulary"))?;
        let template = self.gguf.text("tokenizer.chat_template").unwrap_or_default();
        let named =
            || TURN_ENDS.iter().filter(|name| template.contains(**name)).find_map(|n| special.get(*n));
        Ok(self.id("tokenizer.ggml.eot_token_id").or_else(|| named().copied()).unwrap_or(end))
    }
}

impl Tokenizer {
    pub(crate) fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let model = gguf.text("tokenizer.ggml.model").unwrap_or("no tokenizer");
        let pieces = match model {
            "gpt2" => false,
            "llama" => true,
            _ => {
                let advice = "byte-pair ('gpt2') and SentencePiece ('llama') ones are; use another model";
                return Err(gguf.unsupported(format!("tokenizer '{model}'"), advice));
            }
        };
        let listed = Listed::read(gguf)?;
        let pre = gguf.text("tokenizer.ggml.pre").unwrap_or("default");
        let (text, add_bos) = if pieces {
            (listed.sentence_piece()?, true)
        } else {
            let rules = Rules::named(pre).map_err(|error| Error::Tokenizer(error.to_string()))?;
            let rules = rules.ok_or_else(|| {
                let advice = "qwen2, llama-bpe, smollm, tekken, dbrx, gpt-4o, gpt-2 and default are";
                gguf.unsupported(format!("pre-tokenizer '{pre}'"), advice)
            })?;
            let add_bos = rules.add_bos;
            (listed.byte_level(rules)?, add_bos)
        };
        let bytes = |(token, kind, _): (&str, i64, u32)| match kind {
            kind::NORMAL if pieces => sentencepiece::bytes_of(token),
            kind::NORMAL => bytes_of(token),
            kind::BYTE if pieces => byte_of(token).into_iter().collect(),
            kind::USER_DEFINED if pieces && is_run(token) => sentencepiece::bytes_of(token),
            _ => Vec::new(),
        };
        let special: HashMap<String, u32> = listed
            .iter()
            .filter(|(token, kind, _)| match *kind {
                kind::CONTROL => true,
                // The unknown token's name is a marker too, though nothing forms it.
                kind::UNKNOWN => pieces,
                kind::USER_DEFINED => !(pieces && is_run(token)),
                _ => false,
            })
            .filter(|(token, ..)| (1..=MAX_NAME_BYTES).contains(&token.len()))
            .map(|(token, _, id)| (token.to_owned(), id))
            .collect();
        let mut lengths: Vec<usize> = special.keys().map(String::len).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        Ok(Self {
            text,
            end: listed.end(&special)?,
            names: special.iter().map(|(name, id)| (*id, name.clone())).collect(),
            special,
            lengths,
            bytes: listed.iter().map(bytes).collect(),
            bos: listed.id("tokenizer.ggml.bos_token_id"),
            add_bos: listed.flag("tokenizer.ggml.add_bos_token", add_bos),
        })
    }

    /// Number of tokens the file names.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Encodes text that may come from anywhere, to follow other tokens: special tokens cannot form.
    pub(crate) fn encode(&self, text: &str) -> Result<Tokens> {
        let mut tokens = Tokens::new();
        match &self.text {
            TextModel::Bytes(model) => {
                let encoded = model.encode_fast(text, false);
                tokens.extend_from_slice(
                    encoded.map_err(|error| Error::Tokenizer(error.to_string()))?.get_ids(),
                );
            }
            TextModel::Pieces { pieces, .. } => pieces.encode(text, &mut tokens),
        }
        Ok(tokens)
    }

    /// Appends a part of a conversation, which may come from anywhere: special tokens cannot form.
    pub(crate) fn encode_part(&self, text: &str, tokens: &mut Tokens) -> Result<()> {
        let after_special = tokens.last().is_none_or(|token| self.names.contains_key(token));
        if let TextModel::Pieces { pieces, add_space: true, .. } = &self.text
            && after_special
            && !text.is_empty()
        {
            pieces.encode(&format!(" {text}"), tokens);
            return Ok(());
        }
        tokens.extend(self.encode(text)?);
        Ok(())
    }

    /// Appends text that the model file's own chat template wrote, special tokens included.
    pub(crate) fn encode_template(&self, mut text: &str, tokens: &mut Tokens) -> Result<()> {
        while !text.is_empty() {
            let Some((at, name, id)) = self.find_special(text) else { break };
            self.encode_part(&text[..at], tokens)?;
            tokens.push(id);
            text = &text[at + name.len()..];
            let plain = ["<s>", "<unk>", "<|endoftext|>"];
            if matches!(self.text, TextModel::Pieces { trim: true, .. }) && !plain.contains(&name) {
                text = text.trim_start();
            }
        }
        self.encode_part(text, tokens)
    }

    /// The leftmost special token; of those that begin there, the longest.
    fn find_special<'t>(&self, text: &'t str) -> Option<(usize, &'t str, u32)> {
        let special = |name: &'t str| Some((name, *self.special.get(name)?));
        text.char_indices().find_map(|(at, _)| {
            let names = self.lengths.iter().filter_map(|length| text.get(at..at.checked_add(*length)?));
            names.filter_map(special).next().map(|(name, id)| (at, name, id))
        })
    }

    /// The bytes a token stands for; none for special tokens.
    pub(crate) fn bytes(&self, token: u32) -> &[u8] {
        self.bytes.get(token as usize).map_or(&[], Vec::as_slice)
    }

    /// The name of a special token, such as `<|im_end|>`.
    pub(crate) fn special_name(&self, token: u32) -> Option<&str> {
        self.names.get(&token).map(String::as_str)
    }

    /// Whether there is a special token of this name.
    pub(crate) fn has_special(&self, name: &str) -> bool {
        self.special.contains_key(name)
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
    /// Whether conversations begin with the beginning-of-text token where the file does not say.
    add_bos: bool,
}

impl Rules {
    fn named(name: &str) -> tokenizers::Result<Option<Self>> {
        let pattern = |regex: &str| -> tokenizers::Result<PreTokenizerWrapper> {
            let regex = SplitPattern::Regex(regex.to_owned());
            let split = Split::new(regex, SplitDelimiterBehavior::Isolated, false)?;
            Ok(Sequence::new(vec![split.into(), ByteLevel::new(false, false, false).into()]).into())
        };
        let gpt2 = ByteLevel::new(false, false, true);
        let plain = |split| Self { split, compose: false, ignore_merges: false, add_bos: false };
        Ok(Some(match name {
            "qwen2" | "deepseek-r1-qwen" => Self { compose: true, ..plain(pattern(QWEN2)?) },
            "llama-bpe" | "llama3" | "llama-v3" => {
                Self { ignore_merges: true, add_bos: true, ..plain(pattern(LLAMA3)?) }
            }
            "smaug-bpe" | "dbrx" => plain(pattern(LLAMA3)?),
            "tekken" => Self { ignore_merges: true, add_bos: true, ..plain(pattern(TEKKEN)?) },
            "gpt-4o" => plain(pattern(GPT_4O)?),
            "smollm" => plain(Sequence::new(vec![Digits::new(true).into(), gpt2.into()]).into()),
            "default" | "gpt-2" | "gpt2" => plain(gpt2.into()),
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

/// The byte that a token such as `<0x0A>` stands for.
fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

/// Whether a user-defined piece is white space only, so that texts may form it; any other could be a marker.
fn is_run(token: &str) -> bool {
    !token.is_empty() && token.chars().all(|c| c == ' ' || sentencepiece::is_space(c))
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
