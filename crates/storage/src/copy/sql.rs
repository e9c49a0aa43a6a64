//! The statements of a copy. A row is a JSON array of its columns, times as microseconds since
//! 1970, so it is the same text whichever database it comes from.

use super::tables::{Column, Kind, Table};

/// How many rows there are.
pub(super) fn count(table: &Table) -> String {
    format!("SELECT count(*) AS number FROM {}", table.name)
}

/// Whether there are any beside what the schema brings itself.
pub(super) fn has_rows(table: &Table) -> String {
    let name = table.name;
    let own = table
        .born_with
        .map_or_else(String::new, |row| format!("WHERE NOT ({row}) "));
    format!("SELECT count(*) AS number FROM (SELECT 1 FROM {name} {own}LIMIT 1) AS one")
}

/// Makes room for the source's row in place of the one that the schema brought.
pub(super) fn clear(table: &Table) -> Option<String> {
    let row = table.born_with?;
    Some(format!("DELETE FROM {} WHERE {row}", table.name))
}

fn select(table: &Table, row: &str, after: Option<&str>, limit: usize) -> String {
    let key = table.key.join(", ");
    let from = after.map_or_else(String::new, |after| format!("WHERE ({key}) > ({after}) "));
    let name = table.name;
    format!("SELECT {row} AS line FROM {name} {from}ORDER BY {key} LIMIT {limit}")
}

fn joined(columns: &[Column], text_of: impl Fn((usize, &Column)) -> String) -> String {
    let texts: Vec<String> = columns.iter().enumerate().map(text_of).collect();
    texts.join(", ")
}

fn names(table: &Table) -> String {
    joined(table.columns, |(_, column)| column.name.to_owned())
}

/// SQLite's.
pub(super) mod sqlite {
    use super::{Column, Kind, Table, joined, names};

    /// Rows behind a key, in the order of keys. A time that is none stays a text, which the other
    /// side does not take: as NULL, it would bring a dead token back to life.
    pub(in crate::copy) fn read(table: &Table, after: Option<&str>, limit: usize) -> String {
        let columns = joined(table.columns, |(_, Column { name, kind })| match kind {
            Kind::Number(_) | Kind::Text => (*name).to_owned(),
            Kind::Numbers => format!("json({name})"),
            Kind::Time => format!(
                "COALESCE(unixepoch(substr({name}, 1, 19)) * 1000000 \
                 + CAST(substr(substr({name}, 21) || '000000', 1, 6) AS INTEGER), {name})"
            ),
        });
        super::select(table, &format!("json_array({columns})"), after, limit)
    }

    /// Inserts the rows of a JSON array of rows.
    pub(in crate::copy) fn write(table: &Table) -> String {
        let values = joined(table.columns, |(place, column)| {
            let value = format!("(value ->> {place})");
            if column.kind != Kind::Time {
                return value;
            }
            // The remainder of a time before 1970 would be negative.
            let fraction = format!("(({value} % 1000000 + 1000000) % 1000000)");
            format!(
                "strftime('%Y-%m-%d %H:%M:%S', ({value} - {fraction}) / 1000000, 'unixepoch') \
                 || printf('.%06d', {fraction})"
            )
        });
        let (name, names) = (table.name, names(table));
        format!("INSERT INTO {name} ({names}) SELECT {values} FROM json_each($1) ORDER BY key")
    }

    /// The highest id that was ever given out, as far as that is known.
    pub(in crate::copy) fn highest_id(table: &Table) -> String {
        let name = table.name;
        format!(
            "SELECT max(COALESCE((SELECT max(id) FROM {name}), 0), \
                        COALESCE((SELECT seq FROM sqlite_sequence WHERE name = '{name}'), 0)) AS number"
        )
    }

    /// Tables that are not AUTOINCREMENT give out the highest id there is, plus one.
    pub(in crate::copy) fn set_highest_id(table: &Table, id: i64) -> [String; 2] {
        let name = table.name;
        [
            format!("DELETE FROM sqlite_sequence WHERE name = '{name}'"),
            format!(
                "INSERT INTO sqlite_sequence (name, seq) SELECT name, {id} FROM sqlite_master \
                 WHERE name = '{name}' AND sql LIKE '%AUTOINCREMENT%'"
            ),
        ]
    }
}

/// PostgreSQL's.
pub(super) mod postgres {
    use super::{Column, Kind, Table, joined, names};

    fn number_of_time(time: &str) -> String {
        format!("(extract(epoch FROM {time}::timestamptz) * 1000000)::int8")
    }

    /// Two exact products: one of so many microseconds would be rounded.
    fn time_of_number(number: &str) -> String {
        format!(
            "(timestamptz 'epoch' + {number} / 1000000 * interval '1 second' \
              + {number} % 1000000 * interval '1 microsecond')::timestamp"
        )
    }

    /// Rows behind a key, in the order of keys.
    pub(in crate::copy) fn read(table: &Table, after: Option<&str>, limit: usize) -> String {
        let columns = joined(table.columns, |(_, Column { name, kind })| match kind {
            Kind::Number(_) | Kind::Text => (*name).to_owned(),
            Kind::Numbers => format!("to_json({name})"),
            Kind::Time => number_of_time(name),
        });
        let row = format!("json_build_array({columns})::text");
        super::select(table, &row, after, limit)
    }

    /// Inserts the rows of a JSON array of rows.
    pub(in crate::copy) fn write(table: &Table) -> String {
        let values = joined(table.columns, |(place, column)| {
            let text = format!("(line ->> {place})");
            match column.kind {
                Kind::Number(name) => format!("{text}::{name}"),
                Kind::Text => text,
                Kind::Time => time_of_number(&format!("{text}::int8")),
                Kind::Numbers => format!(
                    "CASE WHEN {text} IS NOT NULL THEN ARRAY( \
                         SELECT number::int4 FROM json_array_elements_text(line -> {place}) \
                             WITH ORDINALITY AS list (number, place) ORDER BY list.place) END"
                ),
            }
        });
        let (name, names) = (table.name, names(table));
        format!(
            "INSERT INTO {name} ({names}) \
             SELECT {values} FROM json_array_elements($1::json) WITH ORDINALITY AS lines (line, place) \
             ORDER BY lines.place"
        )
    }

    /// The rows of a JSON array of rows with the times that PostgreSQL makes of theirs; it writes
    /// nothing.
    pub(in crate::copy) fn as_kept(table: &Table) -> String {
        let values = joined(table.columns, |(place, column)| match column.kind {
            Kind::Number(_) | Kind::Text | Kind::Numbers => format!("line -> {place}"),
            Kind::Time => number_of_time(&time_of_number(&format!("(line ->> {place})::int8"))),
        });
        format!(
            "SELECT json_build_array({values})::text AS line \
             FROM json_array_elements($1::json) WITH ORDINALITY AS lines (line, place) \
             ORDER BY lines.place"
        )
    }

    /// The highest id that was ever given out, as far as that is known.
    pub(in crate::copy) fn highest_id(table: &Table) -> String {
        let name = table.name;
        format!(
            "SELECT greatest((SELECT max(id) FROM {name})::int8, \
                             pg_sequence_last_value(pg_get_serial_sequence('{name}', 'id')::regclass), \
                             0) AS number"
        )
    }

    /// A sequence cannot stand before its first number.
    pub(in crate::copy) fn set_highest_id(table: &Table, id: i64) -> String {
        let (name, first, is_used) = (table.name, id.max(1), id > 0);
        format!(
            "SELECT setval(pg_get_serial_sequence('{name}', 'id'), {first}, {is_used}) AS number"
        )
    }
}
