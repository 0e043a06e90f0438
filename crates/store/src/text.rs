//! Which events contain these words, names and times? The tantivy index, derived from the log.

use crate::directory::SummedDirectory;
use crate::guard::guarded;
use crate::query::{Order, Query, compile};
use crate::{Error, Result};
use casemate_disk::Mark;
use casemate_event::{Class, Entity, EntityKind, Event};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tantivy::collector::sort_key::{SortBySimilarityScore, SortByStaticFastValue};
use tantivy::collector::{Count, TopDocs};
use tantivy::schema::{
    DateOptions, DateTimePrecision, FAST, Field, INDEXED, IndexRecordOption, JsonObjectOptions, OwnedValue,
    Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{LowerCaser, RemoveLongFilter, SimpleTokenizer, TextAnalyzer, TokenizerManager};
use tantivy::{DateTime, DocAddress, Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument};

mod exact;
use exact::ExactTokenizer;

/// Memory for documents on their way into a segment.
const WRITER_BYTES: usize = 128 << 20;
const WRITER_THREADS: usize = 2;
/// Longer words (encoded blobs) are not indexed; hashes are shorter.
const MAX_WORD: usize = 256;

/// Fields of the schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    id: Field,
    pub(crate) time: Field,
    pub(crate) message: Field,
    /// Names of entities, as words.
    pub(crate) name: Field,
    host: Field,
    user: Field,
    ip: Field,
    process: Field,
    pub(crate) entity: Field,
    format: Field,
    pub(crate) class: Field,
    pub(crate) template: Field,
    fields: Field,
}

/// The text index.
pub(crate) struct TextIndex {
    path: PathBuf,
    index: Index,
    reader: IndexReader,
    fields: Fields,
    writer: Mutex<Writer>,
}

#[derive(Default)]
struct Writer {
    /// Opened with the first event: a process that only reads needs none.
    inner: Option<IndexWriter>,
    /// What has been added, committed or not.
    added: Option<Mark>,
    dirty: bool,
}

