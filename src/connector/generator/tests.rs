//! Generated feeds: the same rows whoever asks, at any rate and share.

use super::*;
use crate::connector::Share;
use crate::connector::Start;

fn spec(feed: &str, rows: u64) -> GeneratorSpec {
    GeneratorSpec {
        feed: feed.to_string(),
        rows: Some(rows),
        rate: None,
        seed: 1,
        car_parks: None,
        dirty_every: None,
        events_per_second: None,
    }
}

fn lines(spec: &GeneratorSpec) -> Vec<String> {
    let mut out = Vec::new();
    assert_eq!(write(spec, &mut out).unwrap(), out.len() as u64);
    String::from_utf8_lossy(&out).lines().map(str::to_string).collect()
}

fn opening(share: Share) -> Opening {
    Opening { share, start: Start::Earliest, bounded: false, opened_ms: 1000 }
}

fn drain(source: &mut GeneratorSource, max_bytes: usize, now_ms: i64) -> Vec<(i64, Vec<u8>)> {
    let mut rows = Vec::new();
    while let Poll::Messages(batch) = source.poll(max_bytes, now_ms).unwrap() {
        rows.extend(numbered(&batch));
    }
    rows
}

fn numbered(batch: &MessageBatch) -> impl Iterator<Item = (i64, Vec<u8>)> {
    (0..batch.len()).map(|i| (batch.offsets[i], batch.value(i).unwrap().to_vec()))
}

#[test]
fn the_articles_rows_are_among_the_first() {
    let live = lines(&spec("carparks", 7000));
    assert_eq!(
        live[0],
        "2020-10-06,14:41,Westgate,116,89,Spaces,53.796291,-1.759143,\"https://maps.google.com/?daddr=53.796291,-1.759143\""
    );
    assert!(live[2].starts_with("2020-10-06,14:41,Kirkgate Centre,611,539,Spaces,"));
    let closed = "2020-10-11,22:25,Westgate,116,116,Closed,53.796291,-1.759143,";
    assert!(live.iter().any(|line| line.starts_with(closed)));
    assert_eq!(
        lines(&spec("carparks_historic", 1)),
        ["2018-02-05,09:55,Westgate,116,80,Spaces,53.796291,-1.759143"]
    );
    let leeds = r#"{
    "d2lm:situationRecordCreationTime": "2020-10-20T11:34:02",
    "d2lm:groupOfLocations": {
        "d2lm:locationContainedInGroup": {
            "d2lm:pointByCoordinates": {
                "d2lm:pointCoordinates": {
                    "d2lm:latitude": "53.795147075173155",
                    "d2lm:longitude": "-1.544524058364228"
                }
            }
        }
    },
    "d2lm:carParkIdentity": "Trinity Leeds:LEEDSCP0014",
    "d2lm:carParkOccupancy": "93",
    "d2lm:carParkStatus": "enoughSpacesAvailable",
    "d2lm:occupiedSpaces": "531",
    "d2lm:totalCapacity": "570"
}"#;
    assert_eq!(lines(&spec("carparks_leeds", 1)).join("\n"), leeds);
}

#[test]
fn historic_rows_have_about_66_bytes_and_all_statuses() {
    let rows = lines(&spec("carparks_historic", 20_000));
    let bytes: usize = rows.iter().map(|row| row.len() + 1).sum();
    assert!((64..68).contains(&(bytes / rows.len())), "{}", bytes / rows.len());
    for status in ["Spaces", "Almost Full", "Full", "Closed"] {
        let count = rows.iter().filter(|row| row.contains(&format!(",{status},"))).count();
        assert!(count > 50, "{status}: {count}");
    }
    assert!(rows.iter().all(|row| row.split(',').count() == 8));
}

#[test]
fn rows_do_not_depend_on_batches_or_shares() {
    for feed in FEEDS {
        let spec = GeneratorSpec { dirty_every: Some(10), ..spec(feed, 1000) };
        let whole = drain(
            &mut open(&spec, opening(Share::All), &Survey::default(), &Team::alone()).unwrap(),
            1 << 20,
            0,
        );
        assert_eq!(whole.len(), 1000);
        assert!(whole.iter().enumerate().all(|(i, row)| row.0 == i as i64));
        for (of, max_bytes) in [(1, 1), (3, 500), (7, 10_000)] {
            let all = Team::alone();
            let open = |worker| {
                let team = Team { worker, ..all.clone() };
                open(&spec, opening(Share::All), &Survey::default(), &team).unwrap()
            };
            let mut team: Vec<GeneratorSource> = (0..of).map(open).collect();
            let mut dealt = Vec::new();
            for worker in (0..of).cycle() {
                let Poll::Messages(batch) = team[worker].poll(max_bytes, 0).unwrap() else { break };
                dealt.extend(numbered(&batch));
            }
            assert_eq!(dealt, whole);
        }
        let mut written = Vec::new();
        write(&spec, &mut written).unwrap();
        let joined: Vec<u8> = whole.iter().flat_map(|row| [&row.1[..], b"\n"].concat()).collect();
        assert_eq!(written, joined);
    }
}

