//! Three pictures as SVG: how writing scales, what a sync costs, what a row takes.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::run::Outcomes;

const WRITES: (&str, &str) = ("Rows written per CPU second, by size of the map", "bench-writes.svg");
const WIRE: (&str, &str) = ("Bytes of a sync, by rows changed on each side", "bench-wire.svg");
const MEMORY: (&str, &str) = ("Bytes a row takes, in memory and saved", "bench-memory.svg");

const SIZE: (u32, u32) = (760, 420);
/// How far beyond the last point the axis goes, to have room for the names.
const LEGEND: f64 = 3.0;
const FONT: (&str, i32) = ("sans-serif", 15);
const PEERS: [&str; 7] = ["rejoin", "automerge", "yrs", "loro", "crdts", "iroh-docs", "negentropy"];
/// Told apart by eyes that see few colours (Okabe and Ito); rejoin is black.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(0, 114, 178),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Line = (&'static str, RGBColor, Vec<(f64, f64)>);

/// The picture of a workload: its title and its file beside the page.
pub(crate) fn picture(section: &str) -> Option<(&'static str, &'static str)> {
    match section {
        "W1n" => Some(WRITES),
        "W5" => Some(WIRE),
        "W7" => Some(MEMORY),
        _ => None,
    }
}

/// Draws those for which there is anything to show.
pub(crate) fn draw(outcomes: &Outcomes, folder: &Path) -> Result<(), String> {
    let sizes = [(1e3, "1k rows"), (1e4, "10k rows"), (1e5, "100k rows"), (1e6, "1M rows")];
    let changes = [(10.0, "10 changed"), (100.0, "100 changed"), (1000.0, "1000 changed")];
    let drawn = lines(outcomes, folder, WRITES, ("W1", "rows/s"), &sizes)
        .and_then(|()| lines(outcomes, folder, WIRE, ("W5", "bytes"), &changes))
        .and_then(|()| bars(outcomes, folder));
    drawn.map_err(|error| format!("cannot draw: {error}"))
}

fn lines(
    outcomes: &Outcomes,
    folder: &Path,
    (title, file): (&str, &str),
    (workload, name): (&str, &str),
    cases: &[(f64, &str)],
) -> Result<(), Box<dyn Error>> {
    let of = |peer| {
        let point = |(x, label): &(f64, &str)| {
            Some((*x, outcomes.figure(&format!("{workload} {label}"), peer, name)?))
        };
        cases.iter().filter_map(point).collect::<Vec<_>>()
    };
    let all: Vec<Line> =
        PEERS.into_iter().zip(COLOURS).map(|(peer, colour)| (peer, colour, of(peer))).collect();
    let values = || all.iter().flat_map(|line| line.2.iter().map(|point| point.1));
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let (Some(first), Some(last)) = (cases.first(), cases.last()) else { return Ok(()) };
    if high == 0.0 {
        return Ok(());
    }
    let path = folder.join(file);
    let area = SVGBackend::new(&path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, FONT)
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(80)
        .build_cartesian_2d((first.0..last.0 * LEGEND).log_scale(), (low * 0.8..high * 1.3).log_scale())?;
    chart
        .configure_mesh()
        .x_label_formatter(&|x| crate::goal::human(x.round()))
        .y_label_formatter(&|y| crate::goal::human(*y))
        .light_line_style(WHITE)
        .draw()?;
    for (peer, colour, points) in all.into_iter().filter(|line| !line.2.is_empty()) {
        let width = if peer == "rejoin" { 3 } else { 2 };
        let style = colour.stroke_width(width);
        chart
            .draw_series(LineSeries::new(points, style).point_size(3))?
            .label(peer)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
    area.present()?;
    Ok(())
}

fn bars(outcomes: &Outcomes, folder: &Path) -> Result<(), Box<dyn Error>> {
    let figure = |peer, name| outcomes.figure("W7 100k rows", peer, name);
    let rows: Vec<(&str, Option<f64>, Option<f64>)> =
        ["rejoin, no log", "automerge", "yrs", "loro", "crdts", "iroh-docs"]
            .into_iter()
            .map(|peer| (peer, figure(peer, "heap"), figure(peer, "saved")))
            .filter(|row| row.1.is_some())
            .collect();
    let most = rows.iter().flat_map(|row| [row.1, row.2]).flatten().fold(0.0, f64::max);
    if most == 0.0 {
        return Ok(());
    }
    let path = folder.join(MEMORY.1);
    let area = SVGBackend::new(&path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    area.draw(&Text::new(MEMORY.0, (20, 12), FONT.into_font()))?;
    legend(&area)?;
    for (index, (peer, heap, saved)) in rows.iter().enumerate() {
        let top = 70 + i32::try_from(index)? * 55;
        area.draw(&Text::new(*peer, (20, top + 10), FONT.into_font()))?;
        for (offset, value, colour) in [(0, heap, COLOURS[0]), (20, saved, COLOURS[2])] {
            let Some(value) = value else { continue };
            let right = 140 + (value / most * 520.0) as i32;
            let corners = [(140, top + offset), (right, top + offset + 16)];
            area.draw(&Rectangle::new(corners, colour.filled()))?;
            let words = crate::goal::human(value.round());
            area.draw(&Text::new(words, (right + 6, top + offset), FONT.into_font()))?;
        }
    }
    area.present()?;
    Ok(())
}

fn legend(area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    for (left, words, colour) in [(140, "heap", COLOURS[0]), (240, "saved", COLOURS[2])] {
        area.draw(&Rectangle::new([(left, 42), (left + 16, 56)], colour.filled()))?;
        area.draw(&Text::new(words, (left + 22, 40), FONT.into_font()))?;
    }
    Ok(())
}
