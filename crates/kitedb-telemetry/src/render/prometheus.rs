//! Prometheus' text and OpenMetrics, from the catalogue.

use super::{
    catalogue::{self, BOUNDS, Family, Histogram, Kind, Point, Source, Value},
    label::{DatabaseLabel, labelled},
};
use crate::health::{ExporterHealth, ExporterMetrics};
use crate::setters::setters;
use kitedb_core::Metrics;
use std::fmt::Write;

/// The form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PrometheusFormat {
    /// Prometheus text, version 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl PrometheusFormat {
    /// What to answer a scrape with as its `content-type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Which names are used where the contract's differ from what `promtool` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PrometheusNames {
    /// The contract's.
    #[default]
    Contract,
    /// Names that `promtool check metrics` finds nothing wrong with.
    Linted,
}

/// Options of the text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PrometheusOptions {
    /// The label that tells databases apart.
    pub database: DatabaseLabel,
    /// The form.
    pub format: PrometheusFormat,
    /// The names.
    pub names: PrometheusNames,
    /// Whether whoever serves this text asks for authorization.
    pub auth_enabled: bool,
}

setters!(PrometheusOptions {
    database: DatabaseLabel,
    format: PrometheusFormat,
    names: PrometheusNames,
    auth_enabled: bool,
});

impl PrometheusOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The text of all these databases: each family once, with the points of every database.
pub(super) fn render(all: &[&Metrics], options: &PrometheusOptions) -> String {
    let all = labelled(all, &options.database);
    let exporters: Vec<ExporterMetrics> = all.iter().map(|(of, _)| ExporterHealth::of(&of.path).read()).collect();
    let paths = options.database == DatabaseLabel::Path;
    let sources: Vec<Source<'_>> = all
        .iter()
        .zip(&exporters)
        .map(|((metrics, _), exporter)| Source { metrics, exporter, auth_enabled: options.auth_enabled, paths })
        .collect();
    let mut text = Text { text: String::with_capacity(16 << 10), options };
    for family in catalogue::families() {
        let points: Vec<(Vec<Point>, Option<&str>)> = sources
            .iter()
            .zip(&all)
            .map(|(source, (_, database))| (family.points_of(source), database.as_deref()))
            .filter(|(points, _)| !points.is_empty())
            .collect();
        if !points.is_empty() {
            text.family(family, &points);
        }
    }
    if options.format == PrometheusFormat::OpenMetrics {
        text.text.push_str("# EOF\n");
    }
    text.text
}

struct Text<'a> {
    text: String,
    options: &'a PrometheusOptions,
}

impl Text<'_> {
    fn family(&mut self, family: &Family, points: &[(Vec<Point>, Option<&str>)]) {
        let open = self.options.format == PrometheusFormat::OpenMetrics;
        let sample = match self.options.names {
            PrometheusNames::Contract => family.name,
            PrometheusNames::Linted => family.linted.unwrap_or(family.name),
        };
        // OpenMetrics names a counter without the suffix of its sample.
        let name = if open { sample.strip_suffix("_total").unwrap_or(sample) } else { sample };
        let kind = match family.kind {
            Kind::Gauge => "gauge",
            Kind::Counter(_) => "counter",
            Kind::Histogram(_) => "histogram",
        };
        self.line(format_args!("# HELP {name} {}", escaped(family.help, open)));
        self.line(format_args!("# TYPE {name} {kind}"));
        if let Some(unit) = family.unit.word().filter(|_| open) {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
        for (point, database) in points.iter().flat_map(|(points, database)| points.iter().map(|p| (p, *database))) {
            let labels = Labels { own: &point.labels, le: None, database };
            match &point.value {
                Value::Int(value) => self.line(format_args!("{sample}{labels} {value}")),
                Value::Float(value) => self.line(format_args!("{sample}{labels} {value}")),
                Value::Histogram(histogram) => self.histogram(sample, histogram, &labels),
            }
        }
    }

    fn histogram(&mut self, name: &str, histogram: &Histogram, labels: &Labels<'_>) {
        let open = self.options.format == PrometheusFormat::OpenMetrics;
        let mut cumulative = 0;
        for (bound, count) in BOUNDS.iter().map(|bound| bound.seconds).chain(["+Inf"]).zip(histogram.counts) {
            cumulative += count;
            let le = if open { bound } else { bound.strip_suffix(".0").unwrap_or(bound) };
            let labels = Labels { le: Some(le), ..*labels };
            self.line(format_args!("{name}_bucket{labels} {cumulative}"));
        }
        self.line(format_args!("{name}_sum{labels} {}", histogram.sum));
        self.line(format_args!("{name}_count{labels} {cumulative}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// `{…}` behind a name, or nothing.
#[derive(Clone, Copy)]
struct Labels<'a> {
    own: &'a [(&'static str, String)],
    le: Option<&'a str>,
    database: Option<&'a str>,
}

impl std::fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let own = self.own.iter().map(|(label, value)| (*label, value.as_str()));
        let all = own.chain(self.le.map(|le| ("le", le))).chain(self.database.map(|value| ("database", value)));
        let mut before = "{";
        for (label, value) in all {
            write!(f, "{before}{label}=\"{}\"", escaped(value, true))?;
            before = ",";
        }
        f.write_str(if before == "{" { "" } else { "}" })
    }
}

/// A backslash, the end of a line and, where it stands in quotes, a quote would end a text early.
fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', r"\\").replace('\n', r"\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}
