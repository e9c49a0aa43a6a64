//! Messages as CSV: a row is a message in one language, so that a spreadsheet shows all texts.
//!
//! Rows of one message need not stand together, but must agree about its attributes. A message
//! without texts is a row without a language.

use std::{
    collections::{HashMap, hash_map::Entry},
    str::FromStr,
};

use anyhow::{Context, bail};
use csv::{ByteRecord, ReaderBuilder, Writer};
use model::Priority;
use storage::{Attribute, Localization, Message, MessageDraft};

use super::columns::{CSV, check_name, check_template, check_text, unknown};

/// Reads a file.
///
/// # Errors
/// At the first thing that cannot be stored, by line and column.
pub(super) fn read(bytes: &[u8]) -> anyhow::Result<Vec<MessageDraft>> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let mut record = ByteRecord::new();
    if !reader.read_byte_record(&mut record)? {
        bail!("line 1: the header with the columns' names is missing");
    }
    let header = Header::of(&record)?;
    let mut table = Table::default();
    while reader.read_byte_record(&mut record)? {
        let at = record.position().map_or(0, csv::Position::byte);
        let row = Row {
            header: &header,
            record: &record,
        };
        table
            .take(&row, at)
            .map_err(|wrong| wrong.placed(bytes, at))?;
    }
    Ok(table.drafts)
}

/// A file of these messages.
///
/// # Errors
/// None in practice: nothing but memory is written to.
pub(super) fn write<'m>(messages: impl Iterator<Item = &'m Message>) -> anyhow::Result<Vec<u8>> {
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(CSV)?;
    for message in messages {
        let optional = |number: Option<i64>| number.map_or(String::new(), |n| n.to_string());
        let attributes = [
            message.name.clone(),
            optional(message.trigger_event_id.map(i64::from)),
            optional(message.cooldown_ms),
            message.screen.clone(),
            optional(message.expiry_millis),
            message.priority.as_str().to_owned(),
        ];
        let texts = message.localizations.iter();
        let mut texts: Vec<_> = texts
            .map(|text| {
                [
                    text.language.to_string(),
                    text.title.clone(),
                    text.text.clone(),
                ]
            })
            .collect();
        if texts.is_empty() {
            texts.push([const { String::new() }; 3]);
        }
        for text in &texts {
            writer.write_record(attributes.iter().chain(text))?;
        }
    }
    writer.into_inner().context("the rows are incomplete")
}

/// Something that cannot be stored.
struct Wrong {
    column: Option<&'static str>,
    what: String,
    /// Where the row begins that it contradicts.
    contradicts: Option<u64>,
}

impl Wrong {
    fn cell(column: &'static str, what: impl Into<String>) -> Self {
        Self {
            column: Some(column),
            what: what.into(),
            contradicts: None,
        }
    }

    fn placed(self, bytes: &[u8], at: u64) -> anyhow::Error {
        let column = self
            .column
            .map_or(String::new(), |column| format!(", column {column}"));
        let contradicts = self.contradicts.map_or(String::new(), |other| {
            format!(" (see line {})", line(bytes, other))
        });
        anyhow::anyhow!(
            "line {}{column}: {}{contradicts}",
            line(bytes, at),
            self.what
        )
    }
}

/// The line on which the row at `at` begins. The reader's own count is of where the row before
/// ended, which with carriage returns and empty lines is another line.
fn line(bytes: &[u8], at: u64) -> usize {
    let (before, row) = bytes.split_at(usize::try_from(at).unwrap_or(0).min(bytes.len()));
    let skipped = row.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let breaks = before.iter().chain(skipped).filter(|byte| **byte == b'\n');
    breaks.count() + 1
}

/// Which column stands where.
struct Header {
    columns: Vec<&'static str>,
}

impl Header {
    fn of(record: &ByteRecord) -> anyhow::Result<Self> {
        let mut columns: Vec<&'static str> = Vec::new();
        for cell in record {
            let name = String::from_utf8_lossy(cell);
            let name = name.trim();
            let Some(known) = CSV.into_iter().find(|column| *column == name) else {
                bail!("line 1: {}", unknown("column", name, &CSV));
            };
            if columns.contains(&known) {
                bail!("line 1: the column {known} is there twice");
            }
            columns.push(known);
        }
        let has = |column| columns.contains(&column);
        if !has("name") {
            bail!("line 1: the column name is missing");
        }
        if (has("language"), has("title"), has("text")) != (true, true, true)
            && (has("language") || has("title") || has("text"))
        {
            bail!("line 1: of language, title and text all three are needed, or none");
        }
        Ok(Self { columns })
    }
}

