//! The tables, for the terminal and for `docs/benchmarks.md`.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::{
    contest::{Contest, Outcome, Row, WaitsOfRequest},
    disk,
    loads::{Goal, Load},
    machine,
    measure::{Sample, median, quantile},
};

/// How often the bare disk is timed before the loads.
const FSYNCS: usize = 100;
/// Below this factor a difference may be noise.
const PROVEN: f64 = 1.5;

/// Everything that was measured.
pub(crate) struct Report {
    names: Vec<String>,
    /// What was measured where, as name and value.
    facts: Vec<(&'static str, String)>,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// Looks at the machine before the loads.
    pub(crate) fn begin(contest: &Contest<'_>) -> Result<Self> {
        let fsync = disk::fsync_times(contest.folder, FSYNCS)?;
        let growing = disk::growing_fsync_times(contest.folder, FSYNCS)?;
        let versions: Vec<&str> =
            contest.contenders.iter().map(|contender| contender.version.as_str()).collect();
        let disk = format!(
            "fdatasync after writing over 4 KiB: {} ms (99 %: {} ms); after adding 4 KiB: {} ms",
            figure(median(&fsync)),
            figure(quantile(&fsync, 0.99)),
            figure(median(&growing)),
        );
        Ok(Self {
            names: contest.contenders.iter().map(|contender| contender.name.clone()).collect(),
            facts: vec![
                ("date", machine::date()),
                ("measured", versions.join(", ")),
                ("machine", machine::describe(contest.folder)),
                ("disk", disk),
                ("load average before", machine::load_average()),
                ("figures", format!("medians of {} rounds, servers in turn", contest.rounds)),
            ],
            rows: Vec::new(),
        })
    }

    /// Looks at the machine after the loads.
    pub(crate) fn end(&mut self) {
        self.facts.push(("load average after", machine::load_average()));
    }

    /// What is known so far, a line each.
    pub(crate) fn head(&self) -> String {
        self.facts.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    /// The loads that failed on any server.
    pub(crate) fn failed(&self) -> Vec<&str> {
        let failed = |row: &&Row| row.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_)));
        self.rows.iter().filter(failed).map(|row| row.load.name).collect()
    }

    /// For the terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = aligned(&self.results());
        text.push('\n');
        text.push_str(&aligned(&self.costs()));
        for (row, outcome) in self.rows.iter().flat_map(|row| row.outcomes.iter().map(move |it| (row, it))) {
            if let Outcome::Failed(why) = outcome {
                text.push_str(&format!("{}: {why}\n", row.load.name));
            }
        }
        text
    }

    /// For a document.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.facts {
            text.push_str(&format!("- {name}: {value}\n"));
        }
        text.push_str(&format!("\n{}\n{}", piped(&self.results()), piped(&self.costs())));
        text
    }

    fn results(&self) -> Vec<Vec<String>> {
        let mut head = vec!["load".to_owned()];
        head.extend(self.names.iter().cloned());
        if self.names.len() > 1 {
            head.push("ratio".to_owned());
        }
        head.extend(["goal".to_owned(), "reached".to_owned()]);
        let mut table = vec![head];
        table.extend(self.rows.iter().map(|row| self.result(row)));
        table
    }

    fn result(&self, row: &Row) -> Vec<String> {
        let mut cells = vec![row.load.title.to_owned()];
        cells.extend(row.outcomes.iter().map(|outcome| cell(row.load, outcome)));
        if self.names.len() > 1 {
            cells.push(ratio(row).map_or_else(String::new, ratio_text));
        }
        let value = row.outcomes.first().and_then(value);
        let met = value.and_then(|value| row.load.goal.is_met(value, row.fsync));
        cells.push(goal(row));
        cells.push(met.map_or("", |met| if met { "yes" } else { "no" }).to_owned());
        cells
    }

    fn costs(&self) -> Vec<Vec<String>> {
        let head = [
            "load",
            "server",
            "rounds, least to most",
            "99 % of requests",
            "server CPU a request",
            "bytes written a request",
            "fsyncs a request",
            "other programs' CPU",
        ];
        let mut table = vec![head.map(str::to_owned).to_vec()];
        for row in &self.rows {
            for ((outcome, name), waits) in row.outcomes.iter().zip(&self.names).zip(&row.waits) {
                if let Outcome::Figures(samples) = outcome {
                    table.push(cost(row.load, name, samples, *waits));
                }
            }
        }
        table
    }
}

/// What came of a load, while the others are still to come.
pub(crate) fn one_line(row: &Row) -> String {
    let cells: Vec<String> = row.outcomes.iter().map(|outcome| cell(row.load, outcome)).collect();
    let ratio = ratio(row).map_or_else(String::new, |ratio| format!("   {}", ratio_text(ratio)));
    format!("{}{ratio}   (fdatasync {} ms)", cells.join("   "), figure(row.fsync))
}

fn values(samples: &[Sample]) -> Vec<f64> {
    samples.iter().map(|sample| sample.value).collect()
}

fn value(outcome: &Outcome) -> Option<f64> {
    match outcome {
        Outcome::Figures(samples) => Some(median(&values(samples))),
        Outcome::Absent(_) | Outcome::Failed(_) => None,
    }
}

fn cell(load: &Load, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Figures(samples) => format!("{} {}", figure(median(&values(samples))), load.unit.symbol()),
        Outcome::Absent(reason) => (*reason).to_owned(),
        Outcome::Failed(_) => "failed".to_owned(),
    }
}

fn ratio(row: &Row) -> Option<f64> {
    let [first, second] = row.outcomes.as_slice() else { return None };
    Some(row.load.unit.ratio(value(first)?, value(second)?))
}

