//! Rows that wait: what is bounded, who waits, and what an end leaves.

use super::*;
use crate::value::Value;

fn rows(count: usize, bytes: usize) -> Vec<AnswerRow> {
    let text = "x".repeat(bytes);
    (0..count).map(|_| AnswerRow { row: vec![Value::text(&text)], deleted: false }).collect()
}

/// How many of so many were taken.
fn send_all(outlet: &Outlet, count: usize) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    (0..count).take_while(|_| runtime.block_on(outlet.send(rows(1, 4_000)))).count()
}

fn rest(rows: &mut Rows) -> (usize, Option<String>) {
    let (mut count, mut end) = (0, None);
    while let Ok(Some(event)) = rows.try_recv() {
        match event {
            AnswerEvent::Rows(rows) => count += rows.len(),
            AnswerEvent::End(last) => end = Some(format!("{last:?}")),
            AnswerEvent::Error(error) => end = Some(format!("{:?}", error.code)),
        }
    }
    (count, end)
}

#[test]
fn who_does_not_read_is_told_off_and_what_waited_is_gone() {
    let answers = Arc::new(Answers::new(Limits { each: 10_000, all: 100_000 }));
    let endings = answers.endings().unwrap();
    let mut slow = answers.open_mailed("slow", AnswerKind::Push, None);
    let mut quick = answers.open_mailed("quick", AnswerKind::Push, None);
    for _ in 0..5 {
        answers.push("slow", rows(1, 3_000));
        answers.push("quick", rows(1, 3_000));
        assert_eq!(rest(&mut quick), (1, None));
    }
    assert_eq!(endings.try_iter().collect::<Vec<_>>(), ["slow"], "said once");
    assert_eq!(answers.measure(), (1, 0, 0));
    answers.push("slow", rows(1, 1));
    assert_eq!(rest(&mut slow), (0, Some("Limit".into())));
    drop(quick);
    assert_eq!(endings.try_iter().collect::<Vec<_>>(), ["quick"]);
}

#[test]
fn the_answer_with_the_most_makes_room_for_all() {
    let answers = Arc::new(Answers::new(Limits { each: 80_000, all: 100_000 }));
    let mut all: Vec<Rows> =
        (0..4).map(|i| answers.open_mailed(&i.to_string(), AnswerKind::Push, None)).collect();
    answers.push("0", rows(1, 60_000));
    (1..4).for_each(|i| answers.push(&i.to_string(), rows(1, 15_000)));
    let ends: Vec<_> = all.iter_mut().map(rest).collect();
    assert_eq!(ends[0], (0, Some("Limit".into())));
    assert!(ends[1..].iter().all(|end| *end == (1, None)), "{ends:?}");
    assert_eq!(answers.measure(), (3, 0, 0));
}

#[test]
fn who_computes_waits_for_room_until_nobody_reads() {
    let answers = Arc::new(Answers::new(Limits { each: 10_000, all: 100_000 }));
    let (mut reader, outlet) = answers.open("q", AnswerKind::Pull);
    let sender = std::thread::spawn(move || {
        let sent = send_all(&outlet, 50);
        outlet.finish(AnswerEvent::End(AnswerEnd::Completed));
        sent
    });
    let mut got = 0;
    while let Some(AnswerEvent::Rows(rows)) = reader.blocking_recv() {
        assert!(answers.measure().2 <= 10_000);
        got += rows.len();
    }
    assert_eq!((got, sender.join().unwrap()), (50, 50));

    let (reader, outlet) = answers.open("r", AnswerKind::Pull);
    let sender = std::thread::spawn(move || send_all(&outlet, 50));
    drop(reader);
    assert!(sender.join().unwrap() < 50);
    assert_eq!(answers.measure(), (0, 0, 0));
}

#[test]
fn rows_behind_the_limit_and_behind_the_end_are_not_taken() {
    let answers = Arc::new(Answers::new(Limits::default()));
    let mut limited = answers.open_mailed("limited", AnswerKind::Push, Some(3));
    answers.push("limited", rows(2, 1));
    answers.push("limited", rows(2, 1));
    answers.push("limited", rows(2, 1));
    assert_eq!(rest(&mut limited), (3, Some("LimitReached".into())));
    let mut ended = answers.open_mailed("ended", AnswerKind::Push, None);
    answers.ended("ended", 2);
    answers.push("ended", rows(1, 1));
    answers.ended("ended", 2);
    answers.push("ended", rows(1, 1));
    assert_eq!(rest(&mut ended), (1, Some("Completed".into())));
    let (mut lost, outlet) = answers.open("lost", AnswerKind::Pull);
    drop(outlet);
    assert_eq!(rest(&mut lost), (0, Some("Runtime".into())), "who computed it is gone");
}
