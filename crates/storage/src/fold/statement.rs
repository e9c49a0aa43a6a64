//! One macro: a statement is its SQL with its parameters in place.
//!
//! Diesel caches a prepared statement by its type when the text never changes. Its own
//! `sql_query` is never cached, and lists of `IN (?, ?, …)` change with their length; so the hot
//! statements are types of their own, each with arrays (PostgreSQL) or one JSON text (SQLite)
//! as parameters.

/// Defines a statement: `Name for Backend on Connection, returns (SqlTypes): "sql", parameter:
/// SqlType as RustType, "sql", …;`
macro_rules! statement {
    (
        $(#[$documentation:meta])*
        $name:ident for $backend:ty, on $connection:ty, returns $row:ty:
        $first:literal $(, $bind:ident: $sql_type:ty as $rust_type:ty, $after:literal)* ;
    ) => {
        $(#[$documentation])*
        struct $name<'a> {
            $($bind: $rust_type,)*
        }

        impl diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl diesel::query_builder::Query for $name<'_> {
            type SqlType = $row;
        }

        impl diesel::query_builder::QueryFragment<$backend> for $name<'_> {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, $backend>,
            ) -> diesel::result::QueryResult<()> {
                out.push_sql($first);
                $(
                    out.push_bind_param::<$sql_type, _>(&self.$bind)?;
                    out.push_sql($after);
                )*
                Ok(())
            }
        }

        impl diesel::query_dsl::RunQueryDsl<$connection> for $name<'_> {}
    };
}

pub(super) use statement;