#[test]
fn a_seed_makes_other_rows() {
    let other = GeneratorSpec { seed: 2, ..spec("carparks", 100) };
    assert_eq!(lines(&other), lines(&other));
    assert_ne!(lines(&other), lines(&spec("carparks", 100)));
}

#[test]
fn car_parks_can_be_made_up() {
    let rows = lines(&GeneratorSpec { car_parks: Some(1000), ..spec("carparks", 2000) });
    let names: std::collections::HashSet<_> = rows.iter().map(|row| row.split(',').nth(2).unwrap()).collect();
    assert_eq!(names.len(), 1000);
    assert!(rows[123].contains(",Car Park 000123,"), "{}", rows[123]);
    assert!(rows.iter().all(|row| row.split(',').nth(6).unwrap().len() == 9));
}

/// The rows of all feeds of Nexmark among the first events, parsed.
fn nexmark(events: u64) -> [Vec<serde_json::Value>; 4] {
    nexmark::FEEDS.map(|feed| {
        let rows = lines(&spec(feed, nexmark::rows_among(feed, events)));
        rows.iter().map(|row| serde_json::from_str(row).expect(row)).collect()
    })
}

#[test]
fn nexmark_has_its_proportions_and_hot_items() {
    let [persons, auctions, bids, side] = nexmark(50_007);
    assert_eq!((persons.len(), auctions.len(), bids.len(), side.len()), (1001, 3003, 46_003, 10_000));
    let numbers = |rows: &[serde_json::Value], field: &str| -> Vec<u64> {
        rows.iter().map(|row| row[field].as_u64().unwrap_or_else(|| panic!("{field} of {row}"))).collect()
    };
    assert_eq!(numbers(&persons, "id"), (1000..2001).collect::<Vec<_>>());
    assert_eq!(numbers(&auctions, "id"), (1000..4003).collect::<Vec<_>>());
    for rows in [&persons, &auctions, &bids] {
        let times = numbers(rows, "date_time");
        assert!(times.is_sorted());
        assert!(times[0] == 1_436_918_400_000 && times[times.len() - 1] == 1_436_918_405_000);
    }
    let share = |many: usize, of: usize| many * 100 / of;
    let hot = |field: &str, nth: u64| numbers(&bids, field).iter().filter(|id| **id % 100 == nth).count();
    assert!((48..53).contains(&share(hot("auction", 0), bids.len())), "{}", hot("auction", 0));
    assert!((74..79).contains(&share(hot("bidder", 1), bids.len())), "{}", hot("bidder", 1));
    let prices = numbers(&bids, "price");
    assert!(prices.iter().all(|price| (100..=100_000_000).contains(price)));
    let low = prices.iter().filter(|price| **price < 10_000).count();
    assert!((32..35).contains(&share(low, bids.len())), "two of six powers of ten: {low}");
    let with = |field: &str, part: &str| {
        bids.iter().filter(|bid| bid[field].as_str().unwrap().contains(part)).count()
    };
    assert!((48..52).contains(&share(with("channel", "channel-"), bids.len())));
    assert!((43..47).contains(&share(with("url", "&channel_id="), bids.len())));
    for (auction, price) in auctions.iter().zip(numbers(&auctions, "reserve")) {
        assert!(
            price > auction["initial_bid"].as_u64().unwrap()
                && auction["expires"].as_u64() > auction["date_time"].as_u64()
        );
    }
    let sellers = numbers(&auctions, "seller");
    let early = |(nth, seller): (usize, &u64)| *seller > 1000 + nth as u64 / 3;
    assert!(sellers.iter().enumerate().any(early), "some name a person who is not there yet");
}

