//! The shipped dataflow on generated feeds: its answers are the same to the bit however the input is
//! cut, and every event is in them or in the rejects.

use crate::books;
use crate::harness::{COARSE, Cut, FINE, Random, Run, Site, run};
use wharfe::connector::{GeneratorSpec, generator};

pub const SCRIPT: &str = include_str!("../dataflows/carparks.sql");

/// The feeds with the files that the topology of [`site`] names.
const FEEDS: [(&str, &str); 3] =
    [("carparks", "live.csv"), ("carparks_historic", "historic.csv"), ("carparks_leeds", "leeds.json")];

/// What must be the same in every run.
const QUESTIONS: [&str; 4] = [
    "SELECT * FROM SOURCE_COUNTS",
    "SELECT * FROM CARPARK_OCCUPANCY",
    "SELECT COUNT(*) AS N, MAX(TS) AS LAST, AVG(PCT_FULL) AS PCT, SUM(LATITUDE) AS LAT FROM CARPARK_EVENTS",
    "SELECT KIND, SOURCE_NAME, TOPIC_OFFSET, COLUMN_NAME, REASON, RAW FROM WHARFE_REJECTS ORDER BY SOURCE_NAME, TOPIC_OFFSET",
];

fn feed(feed: &str, rows: u64, seed: u64, dirty_every: Option<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let feed = feed.to_string();
    let spec = GeneratorSpec {
        feed,
        rows: Some(rows),
        rate: None,
        seed,
        car_parks: None,
        dirty_every,
        events_per_second: None,
    };
    generator::write(&spec, &mut bytes).unwrap();
    bytes
}

/// So many events in each feed's file.
pub fn site(rows: u64, seed: u64, dirty_every: Option<u64>) -> Site {
    FEEDS
        .iter()
        .fold(Site::new(), |site, (name, file)| site.with(name, file, feed(name, rows, seed, dirty_every)))
}

fn answers(run: &mut Run) -> Vec<Vec<String>> {
    QUESTIONS.iter().map(|question| run.ask(question)).collect()
}

/// Events in the per-source table, and in the per-car-park table.
fn counts(run: &mut Run) -> [i64; 2] {
    ["SOURCE_COUNTS", "CARPARK_OCCUPANCY"]
        .map(|table| run.number(&format!("SELECT SUM(EVENT_CT) AS N FROM {table}")))
}

#[test]
fn answers_do_not_depend_on_how_input_is_cut() {
    let mut random = Random(7);
    for dirty_every in [None, Some(23)] {
        let site = site(1_500, 3, dirty_every);
        let mut expected = None;
        let random_cuts: Vec<Cut> = (0..6).map(|_| random.cut()).collect();
        for cut in [COARSE, FINE.workers(1), FINE].into_iter().chain(random_cuts) {
            // A tick a record is slow where a record takes a batch.
            let cut = Cut { batch_bytes: cut.batch_bytes.max(100), ..cut };
            let mut run = Run::once(&site, cut, SCRIPT);
            books::check(&mut run);
            let (read, rejected) = books::read_and_rejected(&mut run);
            assert_eq!((read, rejected), (4_500, 3 * dirty_every.map_or(0, |every| 1_500 / every as i64)));
            assert_eq!(counts(&mut run), [read - rejected; 2], "{cut:?}");
            let found = answers(&mut run);
            match &expected {
                None => expected = Some(found),
                Some(expected) => assert_eq!(&found, expected, "{cut:?}"),
            }
        }
    }
}

#[test]
fn a_stored_stream_gives_the_same_answers() {
    let plain = site(300, 5, Some(40));
    let stored = site(300, 5, Some(40)).and("[topics.carpark_events_03]\nconnector = \"log\"");
    let expected = answers(&mut Run::once(&plain, COARSE, SCRIPT));
    for cut in [COARSE, FINE] {
        let mut run = Run::once(&stored, cut, SCRIPT);
        assert_eq!(answers(&mut run), expected);
        books::check(&mut run);
        let lines = run.ask("PRINT carpark_events_03 FROM BEGINNING");
        assert_eq!(lines.len() as i64, counts(&mut run)[0]);
    }
}

#[test]
fn tables_grow_together_while_events_arrive() {
    let generated = FEEDS.iter().map(|(feed, _)| {
        format!("[topics.{feed}]\nconnector = \"generator\"\nfeed = \"{feed}\"\nrows = 4000\nrate = 8000\n")
    });
    let site = Site::new().and(&generated.collect::<String>());
    let mut run = Run::live(&site, COARSE.workers(2), SCRIPT);
    let mut seen = [0, 0];
    while seen != [12_000; 2] {
        let now = counts(&mut run);
        assert!(now[0] >= seen[0] && now[1] >= seen[1], "{now:?} after {seen:?}");
        let wrong = "SELECT * FROM WHARFE_BOOKS WHERE ROWS_IN + ROWS_MADE <> ROWS_OUT + ROWS_FILTERED + ROWS_REJECTED";
        assert_eq!(run.ask(wrong), Vec::<String>::new());
        seen = now;
    }
    run.until("SELECT ROWS_IN FROM WHARFE_BOOKS WHERE STAGE = 'aggregate'", |rows| {
        rows.iter().all(|row| row == r#"{"ROWS_IN":12000}"#)
    });
    books::check(&mut run);
}

/// What the shipped script of the car parks over time answers, on the shipped data.
fn over_time(workers: &str, question: &str) -> String {
    let file = |name: &str| format!("{}/dataflows/{name}", env!("CARGO_MANIFEST_DIR"));
    let (script, topology) = (file("carparks_hours.sql"), file("carparks.toml"));
    let answered = run(&[
        "run",
        "--once",
        "-w",
        workers,
        "--format",
        "json",
        "--topology",
        &topology,
        &script,
        "-q",
        question,
    ]);
    assert_eq!(answered.code, Some(0), "{}", answered.stderr);
    answered.stdout
}

#[test]
fn the_car_parks_over_time_are_those_of_the_events() {
    let columns = "SOURCE, NAME, TS, EMPTY_PLACES, CAPACITY, STATUS, PCT_FULL, LOCATION";
    let hour = "TIMESTAMPTOSTRING(TS, 'yyyy-MM-dd HH', 'Europe/London')";
    for (kept, asked) in [
        (
            "SELECT * FROM CARPARK_HOURS ORDER BY SOURCE, HOUR".to_string(),
            format!(
                "SELECT SOURCE, {hour} AS HOUR, COUNT(*) AS EVENT_CT, AVG(EMPTY_PLACES) AS AVG_EMPTY_PLACES,
                        MEDIAN(EMPTY_PLACES) AS MEDIAN_EMPTY_PLACES, MIN(EMPTY_PLACES) AS MIN_EMPTY_PLACES,
                        MAX(EMPTY_PLACES) AS MAX_EMPTY_PLACES
                   FROM CARPARK_EVENTS GROUP BY SOURCE, {hour} ORDER BY SOURCE, HOUR"
            ),
        ),
        (
            format!("SELECT {columns} FROM CARPARK_NEWEST ORDER BY SOURCE, NAME"),
            format!("SELECT {columns} FROM CARPARK_OCCUPANCY ORDER BY SOURCE, NAME"),
        ),
    ] {
        let rows = over_time("1", &kept);
        assert!(rows.lines().count() >= 18, "{rows}");
        assert_eq!(rows, over_time("1", &asked));
        assert_eq!(rows, over_time("2", &kept));
    }
}
