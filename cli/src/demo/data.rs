//! The data set of the demo: airports as published, see examples/data/README.md.

use std::io::Read;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

/// Within the program, so that the demo runs from anywhere.
const FILE: &[u8] = include_bytes!("../../../examples/data/airports.tsv.lz4");
const COLUMNS: [&str; 8] = ["icao", "name", "city", "subd", "country", "elevation", "lat", "lon"];
/// Columns from here on are numbers.
const NUMBERS: usize = 5;

/// One row as it goes into the map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Airport {
    pub(super) key: String,
    pub(super) value: Map<String, Value>,
}

/// The first `most` airports.
pub(super) fn airports(most: usize) -> Result<Vec<Airport>> {
    let mut text = String::new();
    lz4_flex::frame::FrameDecoder::new(FILE)
        .read_to_string(&mut text)
        .context("the data set within this program is damaged; build it again")?;
    let mut lines = text.lines();
    ensure!(lines.next() == Some(&COLUMNS.join("\t")), "the data set has other columns than this program");
    lines.take(most).map(airport).collect()
}

fn airport(line: &str) -> Result<Airport> {
    let fields: Vec<&str> = line.split('\t').collect();
    ensure!(fields.len() == COLUMNS.len(), "a row of the data set has {} columns: {line}", fields.len());
    let mut value = Map::new();
    for (index, (column, field)) in COLUMNS.iter().zip(&fields).enumerate().skip(1) {
        let field = match index >= NUMBERS {
            true => serde_json::from_str(field).with_context(|| format!("{column} of {}", fields[0]))?,
            false => Value::from(*field),
        };
        value.insert((*column).to_owned(), field);
    }
    Ok(Airport { key: fields[0].to_owned(), value })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_whole_set_decodes() {
        let rows = airports(usize::MAX).unwrap();
        assert_eq!(rows.len(), 15_719);
        let keys: BTreeSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        assert_eq!(keys.len(), rows.len(), "a key occurs twice");
        for row in &rows {
            let bytes = row.key.len() + Value::from(row.value.clone()).to_string().len();
            assert!((48..=240).contains(&bytes), "{} has {bytes} bytes", row.key);
        }
    }

    #[test]
    fn a_row_is_as_published() {
        let rows = airports(usize::MAX).unwrap();
        let zurich = rows.iter().find(|row| row.key == "LSZH").unwrap();
        assert_eq!(zurich.value["country"], "CH");
        assert_eq!(zurich.value["elevation"], 1416);
        assert_eq!(airports(3).unwrap(), rows[..3]);
    }

    #[test]
    fn a_broken_row_is_refused() {
        assert!(airport("LSZH\tonly two").is_err());
        assert!(airport("LSZH\ta\tb\tc\tCH\thigh\t1\t2").is_err());
    }
}
