//! What does this GGUF header say, and may it be believed?
//!
//! Reads metadata and the tensor directory of GGUF versions 2 and 3 and checks every count, length,
//! offset and extent against the file's size before anything is allocated for it. Reads no tensor data
//! unless asked for one tensor, and attaches no meaning to names.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>

use std::collections::HashMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use fs_err::File;

use crate::error::{Error, Result};

/// Longest header accepted: real ones (a vocabulary of 262k words) stay below 20 MB.
const MAX_HEADER_BYTES: u64 = 256 << 20;
const MAX_TENSORS: u64 = 1 << 16;
const MAX_METADATA: u64 = 1 << 14;
const MAX_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;

/// One metadata value. Arrays of numbers are widened; nested arrays do not occur in models.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Integer(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    Texts(Vec<String>),
}

/// Where one tensor lies and how it is stored.
#[derive(Clone, Debug)]
pub(crate) struct TensorInfo {
    /// Row-major: the last dimension is contiguous (GGUF writes them the other way round).
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: GgmlDType,
    /// From the beginning of the file.
    offset: u64,
    pub(crate) bytes: u64,
}

/// A checked header, and the file it came from.
#[derive(Debug)]
pub(crate) struct Gguf {
    pub(crate) path: PathBuf,
    pub(crate) file_bytes: u64,
    metadata: HashMap<String, Value>,
    tensors: HashMap<String, TensorInfo>,
    map: casemate_disk::Map,
}