#[test]
fn nexmark_rows_are_about_as_long_as_the_benchmarks() {
    let mean = |feed: &str| {
        let rows = lines(&spec(feed, 2000));
        assert!(rows.iter().all(|row| row.len() < ROW_BYTES_MAX));
        rows.iter().map(String::len).sum::<usize>() / rows.len()
    };
    let [person, auction, bid, side] = nexmark::FEEDS.map(mean);
    assert!((300..360).contains(&person) && (580..650).contains(&auction), "{person} {auction}");
    assert!((230..260).contains(&bid) && side < 80, "{bid} {side}");
}

#[test]
fn nexmark_lies_as_close_in_time_as_it_is_told() {
    let spec = GeneratorSpec { events_per_second: Some(100), ..spec("nexmark_person", 3) };
    let times: Vec<String> =
        lines(&spec).iter().map(|row| row.split("date_time\":").nth(1).unwrap()[..13].into()).collect();
    assert_eq!(times, ["1436918400000", "1436918400500", "1436918401000"]);
}

#[test]
fn every_so_many_rows_one_is_spoilt() {
    let spec = GeneratorSpec { dirty_every: Some(10), ..spec("carparks_historic", 60) };
    let mut out = Vec::new();
    write(&spec, &mut out).unwrap();
    let is_good = |row: &&[u8]| {
        std::str::from_utf8(row).is_ok_and(|row| row.split(',').count() == 8 && !row.contains("n/a"))
    };
    let rows: Vec<&[u8]> = out.split(|b| *b == b'\n').filter(|row| !row.is_empty()).collect();
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(is_good(row), (i + 1) % 10 != 0, "{i}: {}", String::from_utf8_lossy(row));
    }
    let bids = lines(&GeneratorSpec { feed: "nexmark_bid".into(), ..spec });
    for (i, bid) in bids.iter().enumerate() {
        assert_eq!(bid.contains("\"date_time\":\"n/a\""), (i + 1) % 10 == 0, "{bid}");
    }
}

#[test]
fn a_pace_is_kept() {
    let spec = GeneratorSpec { rate: Some(10.0), ..spec("carparks", 15) };
    let mut source = open(&spec, opening(Share::All), &Survey::default(), &Team::alone()).unwrap();
    assert!(drain(&mut source, 1000, 1000).is_empty());
    assert_eq!(drain(&mut source, 100_000, 1250).len(), 2);
    assert!(matches!(source.poll(100, 1250).unwrap(), Poll::Pending));
    assert_eq!(drain(&mut source, 100, 60_000).len(), 13);
    assert!(matches!(source.poll(100, 60_000).unwrap(), Poll::Done));
    let elsewhere = Team { process: 1, processes: 2, ..Team::alone() };
    let mut other = open(&spec, opening(Share::All), &Survey::default(), &elsewhere).unwrap();
    assert!(matches!(other.poll(100, 60_000).unwrap(), Poll::Done));
}

#[test]
fn what_cannot_be_made_is_refused() {
    let endless = GeneratorSpec { rows: None, ..spec("carparks", 1) };
    let bounded = Opening { bounded: true, ..opening(Share::All) };
    let error =
        |spec: &GeneratorSpec| open(spec, bounded, &Survey::default(), &Team::alone()).err().unwrap().message;
    assert_eq!(error(&endless), "generator without rows is endless");
    assert_eq!(error(&spec("bikes", 1)), "unknown feed bikes");
    assert_eq!(
        error(&GeneratorSpec { car_parks: Some(0), ..spec("carparks", 1) }),
        "car_parks must be 1 or more"
    );
    assert_eq!(
        error(&GeneratorSpec { car_parks: Some(5), ..spec("nexmark_bid", 1) }),
        "nexmark_bid has no car_parks"
    );
    assert_eq!(
        error(&GeneratorSpec { events_per_second: Some(5), ..spec("carparks", 1) }),
        "carparks has no events_per_second"
    );
}

#[test]
fn rows_that_are_due_are_the_lag() {
    let paced = GeneratorSpec { rate: Some(100.0), rows: None, ..spec("carparks", 0) };
    let mut source = open(&paced, opening(Share::All), &Survey::default(), &Team::alone()).unwrap();
    assert_eq!(source.lag(3_000), Some(Lag::records(200)));
    drain(&mut source, 1_000, 2_500);
    assert_eq!(source.lag(3_000), Some(Lag::records(50)));
    let endless = GeneratorSpec { rate: None, ..paced };
    assert_eq!(
        open(&endless, opening(Share::All), &Survey::default(), &Team::alone()).unwrap().lag(3_000),
        None
    );
}
