//! A read model in SQLite: tasks as a table that SQL can search, and how many are open for each person.
//!
//! The totals are kept by differences, which is right only if each change is taken exactly once. So what a page of the feed
//! says and the place behind it are one transaction of SQLite.

use rejoin::{Changed, Cursor, Error, Projection};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

/// What the map `tasks` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) owner: String,
    pub(crate) done: bool,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS tasks (id TEXT PRIMARY KEY, owner TEXT NOT NULL, done INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS totals (owner TEXT PRIMARY KEY, open INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS place (only INTEGER PRIMARY KEY CHECK (only = 1), cursor TEXT, begun INTEGER NOT NULL);
    INSERT OR IGNORE INTO place VALUES (1, NULL, 0);
";

/// The model, in a database of its own.
pub(crate) struct Tasks(Connection);

/// What can go wrong with it.
#[derive(Debug)]
pub(crate) enum Wrong {
    Space(Error),
    Database(rusqlite::Error),
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::Space(error)
    }
}

impl From<rusqlite::Error> for Wrong {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Space(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Wrong {}

impl Tasks {
    pub(crate) fn open(database: Connection) -> Result<Self, Wrong> {
        database.execute_batch(SCHEMA)?;
        Ok(Self(database))
    }

    /// How many tasks are open, by owner; those with none are left out.
    pub(crate) fn open_by_owner(&self) -> Result<Vec<(String, i64)>, Wrong> {
        let mut query = self.0.prepare("SELECT owner, open FROM totals WHERE open <> 0 ORDER BY owner")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All tasks, in order of their names.
    pub(crate) fn all(&self) -> Result<Vec<(String, Task)>, Wrong> {
        let mut query = self.0.prepare("SELECT id, owner, done FROM tasks ORDER BY id")?;
        let rows =
            query.query_map([], |row| Ok((row.get(0)?, Task { owner: row.get(1)?, done: row.get(2)? })))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How often it had to begin anew.
    pub(crate) fn begun(&self) -> Result<i64, Wrong> {
        Ok(self.0.query_row("SELECT begun FROM place", [], |row| row.get(0))?)
    }
}

fn count(transaction: &Transaction<'_>, task: &Task, by: i64) -> Result<(), Wrong> {
    let sql = "INSERT INTO totals VALUES (?1, ?2) ON CONFLICT (owner) DO UPDATE SET open = open + ?2";
    transaction.execute(sql, params![task.owner, if task.done { 0 } else { by }])?;
    Ok(())
}

impl Projection for Tasks {
    type Error = Wrong;

    fn cursor(&mut self) -> Result<Option<Cursor>, Wrong> {
        let text: Option<String> =
            self.0.query_row("SELECT cursor FROM place", [], |row| row.get(0)).optional()?.flatten();
        Ok(text.and_then(|text| text.parse().ok()))
    }

    fn clear(&mut self) -> Result<(), Wrong> {
        let transaction = self.0.transaction()?;
        transaction.execute_batch(
            "DELETE FROM tasks; DELETE FROM totals; UPDATE place SET cursor = NULL, begun = begun + 1;",
        )?;
        Ok(transaction.commit()?)
    }

    fn apply(&mut self, changes: &[Changed], cursor: Option<Cursor>) -> Result<(), Wrong> {
        let transaction = self.0.transaction()?;
        for change in changes {
            let id: Option<String> = change.read_key()?;
            if let Some(before) = &change.before {
                count(&transaction, &before.read()?, -1)?;
                transaction.execute("DELETE FROM tasks WHERE id = ?1", [&id])?;
            }
            if let Some(after) = &change.after {
                let task: Task = after.read()?;
                count(&transaction, &task, 1)?;
                transaction
                    .execute("INSERT INTO tasks VALUES (?1, ?2, ?3)", params![id, task.owner, task.done])?;
            }
        }
        transaction.execute("UPDATE place SET cursor = ?1", [cursor.map(|cursor| cursor.to_string())])?;
        Ok(transaction.commit()?)
    }
}