/// One row by the names of its columns.
struct Row<'r> {
    header: &'r Header,
    record: &'r ByteRecord,
}

impl Row<'_> {
    /// `None` where the file has no such column.
    fn cell(&self, column: &'static str) -> Result<Option<&str>, Wrong> {
        let mut columns = self.header.columns.iter();
        let Some(place) = columns.position(|known| *known == column) else {
            return Ok(None);
        };
        let cell = self.record.get(place).unwrap_or_default();
        let text = std::str::from_utf8(cell).map_err(|_| Wrong::cell(column, "is not UTF-8"))?;
        check_text(text).map_err(|what| Wrong::cell(column, what))?;
        Ok(Some(text))
    }

    /// A missing column leaves the attribute as it is; an empty cell makes it none.
    fn number<N: FromStr>(&self, column: &'static str) -> Result<Attribute<Option<N>>, Wrong> {
        match self.cell(column)?.map(str::trim) {
            None => Ok(Attribute::Keep),
            Some("") => Ok(Attribute::Set(None)),
            Some(text) => parsed(column, text).map(|number| Attribute::Set(Some(number))),
        }
    }

    fn priority(&self) -> Result<Attribute<Priority>, Wrong> {
        match self.cell("priority")?.map(str::trim) {
            None => Ok(Attribute::Keep),
            Some("") => Ok(Attribute::Set(Priority::default())),
            Some(name) => Priority::from_name(name)
                .map(Attribute::Set)
                .ok_or_else(|| {
                    Wrong::cell("priority", format!("expected normal or high, found {name}"))
                }),
        }
    }

    fn localization(&self) -> Result<Option<Localization>, Wrong> {
        let text = |column| {
            let text = self.cell(column)?.unwrap_or_default();
            check_template(text).map_err(|what| Wrong::cell(column, what))?;
            Ok(text.to_owned())
        };
        let (title, body) = (text("title")?, text("text")?);
        match self.cell("language")?.unwrap_or_default().trim() {
            "" if title.is_empty() && body.is_empty() => Ok(None),
            "" => Err(Wrong::cell(
                "language",
                "a title and text need their language",
            )),
            language => Ok(Some(Localization {
                language: parsed("language", language)?,
                title,
                text: body,
            })),
        }
    }

    fn draft(&self) -> Result<MessageDraft, Wrong> {
        let (found, wanted) = (self.record.len(), self.header.columns.len());
        if found != wanted {
            return Err(Wrong {
                column: None,
                what: format!("has {found} cells, the header has {wanted}"),
                contradicts: None,
            });
        }
        let name = self.cell("name")?.unwrap_or_default().to_owned();
        check_name(&name).map_err(|what| Wrong::cell("name", what))?;
        Ok(MessageDraft {
            name,
            trigger_event_id: self.number("trigger_event_id")?,
            cooldown_ms: self.number("cooldown_ms")?,
            screen: match self.cell("screen")? {
                None => Attribute::Keep,
                Some(screen) => Attribute::Set(screen.to_owned()),
            },
            expiry_millis: self.number("expiry_ms")?,
            priority: self.priority()?,
            localizations: self.localization()?.into_iter().collect(),
        })
    }
}

fn parsed<N: FromStr>(column: &'static str, text: &str) -> Result<N, Wrong> {
    text.parse().map_err(|_| {
        Wrong::cell(
            column,
            format!("expected a whole number in range, found {text}"),
        )
    })
}

/// What the rows so far make.
#[derive(Default)]
struct Table {
    drafts: Vec<MessageDraft>,
    /// For each name its place among the drafts, and where its first row begins.
    places: HashMap<String, (usize, u64)>,
    /// Where the row of each message in each language begins.
    texts: HashMap<(usize, i16), u64>,
}

impl Table {
    fn take(&mut self, row: &Row<'_>, at: u64) -> Result<(), Wrong> {
        let mut draft = row.draft()?;
        let texts = std::mem::take(&mut draft.localizations);
        let next = self.drafts.len();
        let (place, first_at) = *self.places.entry(draft.name.clone()).or_insert((next, at));
        match self.drafts.get(place) {
            None => self.drafts.push(draft),
            Some(first) => agree(first, &draft, first_at)?,
        }
        for text in texts {
            match self.texts.entry((place, text.language)) {
                Entry::Occupied(earlier) => {
                    return Err(Wrong {
                        contradicts: Some(*earlier.get()),
                        ..Wrong::cell(
                            "language",
                            "the message has a text in this language already",
                        )
                    });
                }
                Entry::Vacant(new) => new.insert(at),
            };
            self.drafts[place].localizations.push(text);
        }
        Ok(())
    }
}