impl TextIndex {
    /// Opens the index and verifies every file of it; what is damaged or of another schema is started anew.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        match Self::try_open(path) {
            Ok(index) => Ok(index),
            Err(error) if is_refusal(&error) => Err(text_error("open", path, error)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "text index is damaged; rebuilding it from the log");
                Self::create_anew(path)
            }
        }
    }

    /// Removes what is there and starts an empty index.
    pub(crate) fn create_anew(path: &Path) -> Result<Self> {
        if let Err(error) = fs_err::remove_dir_all(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(text_error("remove damaged", path, error.into()));
        }
        Self::try_open(path).map_err(|error| text_error("create", path, error))
    }

    fn try_open(path: &Path) -> tantivy::Result<Self> {
        let inconsistent =
            || tantivy::TantivyError::InternalError("its structure is inconsistent".to_owned());
        guarded(|| Self::open_and_verify(path)).ok_or_else(inconsistent)?
    }

    fn open_and_verify(path: &Path) -> tantivy::Result<Self> {
        fs_err::create_dir_all(path)?;
        let directory = SummedDirectory::open(path)?;
        let (schema, fields) = schema();
        let mut index = Index::open_or_create(directory, schema)?;
        index.set_tokenizers(tokenizers());
        if let Some(file) = index.validate_checksum()?.into_iter().next() {
            let what = format!("{} does not match its checksum", file.display());
            return Err(tantivy::TantivyError::InternalError(what));
        }
        let payload = index.load_metas()?.payload;
        let added = match payload.map(|text| text.parse()) {
            Some(Ok(mark)) => Some(mark),
            None => None,
            Some(Err(what)) => return Err(tantivy::TantivyError::InternalError(what)),
        };
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let writer = Mutex::new(Writer { inner: None, added, dirty: false });
        Ok(Self { path: path.to_owned(), index, reader, fields, writer })
    }

    /// How much of the log has been added; `None` if nothing has.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.writer().added
    }

    /// Number of events that searches see.
    pub(crate) fn committed_events(&self) -> u64 {
        self.reader.searcher().num_docs()
    }

    /// Adds the events of one frame; searches see them after [`commit`](Self::commit). After an error the
    /// index is behind the log until the frame has been added again.
    pub(crate) fn add(&self, first_id: u64, events: &[Event], mark: Mark) -> Result<()> {
        let mut writer = self.writer();
        let writer = &mut *writer;
        let result = self.add_all(writer, first_id, events);
        match result {
            Ok(()) => {
                writer.added = Some(mark);
                writer.dirty = true;
                Ok(())
            }
            Err(error) => {
                self.go_back(writer);
                Err(text_error("add to", &self.path, error))
            }
        }
    }

    /// Makes what was added durable and visible to searches. After an error the index is behind the log.
    pub(crate) fn commit(&self) -> Result<()> {
        let mut writer = self.writer();
        if !writer.dirty {
            return Ok(());
        }
        let added = writer.added;
        let commit = |inner: &mut Option<IndexWriter>| -> tantivy::Result<()> {
            let Some(inner) = inner else { return Ok(()) };
            let mut prepared = inner.prepare_commit()?;
            if let Some(mark) = added {
                prepared.set_payload(&mark.to_string());
            }
            prepared.commit()?;
            self.reader.reload()
        };
        let result = commit(&mut writer.inner);
        writer.dirty = false;
        if result.is_err() {
            self.go_back(&mut writer);
        }
        result.map_err(|error| text_error("commit", &self.path, error))
    }

    /// After a failure it is unknown what was added since the last commit: forgets all of that.
    fn go_back(&self, writer: &mut Writer) {
        let committed = self.index.load_metas().ok().and_then(|meta| meta.payload?.parse().ok());
        *writer = Writer { inner: None, added: committed, dirty: false };
    }

    /// Total number of matches, and the numbers of the first ones.
    pub(crate) fn search(&self, query: &Query) -> Result<(u64, Vec<u64>)> {
        let compiled = compile(query, &self.index, &self.fields)?;
        let searcher = self.reader.searcher();
        let failed = |error| text_error("search", &self.path, error);
        let limit = query.limit.min(usize::try_from(searcher.num_docs()).unwrap_or(usize::MAX));
        if limit == 0 {
            let total = searcher.search(&compiled, &Count).map_err(failed)?;
            return Ok((total as u64, Vec::new()));
        }
        let top = TopDocs::with_limit(limit);
        let by_id = (SortByStaticFastValue::<u64>::for_field("id"), tantivy::Order::Asc);
        let by_time = |order| (SortByStaticFastValue::<DateTime>::for_field("time"), order);
        match query.order {
            Order::OldestFirst => {
                let top = top.order_by((by_time(tantivy::Order::Asc), by_id));
                searcher.search(&compiled, &(Count, top)).map(ids).map_err(failed)
            }
            Order::NewestFirst => {
                let top = top.order_by((by_time(tantivy::Order::Desc), by_id));
                searcher.search(&compiled, &(Count, top)).map(ids).map_err(failed)
            }
            Order::Relevance => {
                let by_score = (SortBySimilarityScore, tantivy::Order::Desc);
                let top = top.order_by((by_score, by_id));
                searcher.search(&compiled, &(Count, top)).map(ids).map_err(failed)
            }
        }
    }

    fn add_all(&self, writer: &mut Writer, first_id: u64, events: &[Event]) -> tantivy::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let inner = match &mut writer.inner {
            Some(inner) => inner,
            none => none.insert(self.index.writer_with_num_threads(WRITER_THREADS, WRITER_BYTES)?),
        };
        for (id, event) in (first_id..).zip(events) {
            inner.add_document(self.fields.document(id, event))?;
        }
        Ok(())
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a collector returns that sorts by something and then by number.
type Sorted<T> = Vec<((T, Option<u64>), DocAddress)>;