impl Gguf {
    /// Reads and checks the header of the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        let mut header = Header { path, input: BufReader::with_capacity(1 << 16, file), at: 0, file_bytes };
        header.read()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn texts(&self, key: &str) -> Option<&[String]> {
        match self.metadata.get(key)? {
            Value::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    pub(crate) fn float(&self, key: &str) -> Option<f64> {
        match self.metadata.get(key)? {
            Value::Float(value) => Some(*value),
            Value::Integer(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// A count, size or token id.
    pub(crate) fn size(&self, key: &str) -> Option<usize> {
        match self.metadata.get(key)? {
            Value::Integer(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    pub(crate) fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Number of weights in all tensors.
    pub(crate) fn parameters(&self) -> u64 {
        self.tensors.values().map(|tensor| tensor.shape.iter().product::<usize>() as u64).sum()
    }

    /// The storage type that holds most weights, in ggml's spelling.
    pub(crate) fn quantisation(&self) -> String {
        let mut weights: HashMap<String, usize> = HashMap::new();
        for tensor in self.tensors.values() {
            *weights.entry(format!("{:?}", tensor.dtype)).or_default() +=
                tensor.shape.iter().product::<usize>();
        }
        let most = weights.into_iter().max_by(|(a, x), (b, y)| x.cmp(y).then(b.cmp(a)));
        most.map(|(name, _)| name.replace('K', "_K")).unwrap_or_default()
    }

    /// The bytes of one tensor.
    pub(crate) fn tensor_bytes(&self, tensor: &TensorInfo) -> &[u8] {
        let start = tensor.offset as usize;
        &self.map[start..start + tensor.bytes as usize]
    }

    /// Says that a part of a tensor will not be read again soon.
    pub(crate) fn release(&self, tensor: &TensorInfo, part: std::ops::Range<usize>) {
        let start = tensor.offset as usize;
        self.map.release(start + part.start..start + part.end);
    }

    pub(crate) fn incomplete(&self, what: impl Into<String>) -> Error {
        Error::Incomplete { path: self.path.clone(), what: what.into() }
    }

    pub(crate) fn unsupported(&self, what: impl Into<String>, advice: &'static str) -> Error {
        Error::Unsupported { path: self.path.clone(), what: what.into(), advice }
    }
}

/// A reader that knows where it is and how much there is.
struct Header<'a> {
    path: &'a Path,
    input: BufReader<File>,
    at: u64,
    file_bytes: u64,
}

impl Header<'_> {
    fn read(&mut self) -> Result<Gguf> {
        self.read_magic()?;
        let tensor_count = self.u64("the tensor count")?;
        let metadata_count = self.u64("the metadata count")?;
        if tensor_count > MAX_TENSORS {
            return Err(self.damaged(8, format!("a count of {tensor_count} tensors (at most {MAX_TENSORS})")));
        }
        if metadata_count > MAX_METADATA {
            let what = format!("a count of {metadata_count} metadata entries (at most {MAX_METADATA})");
            return Err(self.damaged(16, what));
        }

        let mut metadata = HashMap::new();
        for _ in 0..metadata_count {
            let at = self.at;
            let key = self.string("a metadata key")?;
            let kind = self.u32(&key)?;
            let value = self.value(&key, kind)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(self.damaged(at, format!("metadata key '{key}' a second time")));
            }
        }
        let alignment = self.alignment(&metadata)?;
        let tensors = self.directory(tensor_count, alignment)?;
        let map = casemate_disk::Map::open(self.path).map_err(std::io::Error::other)?;
        Ok(Gguf { path: self.path.to_owned(), file_bytes: self.file_bytes, metadata, tensors, map })
    }

    fn read_magic(&mut self) -> Result<()> {
        let mut magic = [0; 4];
        let available = self.file_bytes.min(4) as usize;
        self.input.read_exact(&mut magic[..available])?;
        self.at = available as u64;
        if &magic != b"GGUF" {
            return Err(Error::NotGguf { path: self.path.to_owned(), found: magic[..available].to_vec() });
        }
        let version = self.u32("the version")?;
        if !(2..=3).contains(&version) {
            return Err(Error::Unsupported {
                path: self.path.to_owned(),
                what: format!("GGUF version {version:#x}"),
                advice: "versions 2 and 3 (little-endian) are; convert the file again with a current converter",
            });
        }
        Ok(())
    }

    fn alignment(&self, metadata: &HashMap<String, Value>) -> Result<u64> {
        let Some(value) = metadata.get("general.alignment") else { return Ok(DEFAULT_ALIGNMENT) };
        match value {
            Value::Integer(n) if (8..=1 << 16).contains(n) && (*n as u64).is_power_of_two() => Ok(*n as u64),
            _ => Err(self
                .damaged(self.at, format!("general.alignment {value:?} (a power of two from 8 to 65536)"))),
        }
    }

    fn directory(&mut self, count: u64, alignment: u64) -> Result<HashMap<String, TensorInfo>> {
        let mut tensors = HashMap::new();
        for _ in 0..count {
            let at = self.at;
            let name = self.string("a tensor name")?;
            let info = self.tensor_info(&name, alignment)?;
            if tensors.insert(name.clone(), info).is_some() {
                return Err(self.damaged(at, format!("tensor '{name}' a second time")));
            }
        }
        let data_start = self.at.next_multiple_of(alignment);
        let mut extents = Vec::with_capacity(tensors.len());
        for (name, info) in &mut tensors {
            info.offset = info.offset.saturating_add(data_start);
            let end = info.offset.saturating_add(info.bytes);
            if end > self.file_bytes {
                return Err(self.truncated(format!("tensor {name}"), end));
            }
            extents.push((info.offset, end, name));
        }
        // Overlapping tensors would let a small file claim any amount of memory.
        extents.sort_unstable();
        for pair in extents.windows(2) {
            if let [(_, end, first), (start, _, second)] = pair
                && end > start
            {
                return Err(self.damaged(*start, format!("tensor {second} overlapping tensor {first}")));
            }
        }
        Ok(tensors)
    }

    fn tensor_info(&mut self, name: &str, alignment: u64) -> Result<TensorInfo> {
        let at = self.at;
        let dimensions = self.u32(name)?;
        if dimensions == 0 || dimensions > MAX_DIMENSIONS {
            return Err(self.damaged(at, format!("tensor {name} with {dimensions} dimensions")));
        }
        let mut shape = Vec::with_capacity(dimensions as usize);
        let mut elements = 1u64;
        for _ in 0..dimensions {
            let size = self.u64(name)?;
            elements = match elements.checked_mul(size) {
                Some(elements) if size > 0 && elements <= 1 << 48 => elements,
                _ => return Err(self.damaged(at, format!("tensor {name} with a dimension of {size}"))),
            };
            shape.push(size as usize);
        }
        shape.reverse();
        let kind = self.u32(name)?;
        let dtype = dtype(kind).ok_or_else(|| Error::Unsupported {
            path: self.path.to_owned(),
            what: format!("tensor {name} of type {kind} ({})", dtype_name(kind)),
            advice: "use a file quantised as Q4_K_M, Q5_K_M, Q6_K or Q8_0",
        })?;
        let row = shape.last().copied().unwrap_or(1);
        if !row.is_multiple_of(dtype.block_size()) {
            let what =
                format!("tensor {name} with rows of {row} values, no multiple of {}", dtype.block_size());
            return Err(self.damaged(at, what));
        }
        let offset = self.u64(name)?;
        if !offset.is_multiple_of(alignment) {
            return Err(self.damaged(at, format!("tensor {name} at {offset}, no multiple of {alignment}")));
        }
        let bytes = elements / dtype.block_size() as u64 * dtype.type_size() as u64;
        Ok(TensorInfo { shape, dtype, offset, bytes })
    }

    fn value(&mut self, key: &str, kind: u32) -> Result<Value> {
        Ok(match kind {
            6 => Value::Float(f64::from(f32::from_le_bytes(self.bytes(key)?))),
            12 => Value::Float(f64::from_le_bytes(self.bytes(key)?)),
            7 => Value::Bool(self.bytes::<1>(key)? != [0]),
            8 => Value::Text(self.string(key)?),
            9 => self.array(key)?,
            _ => Value::Integer(self.integer(key, kind)?),
        })
    }

    fn integer(&mut self, key: &str, kind: u32) -> Result<i64> {
        Ok(match kind {
            0 => i64::from(u8::from_le_bytes(self.bytes(key)?)),
            1 => i64::from(i8::from_le_bytes(self.bytes(key)?)),
            2 => i64::from(u16::from_le_bytes(self.bytes(key)?)),
            3 => i64::from(i16::from_le_bytes(self.bytes(key)?)),
            4 => i64::from(u32::from_le_bytes(self.bytes(key)?)),
            5 => i64::from(i32::from_le_bytes(self.bytes(key)?)),
            // No count or id in a model file comes near 2^63; one that does is not believed later on.
            10 => i64::try_from(u64::from_le_bytes(self.bytes(key)?)).unwrap_or(i64::MAX),
            11 => i64::from_le_bytes(self.bytes(key)?),
            _ => return Err(self.damaged(self.at, format!("metadata '{key}' of unknown type {kind}"))),
        })
    }

    fn array(&mut self, key: &str) -> Result<Value> {
        let at = self.at;
        let kind = self.u32(key)?;
        let count = self.u64(key)?;
        let width = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            _ => return Err(self.damaged(at, format!("array '{key}' of unknown type {kind}"))),
        };
        let end = count.saturating_mul(width).saturating_add(self.at);
        if end > self.file_bytes {
            return Err(self.truncated(format!("array '{key}' of {count} elements"), end));
        }
        if end > MAX_HEADER_BYTES {
            return Err(self.damaged(at, format!("array '{key}' of {count} elements")));
        }
        Ok(match kind {
            8 => Value::Texts((0..count).map(|_| self.string(key)).collect::<Result<_>>()?),
            6 => Value::Floats(
                (0..count)
                    .map(|_| Ok(f64::from(f32::from_le_bytes(self.bytes(key)?))))
                    .collect::<Result<_>>()?,
            ),
            12 => Value::Floats(
                (0..count).map(|_| Ok(f64::from_le_bytes(self.bytes(key)?))).collect::<Result<_>>()?,
            ),
            7 => Value::Integers((0..count).map(|_| self.integer(key, 0)).collect::<Result<_>>()?),
            _ => Value::Integers((0..count).map(|_| self.integer(key, kind)).collect::<Result<_>>()?),
        })
    }

    fn string(&mut self, what: &str) -> Result<String> {
        let at = self.at;
        let length = self.u64(what)?;
        let end = self.at.saturating_add(length);
        if end > self.file_bytes {
            return Err(self.truncated(format!("a string of {length} bytes ({what})"), end));
        }
        if end > MAX_HEADER_BYTES {
            return Err(self.damaged(at, format!("a string of {length} bytes ({what})")));
        }
        let mut bytes = vec![0; length as usize];
        self.input.read_exact(&mut bytes)?;
        self.at = end;
        String::from_utf8(bytes).map_err(|_| self.damaged(at, format!("a string that is not UTF-8 ({what})")))
    }

    fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.bytes(what)?))
    }

    fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let end = self.at + N as u64;
        if end > self.file_bytes {
            return Err(self.truncated(what.to_owned(), end));
        }
        if end > MAX_HEADER_BYTES {
            return Err(
                self.damaged(self.at, format!("a header of more than {MAX_HEADER_BYTES} bytes ({what})"))
            );
        }
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.at = end;
        Ok(bytes)
    }

    fn truncated(&self, what: String, needed: u64) -> Error {
        Error::Truncated { path: self.path.to_owned(), file_bytes: self.file_bytes, what, needed }
    }

    fn damaged(&self, offset: u64, what: String) -> Error {
        Error::Damaged { path: self.path.to_owned(), offset, what }
    }
}

/// The storage types that candle can compute with, by their number in ggml.h.
fn dtype(kind: u32) -> Option<GgmlDType> {
    Some(match kind {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

fn dtype_name(kind: u32) -> &'static str {
    match kind {
        16..=23 | 29 => "an IQ type",
        34 | 35 => "a ternary type",
        39 => "MXFP4",
        _ => "unknown",
    }
}
