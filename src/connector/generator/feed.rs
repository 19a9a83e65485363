//! The feeds and the car parks they tell of.

use crate::time::civil::days_from_civil;

pub const CAR_PARKS: [&str; 3] = ["carparks", "carparks_historic", "carparks_leeds"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Comma-separated, with the directions' URL as the ninth field.
    Live,
    /// Comma-separated, eight fields.
    Historic,
    /// A JSON object over several lines.
    Leeds,
}

pub struct Feed {
    pub shape: Shape,
    /// The first poll, in seconds of UTC.
    pub start_s: i64,
    /// From poll to poll. At eight minutes the live feed meets the article's 2020-10-11 22:25.
    pub step_s: i64,
    pub parks: &'static [Park],
    /// What the article prints: (poll, park, empty places).
    pub given: &'static [(u64, u64, u32)],
}

pub struct Park {
    pub name: &'static str,
    pub capacity: u32,
    pub latitude: &'static str,
    pub longitude: &'static str,
    /// Occupied in the busiest hour, in thousandths.
    pub busiest: u32,
    /// Minutes of the day between which it is open.
    pub open: (u32, u32),
}

/// Capacities and the coordinates of Westgate and NCP Hall Ings from the article; the rest is invented.
const BRADFORD: &[Park] = &[
    park("Westgate", 116, "53.796291", "-1.759143", 920, (390, 1330)),
    park("Broadway", 1300, "53.795012", "-1.749108", 880, ALWAYS),
    park("Kirkgate Centre", 611, "53.795391", "-1.755602", 760, (400, 1200)),
    park("Sharpe Street", 98, "53.789733", "-1.754719", 1080, ALWAYS),
    park("NCP Hall Ings", 526, "53.791838", "-1.752201", 640, ALWAYS),
    park("Crown Court", 142, "53.790617", "-1.750084", 1020, ALWAYS),
    park("Leisure Exchange", 996, "53.792456", "-1.747890", 420, ALWAYS),
];

/// Capacities, and the coordinates of Trinity Leeds, from the article.
const LEEDS: &[Park] = &[
    park("Trinity Leeds:LEEDSCP0014", 570, "53.795147075173155", "-1.544524058364228", 1040, ALWAYS),
    park("Dewsbury Stn Sth:KCP13", 140, "53.691538290137142", "-1.633214760319845", 700, ALWAYS),
    park(
        "Markets Multi-Storey:LEEDSCP0011",
        646,
        "53.796912574380914",
        "-1.538220671045316",
        860,
        (330, 1420),
    ),
    park("The Core:LEEDSCP0002", 313, "53.798404913527063", "-1.543107452096181", 980, ALWAYS),
];

const ALWAYS: (u32, u32) = (0, 1440);

const fn park(
    name: &'static str,
    capacity: u32,
    latitude: &'static str,
    longitude: &'static str,
    busiest: u32,
    open: (u32, u32),
) -> Park {
    Park { name, capacity, latitude, longitude, busiest, open }
}

impl Feed {
    /// 2020-10-06 14:41 and 2020-10-20 11:34:02 are summer time, an hour ahead of UTC.
    pub fn named(name: &str) -> Option<Feed> {
        Some(match name {
            "carparks" => Feed {
                shape: Shape::Live,
                start_s: days_from_civil(2020, 10, 6) * 86_400 + 13 * 3600 + 41 * 60,
                step_s: 480,
                parks: BRADFORD,
                given: &[(0, 0, 89), (0, 2, 539), (0, 3, 78), (0, 6, 940), (1, 0, 97), (2, 0, 98)],
            },
            "carparks_historic" => Feed {
                shape: Shape::Historic,
                start_s: days_from_civil(2018, 2, 5) * 86_400 + 9 * 3600 + 55 * 60,
                step_s: 300,
                parks: BRADFORD,
                given: &[(0, 0, 80)],
            },
            "carparks_leeds" => Feed {
                shape: Shape::Leeds,
                start_s: days_from_civil(2020, 10, 20) * 86_400 + 10 * 3600 + 34 * 60 + 2,
                step_s: 300,
                parks: LEEDS,
                given: &[(0, 0, 39), (20, 0, 10), (20, 1, 80), (20, 2, 244), (20, 3, 52)],
            },
            _ => return None,
        })
    }
}
