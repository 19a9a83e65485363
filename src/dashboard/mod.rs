//! Dashboards: files beside scripts that say which queries a page shows, and how.
//!
//! ```toml
//! title = "Car parks"
//! refresh = 5                       # seconds between two looks
//! time = "TS"                       # what the range of time is about, in milliseconds
//!
//! [[filters]]                       # what panels share: {{source}} in their SQL becomes a condition
//! name = "source"
//! column = "SOURCE"
//! options = "SELECT SOURCE FROM SOURCE_COUNTS"
//!
//! [[panels]]
//! title = "Where is room"
//! kind = "map"                      # number | table | line | bars | stacked | heat | map
//! sql = "SELECT NAME, LOCATION, EMPTY_PLACES FROM CARPARK_OCCUPANCY WHERE {{source}}"
//! name = "NAME"
//! place = "LOCATION"                # a STRUCT of lat and lon; or two columns, lat = and lon =
//! size = "EMPTY_PLACES"
//! ```
//! A file is read and checked here ([`Dashboard::load`]), its queries are bound against what runs
//! ([`check`]), and the page `/dashboards/NAME` asks them by the REST interface as anybody could.

mod check;

use crate::error::{Error, Result, Span, reason};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

pub use check::problems;

/// What may stand in a GeoJSON outline; it is sent whole to each page.
const OUTLINE_BYTES_MAX: u64 = 4 << 20;

/// A page of panels.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// In its address; the file's name up to `.dashboard.toml`.
    #[serde(skip_deserializing)]
    pub name: String,
    #[serde(default)]
    pub title: String,
    /// Seconds between two looks of panels that do not say otherwise.
    #[serde(default = "default_refresh")]
    pub refresh: f64,
    /// The column that the range of time is about; without it there is none.
    pub time: Option<String>,
    #[serde(default)]
    pub filters: Vec<Filter>,
    #[serde(default)]
    pub panels: Vec<Panel>,
}

/// A choice that panels share.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    pub name: String,
    pub label: Option<String>,
    /// The column that must have the chosen value.
    pub column: String,
    /// A query whose first column holds what can be chosen.
    pub options: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Number,
    Table,
    Line,
    Bars,
    Stacked,
    Heat,
    Map,
}

/// A query and how its rows are shown. Which of the columns' names a kind takes, [`Kind::needs`] and
/// [`Kind::takes`] say.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    pub title: String,
    pub kind: Kind,
    pub sql: String,
    /// Columns of twelve that it is wide.
    pub width: Option<u8>,
    pub refresh: Option<f64>,
    /// The rows come as they change; the SQL says EMIT CHANGES.
    #[serde(default)]
    pub push: bool,
    pub value: Option<String>,
    pub unit: Option<String>,
    pub x: Option<String>,
    /// One or more columns: `"A"`, or `["A", "median(B)"]` where B is an ARRAY.
    pub y: Option<Many>,
    pub by: Option<String>,
    pub name: Option<String>,
    /// The end of the scale.
    pub high: Option<f64>,
    pub place: Option<String>,
    pub lat: Option<String>,
    pub lon: Option<String>,
    pub size: Option<String>,
    pub colour: Option<String>,
    /// Columns that the label of a point shows.
    pub label: Option<Many>,
    /// A GeoJSON file, relative to the dashboard's.
    #[serde(skip_serializing)]
    pub outline: Option<PathBuf>,
    #[serde(skip_deserializing, rename = "outline")]
    pub outline_shape: Option<Value>,
    pub sort: Option<String>,
    #[serde(default)]
    pub descending: bool,
    pub limit: Option<u32>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Many {
    One(String),
    All(Vec<String>),
}

impl Many {
    pub fn names(&self) -> Vec<&str> {
        match self {
            Many::One(name) => vec![name],
            Many::All(names) => names.iter().map(String::as_str).collect(),
        }
    }
}

fn default_refresh() -> f64 {
    5.0
}