/// Whether a message's rows say the same of it.
fn agree(first: &MessageDraft, other: &MessageDraft, first_at: u64) -> Result<(), Wrong> {
    let same = [
        (
            "trigger_event_id",
            first.trigger_event_id == other.trigger_event_id,
        ),
        ("cooldown_ms", first.cooldown_ms == other.cooldown_ms),
        ("screen", first.screen == other.screen),
        ("expiry_ms", first.expiry_millis == other.expiry_millis),
        ("priority", first.priority == other.priority),
    ];
    match same.into_iter().find(|(_, is_same)| !is_same) {
        None => Ok(()),
        Some((column, _)) => Err(Wrong {
            contradicts: Some(first_at),
            ..Wrong::cell(column, "is not what the message's first row says")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &[u8]) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_named_by_line_and_column() {
        let header = "name,trigger_event_id,cooldown_ms,priority,language,title,text";
        for (rows, complaint) in [
            (",,,,,,", "line 2, column name: a message needs a name"),
            (
                "m,ten,,,,,",
                "line 2, column trigger_event_id: expected a whole number in range, found ten",
            ),
            (
                "m,3000000000,,,,,",
                "line 2, column trigger_event_id: expected a whole number in range, found 3000000000",
            ),
            (
                "m,,,urgent,,,",
                "line 2, column priority: expected normal or high, found urgent",
            ),
            (
                "m,,,,,T,",
                "line 2, column language: a title and text need their language",
            ),
            (
                "m,,,,1,\0,",
                "line 2, column title: a zero byte cannot be stored",
            ),
            ("m,,", "line 2: has 3 cells, the header has 7"),
            (
                "m,1,,,1,T,t\nn,,,,1,T,t\nm,2,,,2,T,t",
                "line 4, column trigger_event_id: is not what the message's first row says (see line 2)",
            ),
            (
                "n,,,,1,T,t\nm,,,,1,T,t\nm,,,,1,U,u",
                "line 4, column language: the message has a text in this language already (see line 3)",
            ),
        ] {
            assert_eq!(refused(format!("{header}\n{rows}\n").as_bytes()), complaint);
        }
        let title = refused(b"name,language,title,text\nm,1,{a b},t");
        assert!(title.starts_with("line 2, column title: the brace at character 1 opens"));
        let text = refused(b"name,language,title,text\nm,1,T,\xff");
        assert_eq!(text, "line 2, column text: is not UTF-8");
    }

    #[test]
    fn lines_are_counted_through_line_ends_of_all_kinds() {
        for (rows, line) in [
            ("a,1\nb,x\n", 3),
            ("a,1\r\nb,x\r\n", 3),
            ("\n\na,1\n\n\nb,x", 7),
            ("\"a\n\nc\",1\r\n\r\nb,x", 6),
        ] {
            let file = format!("name,cooldown_ms\n{rows}");
            let complaint = format!("line {line}, column cooldown_ms");
            assert!(refused(file.as_bytes()).starts_with(&complaint), "{rows:?}");
        }
    }

    #[test]
    fn a_header_names_known_columns_each_once() {
        for (header, complaint) in [
            ("", "line 1: the header with the columns' names is missing"),
            ("screen", "line 1: the column name is missing"),
            ("name,name", "line 1: the column name is there twice"),
            (
                "name,title",
                "line 1: of language, title and text all three are needed, or none",
            ),
        ] {
            assert_eq!(refused(header.as_bytes()), complaint);
        }
        let unknown = refused(b"name,prioritty\n");
        assert!(
            unknown.starts_with(
                "line 1: unknown column prioritty, did you mean priority? (there are name,"
            ),
            "{unknown}"
        );
    }

    #[test]
    fn a_missing_column_keeps_and_an_empty_cell_clears() {
        let drafts = read(b"text,name,title,language,cooldown_ms,screen\nt,m,T, 1 ,,\nu,m,U,2,,\n");
        let drafts = drafts.unwrap();
        assert_eq!(drafts.len(), 1);
        assert_eq!(drafts[0].trigger_event_id, Attribute::Keep);
        assert_eq!(drafts[0].cooldown_ms, Attribute::Set(None));
        assert_eq!(drafts[0].screen, Attribute::Set(String::new()));
        let languages: Vec<_> = drafts[0]
            .localizations
            .iter()
            .map(|text| text.language)
            .collect();
        assert_eq!(languages, [1, 2]);
    }
}