fn ratio_text(ratio: f64) -> String {
    if (1.0 / PROVEN..PROVEN).contains(&ratio) {
        format!("{ratio:.1}× (nothing proven)")
    } else if ratio < 1.0 {
        format!("{ratio:.2}×")
    } else {
        format!("{ratio:.1}×")
    }
}

fn goal(row: &Row) -> String {
    let unit = row.load.unit.symbol();
    match row.load.goal {
        Goal::AtMost(most) => format!("≤ {} {unit}", figure(most)),
        Goal::AtLeast(least) => format!("≥ {} {unit}", figure(least)),
        Goal::FsyncAnd(more) => format!("≤ fsync + {more:.0} ms = {} ms", figure(row.fsync + more)),
        Goal::None => String::new(),
    }
}

fn cost(load: &Load, name: &str, samples: &[Sample], waits: Option<WaitsOfRequest>) -> Vec<String> {
    let values = values(samples);
    let requests: usize = samples.iter().map(|sample| sample.requests).sum();
    let latencies: Vec<f64> = samples.iter().flat_map(|sample| sample.latencies.iter().copied()).collect();
    let share = |total: f64| total / requests as f64;
    let total = |of: fn(&super::process::Usage) -> f64| -> Option<f64> {
        let usages: Option<Vec<_>> = samples.iter().map(|sample| sample.cost.server).collect();
        usages.filter(|_| requests > 0).map(|usages| usages.iter().map(of).sum())
    };
    let cpu = total(|usage| usage.cpu.as_secs_f64() * 1000.0);
    let written = total(|usage| usage.written as f64).filter(|written| *written > 0.0);
    let others = samples.iter().map(|sample| sample.cost.others).sum::<f64>() / samples.len().max(1) as f64;
    let optional = |cell: Option<String>| cell.unwrap_or_default();
    vec![
        load.title.to_owned(),
        name.to_owned(),
        format!(
            "{} to {} {}",
            figure(quantile(&values, 0.0)),
            figure(quantile(&values, 1.0)),
            load.unit.symbol()
        ),
        optional((!latencies.is_empty()).then(|| format!("{} ms", figure(quantile(&latencies, 0.99))))),
        optional(cpu.map(|cpu| format!("{} ms", figure(share(cpu))))),
        optional(written.map(|written| format!("{:.0}", share(written)))),
        optional(waits.map(|waits| format!("{:.2} ({} ms)", waits.number, figure(waits.milliseconds)))),
        optional((requests > 0).then(|| format!("{:.0} %", others * 100.0))),
    ]
}

/// A number with three digits that mean something.
fn figure(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 100.0 {
        thousands(value.round() as i64)
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else if magnitude >= 1.0 || magnitude == 0.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn aligned(table: &[Vec<String>]) -> String {
    let columns = table.first().map_or(0, Vec::len);
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in table {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn piped(table: &[Vec<String>]) -> String {
    let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
    let Some((head, rows)) = table.split_first() else { return String::new() };
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    line(head) + &rule + &rows.iter().map(line).collect::<String>()
}

/// Writes tables into a file: between its markers, or as the whole of a file that has none or is new.
pub(crate) fn write_into(file: &Path, section: Option<&str>, tables: &str) -> Result<()> {
    let old = fs::read_to_string(file).unwrap_or_default();
    let new = replaced(&old, section, tables);
    fs::write(file, new).with_context(|| format!("cannot write {}", file.display()))
}

/// The file with the tables between the lines of the section, at its end where it has no such lines.
fn replaced(old: &str, section: Option<&str>, tables: &str) -> String {
    let name = section.map(|name| format!(" {name}")).unwrap_or_default();
    let (begin, end) = (format!("<!-- bench{name} -->"), format!("<!-- /bench{name} -->"));
    let around = old.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = around.unwrap_or((old, "\n"));
    format!("{before}{begin}\n{tables}{end}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        let shown = [0.0123, 0.5, 1.0, 12.34, 99.96, 1234.4, 1_234_567.0].map(figure);
        assert_eq!(shown, ["0.012", "0.500", "1.00", "12.3", "100.0", "1,234", "1,234,567"]);
    }

    #[test]
    fn a_small_factor_proves_nothing_in_either_direction() {
        assert_eq!(ratio_text(1.49), "1.5× (nothing proven)");
        assert_eq!(ratio_text(0.7), "0.7× (nothing proven)");
        assert_eq!(ratio_text(0.25), "0.25×");
        assert_eq!(ratio_text(4.0), "4.0×");
    }

    #[test]
    fn tables_take_the_place_of_older_ones() {
        let first = replaced("# Title\n<!-- bench -->\nold\n<!-- /bench -->\nrest\n", None, "new\n");
        assert_eq!(first, "# Title\n<!-- bench -->\nnew\n<!-- /bench -->\nrest\n");
        assert_eq!(replaced(&first, None, "new\n"), first);
        let second = replaced(&first, Some("sync"), "more\n");
        assert_eq!(second, format!("{first}<!-- bench sync -->\nmore\n<!-- /bench sync -->\n"));
        assert_eq!(replaced(&second, Some("sync"), "more\n"), second);
        assert_eq!(replaced("", None, "new\n"), "<!-- bench -->\nnew\n<!-- /bench -->\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let table = [vec!["a".to_owned(), "b".to_owned()], vec!["ccc".to_owned(), "d".to_owned()]];
        assert_eq!(aligned(&table), "a    b\nccc  d\n");
        assert_eq!(piped(&table), "| a | b |\n|---|---|\n| ccc | d |\n");
    }
}