impl Kind {
    /// Without these there is nothing to draw.
    fn needs(self) -> &'static [&'static str] {
        match self {
            Kind::Number => &["value"],
            Kind::Table => &[],
            Kind::Line => &["x", "y"],
            Kind::Bars => &["name", "value"],
            Kind::Stacked => &["x", "value"],
            Kind::Heat => &["x", "y", "value"],
            Kind::Map => &["name"],
        }
    }

    fn takes(self) -> &'static [&'static str] {
        match self {
            Kind::Number => &["unit"],
            Kind::Table => &["sort", "descending", "limit"],
            Kind::Line => &[],
            Kind::Bars => &["unit", "high", "sort", "descending", "limit"],
            Kind::Stacked => &["by"],
            Kind::Heat => &[],
            Kind::Map => &["place", "lat", "lon", "size", "colour", "label", "outline"],
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Number => "number",
            Kind::Table => "table",
            Kind::Line => "line",
            Kind::Bars => "bars",
            Kind::Stacked => "stacked",
            Kind::Heat => "heat",
            Kind::Map => "map",
        }
    }
}

impl Dashboard {
    /// Reads a file `NAME.dashboard.toml`.
    pub fn load(path: &Path) -> Result<Dashboard> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::topology(format!("cannot read dashboard {shown}: {}", reason(&e))))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let name = file.trim_end_matches(".toml").trim_end_matches(".dashboard");
        let mut dashboard = Dashboard::parse(&shown, name, &text)?;
        let base = path.parent().unwrap_or(Path::new(""));
        for panel in &mut dashboard.panels {
            let Some(outline) = &panel.outline else { continue };
            let outline = base.join(outline);
            let failed = |why: String| {
                let file = outline.display();
                Error::topology(format!("{shown}: panel {}: outline {file}: {why}", panel.title))
            };
            let size = std::fs::metadata(&outline).map_err(|e| failed(reason(&e)))?.len();
            if size > OUTLINE_BYTES_MAX {
                return Err(failed(format!("it has {size} bytes; the limit is {OUTLINE_BYTES_MAX}")));
            }
            let text = std::fs::read(&outline).map_err(|e| failed(reason(&e)))?;
            let shape =
                serde_json::from_slice(&text).map_err(|e| failed(format!("it is no GeoJSON: {e}")))?;
            panel.outline_shape = Some(shape);
        }
        Ok(dashboard)
    }

    /// `shown` stands in errors.
    pub fn parse(shown: &str, name: &str, text: &str) -> Result<Dashboard> {
        let dashboard: Dashboard = toml::from_str(text).map_err(|e| {
            let error = Error::topology(e.message());
            match e.span() {
                Some(span) => error.at(Span::new(span.start, span.end)).in_text(shown, text),
                None => error,
            }
        })?;
        let title = if dashboard.title.is_empty() { name.to_string() } else { dashboard.title };
        let dashboard = Dashboard { name: name.into(), title, ..dashboard };
        dashboard.sound().map_err(|why| Error::topology(format!("{shown}: {why}")))?;
        Ok(dashboard)
    }

    fn sound(&self) -> Result<(), String> {
        if self.panels.is_empty() {
            return Err("it has no [[panels]]".into());
        }
        is_pause(self.refresh).map_err(|why| format!("refresh {why}"))?;
        for (i, panel) in self.panels.iter().enumerate() {
            let of_panel = |why: String| format!("panel {}: {why}", panel.title);
            if self.panels[..i].iter().any(|other| other.title == panel.title) {
                return Err(of_panel("another panel has the same title".into()));
            }
            panel.sound().map_err(of_panel)?;
            let known = |name: &str| name == "time" && self.time.is_some() || self.filter(name).is_some();
            if let Some(unknown) = placeholders(&panel.sql).into_iter().find(|name| !known(name)) {
                return Err(of_panel(format!("there is no filter {unknown} for {{{{{unknown}}}}}")));
            }
        }
        Ok(())
    }

    fn filter(&self, name: &str) -> Option<&Filter> {
        self.filters.iter().find(|filter| filter.name == name)
    }
}

fn is_pause(seconds: f64) -> Result<(), String> {
    match (0.2..=86_400.0).contains(&seconds) {
        true => Ok(()),
        false => Err(format!("is {seconds}; expected seconds from 0.2 to 86400")),
    }
}