fn ids<T>((total, hits): (usize, Sorted<T>)) -> (u64, Vec<u64>) {
    (total as u64, hits.into_iter().filter_map(|((_, id), _)| id).collect())
}

impl Fields {
    fn document(&self, id: u64, event: &Event) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_u64(self.id, id);
        document.add_date(self.time, date(event.time));
        document.add_text(self.message, &event.message);
        for entity in event.entities() {
            document.add_text(self.name, &entity.value);
            document.add_text(self.entity, entity.to_string());
            if let Some(field) = self.entity_field(&entity) {
                document.add_text(field, &entity.value);
            }
        }
        document.add_text(self.format, event.format.name());
        document.add_text(self.class, event.class.uid().to_string());
        document.add_text(self.class, class_name(event.class));
        document.add_text(self.template, event.template.to_string());
        let fields = event.fields.iter();
        let object =
            fields.map(|(name, value)| (name.to_owned(), OwnedValue::Str(value.to_owned()))).collect();
        document.add_object(self.fields, object);
        document
    }

    fn entity_field(&self, entity: &Entity) -> Option<Field> {
        match entity.kind {
            EntityKind::Host => Some(self.host),
            EntityKind::User => Some(self.user),
            EntityKind::Ip => Some(self.ip),
            EntityKind::Process => Some(self.process),
            _ => None,
        }
    }
}

/// Name of a class as in JSON.
fn class_name(class: Class) -> String {
    match serde_json::to_value(class) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// Nanoseconds since 1970; times before 1677 and after 2262 count as those years' ends.
pub(crate) fn date(time: Timestamp) -> DateTime {
    let nanoseconds = time.as_nanosecond().clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    DateTime::from_timestamp_nanos(nanoseconds as i64)
}

fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let words = TextFieldIndexing::default()
        .set_tokenizer("words")
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let exact = |tokenizer: &str| {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(tokenizer)
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        TextOptions::default().set_indexing_options(indexing)
    };
    let text = TextOptions::default().set_indexing_options(words.clone());
    let time = DateOptions::default().set_fast().set_indexed().set_precision(DateTimePrecision::Nanoseconds);
    let paths = JsonObjectOptions::default().set_indexing_options(words).set_expand_dots_enabled();
    let fields = Fields {
        id: builder.add_u64_field("id", FAST | INDEXED),
        time: builder.add_date_field("time", time),
        message: builder.add_text_field("message", text.clone()),
        name: builder.add_text_field("name", text),
        host: builder.add_text_field("host", exact("host")),
        user: builder.add_text_field("user", exact("user")),
        ip: builder.add_text_field("ip", exact("exact")),
        process: builder.add_text_field("process", exact("exact")),
        entity: builder.add_text_field("entity", exact("exact")),
        format: builder.add_text_field("format", exact("exact")),
        class: builder.add_text_field("class", exact("exact")),
        template: builder.add_text_field("template", exact("exact")),
        fields: builder.add_json_field("fields", paths),
    };
    (builder.build(), fields)
}

fn tokenizers() -> TokenizerManager {
    let words = TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(MAX_WORD))
        .filter(LowerCaser)
        .build();
    let tokenizers = TokenizerManager::default();
    tokenizers.register("words", words);
    tokenizers.register("exact", ExactTokenizer::new(None));
    tokenizers.register("host", ExactTokenizer::new(Some(EntityKind::Host)));
    tokenizers.register("user", ExactTokenizer::new(Some(EntityKind::User)));
    tokenizers
}

/// Whether the system refused, so that rebuilding would not help.
fn is_refusal(error: &tantivy::TantivyError) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    let kind = match error {
        tantivy::TantivyError::IoError(error) => error.kind(),
        tantivy::TantivyError::LockFailure(..) => return true,
        _ => return false,
    };
    matches!(kind, PermissionDenied | ReadOnlyFilesystem | StorageFull)
}

fn text_error(action: &'static str, path: &Path, error: tantivy::TantivyError) -> Error {
    Error::Text { action, path: path.to_owned(), source: Box::new(error) }
}
