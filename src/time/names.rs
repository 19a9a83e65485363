//! English names of months, weekdays and the rest.

pub static MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub static WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
pub static HALVES: [&str; 2] = ["AM", "PM"];
pub static ERAS: [&str; 2] = ["BC", "AD"];
pub static ERAS_FULL: [&str; 2] = ["Before Christ", "Anno Domini"];
pub static QUARTERS: [&str; 4] = ["Q1", "Q2", "Q3", "Q4"];
pub static QUARTERS_FULL: [&str; 4] = ["1st quarter", "2nd quarter", "3rd quarter", "4th quarter"];

/// Names of zones that are not names of `Zone::parse`, and where they are in use.
pub static ZONES: [(&str, &str); 13] = [
    ("BST", "Europe/London"),
    ("CEST", "Europe/Paris"),
    ("EEST", "Europe/Helsinki"),
    ("WEST", "Europe/Lisbon"),
    ("EDT", "America/New_York"),
    ("CDT", "America/Chicago"),
    ("CST", "America/Chicago"),
    ("MDT", "America/Denver"),
    ("PDT", "America/Los_Angeles"),
    ("PST", "America/Los_Angeles"),
    ("JST", "Asia/Tokyo"),
    ("AEST", "Australia/Sydney"),
    ("AEDT", "Australia/Sydney"),
];