impl Panel {
    /// What was given of all that some kind takes.
    fn given(&self) -> Vec<&'static str> {
        let all = [
            ("value", self.value.is_some()),
            ("unit", self.unit.is_some()),
            ("x", self.x.is_some()),
            ("y", self.y.is_some()),
            ("by", self.by.is_some()),
            ("name", self.name.is_some()),
            ("high", self.high.is_some()),
            ("place", self.place.is_some()),
            ("lat", self.lat.is_some()),
            ("lon", self.lon.is_some()),
            ("size", self.size.is_some()),
            ("colour", self.colour.is_some()),
            ("label", self.label.is_some()),
            ("outline", self.outline.is_some()),
            ("sort", self.sort.is_some()),
            ("descending", self.descending),
            ("limit", self.limit.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
    }

    fn sound(&self) -> Result<(), String> {
        let (given, kind) = (self.given(), self.kind);
        if let Some(missing) = kind.needs().iter().find(|key| !given.contains(key)) {
            return Err(format!("{} needs {missing} = \"COLUMN\"", kind.word()));
        }
        let takes = |key: &&str| kind.needs().contains(key) || kind.takes().contains(key);
        if let Some(other) = given.iter().find(|key| !takes(key)) {
            return Err(format!("{} has no {other}", kind.word()));
        }
        if kind == Kind::Map && self.place.is_none() && (self.lat.is_none() || self.lon.is_none()) {
            return Err("map needs place = \"COLUMN\", a STRUCT of lat and lon, or lat = and lon =".into());
        }
        if self.width.is_some_and(|width| ![3, 4, 6, 8, 9, 12].contains(&width)) {
            return Err("width must be 3, 4, 6, 8, 9 or 12".into());
        }
        self.refresh.map_or(Ok(()), is_pause).map_err(|why| format!("refresh {why}"))
    }
}

/// The names in `{{…}}`, in the order in which they stand.
fn placeholders(sql: &str) -> Vec<&str> {
    let parts = sql.split("{{").skip(1);
    parts.filter_map(|rest| rest.split_once("}}")).map(|(name, _)| name.trim()).collect()
}

/// The SQL with nothing chosen: each placeholder is a condition that always holds.
fn unfiltered(sql: &str) -> String {
    let mut out = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((_, behind)) = after.split_once("}}") else { break };
        out.push_str(before);
        out.push_str("1 = 1");
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANEL: &str = "[[panels]]\ntitle = 'P'\nsql = 'SELECT A FROM T WHERE {{time}}'\n";

    fn parse(text: &str) -> Result<Dashboard> {
        Dashboard::parse("d.toml", "d", text)
    }

    #[test]
    fn a_dashboard_has_defaults() {
        let dashboard = parse(&format!("time = 'TS'\n{PANEL}kind = 'number'\nvalue = 'A'")).unwrap();
        assert_eq!((dashboard.title.as_str(), dashboard.refresh), ("d", 5.0));
        assert_eq!(unfiltered(&dashboard.panels[0].sql), "SELECT A FROM T WHERE 1 = 1");
    }

    #[test]
    fn errors_name_the_panel_and_what_is_missing() {
        for (text, message) in [
            ("title = 'x'", "d.toml: it has no [[panels]]"),
            (
                "refresh = 0\n[[panels]]\ntitle='P'\nkind='table'\nsql=''",
                "d.toml: refresh is 0; expected seconds from 0.2 to 86400",
            ),
            (
                "[[panels]]\ntitle='P'\nkind='line'\nsql=''\nx='A'",
                "d.toml: panel P: line needs y = \"COLUMN\"",
            ),
            ("[[panels]]\ntitle='P'\nkind='table'\nsql=''\nx='A'", "d.toml: panel P: table has no x"),
            (
                "[[panels]]\ntitle='P'\nkind='table'\nsql='{{who}}'",
                "d.toml: panel P: there is no filter who for {{who}}",
            ),
            (
                "[[panels]]\ntitle='P'\nkind='table'\nsql=''\nwidth=5",
                "d.toml: panel P: width must be 3, 4, 6, 8, 9 or 12",
            ),
            (
                "[[panels]]\ntitle='P'\nkind='map'\nsql=''\nname='A'\nlat='B'",
                "d.toml: panel P: map needs place = \"COLUMN\", a STRUCT of lat and lon, or lat = and lon =",
            ),
            (
                "[[panels]]\ntitle='P'\nkind='table'\nsql=''\n[[panels]]\ntitle='P'\nkind='table'\nsql=''",
                "d.toml: panel P: another panel has the same title",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().message, message, "{text}");
        }
        let error = parse("[[panels]]\ntitle = 'P'\nkind = 'pie'\nsql = ''").unwrap_err().to_string();
        assert!(error.starts_with("d.toml:3:8: unknown variant `pie`"), "{error}");
        let error = parse("panel = 1").unwrap_err().to_string();
        assert!(error.starts_with("d.toml:1:1: unknown field `panel`"), "{error}");
    }
}
