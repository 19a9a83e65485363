//! Stage 4 of a record's way, fed by the transforms' batches, feeds the exchange: rows are grouped
//! and accumulated a column at a time, so that what travels on is one small state a group.

use super::dense::{Counts, Dense, Rows, Seen};
use super::elements::Elements;
use super::extremes::{Extreme64, ExtremeBytes, ExtremeDecimal, Form, Top};
use super::groups::{Groups, rows_with_key};
use super::latest::{Kind, Winning, WinningN};
use super::spec::Spec;
use super::state::{End, Writer};
use super::sums::{AvgInt, ExactSums, ListSums, Moments, WideSums, Wrapping};
use super::view::View;
use super::{Element, Key, State, packed};
use crate::batch::{Batch, Column, Origin};
use crate::types::SqlType;
use arrow_array::BooleanArray;

/// Groups rows and accumulates them; what it holds is bounded by the number of groups (and by the
/// elements of collections).
pub struct PreAggregator {
    groups: Groups,
    keeps_nulls: bool,
    rows: Seen,
    calls: Vec<Call>,
    latest: Winning,
    earliest: Winning,
    elements: Elements,
    writer: Writer,
}

struct Call {
    spec: Spec,
    keeper: Keeper,
    /// NULLs of each slot.
    nulls: Counts,
}

/// Where a call's accumulators are.
enum Keeper {
    CountRows,
    Count,
    Dense(Box<dyn Dense>),
    /// By its number among the calls that want one row from that end.
    Winner(End, usize),
    WinnerN(WinningN),
    Elements,
}

impl PreAggregator {
    /// `arg_types`: the types of each call's columns.
    pub fn new(specs: &[Spec], arg_types: &[Vec<SqlType>]) -> PreAggregator {
        let (mut latest, mut earliest) = (Winning::new(End::Latest), Winning::new(End::Earliest));
        let calls = specs.iter().enumerate().map(|(i, spec)| Call {
            spec: spec.clone(),
            keeper: keeper(spec, arg_types.get(i).and_then(|t| t.first()), &mut latest, &mut earliest),
            nulls: Counts::default(),
        });
        PreAggregator {
            calls: calls.collect(),
            groups: Groups::new(),
            keeps_nulls: false,
            rows: Seen::default(),
            latest,
            earliest,
            elements: Elements::new(),
            writer: Writer::default(),
        }
    }

    /// NULL is a key like any other from now on, where it is one.
    pub fn keeping_nulls(self, keeps_nulls: bool) -> PreAggregator {
        PreAggregator { keeps_nulls, ..self }
    }

    /// Adds a batch. `args` holds the columns of each call. Returns how many rows had a NULL key
    /// column and belong to no group therefore.
    pub fn add(&mut self, keys: &[Column], args: &[Vec<Column>], origin: &Origin, rows: usize) -> usize {
        if rows == 0 {
            return 0;
        }
        match rows_with_key(keys, rows).filter(|_| !self.keeps_nulls) {
            None => self.add_grouped(keys, args, origin, rows),
            Some(keep) if keep.true_count() > 0 => self.add_filtered(keys, args, origin, &keep),
            Some(_) => rows,
        }
    }

    /// NULL keys are rare: the rows that have none are copied out.
    fn add_filtered(
        &mut self,
        keys: &[Column],
        args: &[Vec<Column>],
        origin: &Origin,
        keep: &BooleanArray,
    ) -> usize {
        let columns = keys.iter().chain(args.iter().flatten()).cloned().collect();
        let batch = Batch { len: keep.len(), columns, origin: origin.clone(), deleted: None }.filter(keep);
        let mut columns = batch.columns.into_iter();
        let keys: Vec<Column> = columns.by_ref().take(keys.len()).collect();
        let args: Vec<Vec<Column>> =
            args.iter().map(|call| columns.by_ref().take(call.len()).collect()).collect();
        self.add_grouped(&keys, &args, &batch.origin, batch.len);
        keep.len() - batch.len
    }

    fn add_grouped(&mut self, keys: &[Column], args: &[Vec<Column>], origin: &Origin, len: usize) -> usize {
        let keys: Vec<View> = keys.iter().map(View::of).collect();
        let args: Vec<Vec<View>> = args.iter().map(|call| call.iter().map(View::of).collect()).collect();
        let (slots, groups) = self.groups.assign(&keys, len);
        let rows = Rows { slots, len, groups };
        self.rows.add(&rows, &origin.rowtime);
        let (mut latest, mut earliest): (Vec<&[View]>, Vec<&[View]>) = (Vec::new(), Vec::new());
        for (i, (call, args)) in self.calls.iter_mut().zip(&args).enumerate() {
            if let Keeper::Winner(end, _) = call.keeper {
                if end == End::Latest {
                    latest.push(args)
                } else {
                    earliest.push(args)
                }
                continue;
            }
            let Some(column) = args.first() else { continue };
            match &mut call.keeper {
                Keeper::Elements => self.elements.add(i, &call.spec, column, origin, &rows),
                Keeper::WinnerN(winners) => winners.add(column, origin, &rows),
                keeper => {
                    call.nulls.add_nulls(column, &rows);
                    if let Keeper::Dense(dense) = keeper {
                        dense.grow(groups);
                        if !column.all_null() {
                            dense.add(column, &rows);
                        }
                    }
                }
            }
        }
        self.latest.add(&latest, origin, &rows);
        self.earliest.add(&earliest, origin, &rows);
        0
    }

    /// Groups held now.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// About how many bytes are held now.
    pub fn bytes(&self) -> usize {
        let call = |call: &Call| {
            call.nulls.heap_bytes()
                + match &call.keeper {
                    Keeper::Dense(dense) => dense.heap_bytes(),
                    Keeper::WinnerN(winners) => winners.heap_bytes(),
                    _ => 0,
                }
        };
        self.groups.heap_bytes()
            + self.rows.heap_bytes()
            + self.calls.iter().map(call).sum::<usize>()
            + self.latest.heap_bytes()
            + self.earliest.heap_bytes()
            + self.elements.heap_bytes()
    }

    /// Hands out every group touched since the last flush, once each in the order they were first
    /// seen, with its state and its collection elements with theirs, and forgets them.
    pub fn flush(&mut self, emit: &mut dyn FnMut(Key, State, Vec<(Element, State)>)) {
        let groups = self.groups.len();
        let mut elements = if self.keeps_elements() { self.elements.take(groups) } else { Vec::new() };
        for slot in 0..groups {
            self.write(slot);
            let elements = elements.get_mut(slot).map(std::mem::take).unwrap_or_default();
            emit(self.groups.key(slot), self.writer.state(), elements);
        }
        self.clear();
    }

    fn keeps_elements(&self) -> bool {
        self.calls.iter().any(|call| matches!(call.keeper, Keeper::Elements))
    }

    fn write(&mut self, slot: usize) {
        let writer = &mut self.writer;
        let (rows, rowtime) = self.rows.get(slot);
        writer.begin(rows, rowtime);
        for call in &self.calls {
            let present = rows - call.nulls.get(slot);
            match &call.keeper {
                Keeper::CountRows => writer.count(rows),
                Keeper::Count => writer.count(present),
                Keeper::Dense(dense) => dense.write(slot, present, writer),
                Keeper::Winner(End::Latest, number) => self.latest.write(*number, slot, writer),
                Keeper::Winner(End::Earliest, number) => self.earliest.write(*number, slot, writer),
                Keeper::WinnerN(winners) => winners.write(slot, writer),
                Keeper::Elements => writer.elements(),
            }
        }
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.rows.clear();
        self.latest.clear();
        self.earliest.clear();
        self.elements.clear();
        for call in &mut self.calls {
            call.nulls.clear();
            match &mut call.keeper {
                Keeper::Dense(dense) => dense.clear(),
                Keeper::WinnerN(winners) => winners.clear(),
                _ => {}
            }
        }
    }
}

fn keeper(spec: &Spec, ty: Option<&SqlType>, latest: &mut Winning, earliest: &mut Winning) -> Keeper {
    let kind = |ignore_nulls: bool| if ignore_nulls { Kind::SkipNulls } else { Kind::KeepNulls };
    let winner_n = |end, n: u32, skip_nulls| {
        Keeper::WinnerN(WinningN { end, n: n as u64, skip_nulls, rows: Vec::new() })
    };
    match spec {
        Spec::CountRows => Keeper::CountRows,
        Spec::Count => Keeper::Count,
        Spec::Sum(ty) => Keeper::Dense(sum(ty)),
        Spec::Avg(ty) => Keeper::Dense(avg(ty)),
        Spec::Min => Keeper::Dense(extreme(ty, false)),
        Spec::Max => Keeper::Dense(extreme(ty, true)),
        Spec::Spread { of, .. } => Keeper::Dense(Box::new(Moments::new(of, 1))),
        Spec::Correlation(of) => Keeper::Dense(Box::new(Moments::new(of, 2))),
        Spec::SumList(ty) => Keeper::Dense(Box::new(ListSums(sum(ty)))),
        Spec::TopK { k } => Keeper::Dense(Box::new(Top { distinct: false, k: *k as u64, best: Vec::new() })),
        Spec::TopKDistinct { k } => {
            Keeper::Dense(Box::new(Top { distinct: true, k: *k as u64, best: Vec::new() }))
        }
        Spec::Latest { ignore_nulls, n: None } => {
            Keeper::Winner(End::Latest, latest.call(kind(*ignore_nulls)))
        }
        Spec::Earliest { ignore_nulls, n: None } => {
            Keeper::Winner(End::Earliest, earliest.call(kind(*ignore_nulls)))
        }
        Spec::Latest { ignore_nulls, n: Some(n) } => winner_n(End::Latest, *n, *ignore_nulls),
        Spec::Earliest { ignore_nulls, n: Some(n) } => winner_n(End::Earliest, *n, *ignore_nulls),
        Spec::LatestRow { .. } => Keeper::Winner(End::Latest, latest.call(Kind::Row)),
        Spec::CollectList => Keeper::Elements,
        Spec::CountDistinct | Spec::CollectSet | Spec::Attr | Spec::Histogram | Spec::Percentile { .. } => {
            Keeper::Elements
        }
    }
}

fn sum(ty: &SqlType) -> Box<dyn Dense> {
    match ty {
        SqlType::Double => Box::new(ExactSums { avg: false, sums: Vec::new() }),
        SqlType::Decimal { .. } => Box::new(WideSums { avg: false, sums: Vec::new() }),
        _ => Box::<Wrapping>::default(),
    }
}

fn avg(ty: &SqlType) -> Box<dyn Dense> {
    match ty {
        SqlType::Double => Box::new(ExactSums { avg: true, sums: Vec::new() }),
        SqlType::Int => Box::<AvgInt>::default(),
        _ => Box::new(WideSums { avg: true, sums: Vec::new() }),
    }
}

fn extreme(ty: Option<&SqlType>, max: bool) -> Box<dyn Dense> {
    let form = match ty {
        Some(SqlType::Varchar) => return Box::new(ExtremeBytes::new(max, packed::VARCHAR)),
        Some(SqlType::Decimal { scale, .. }) => {
            return Box::new(ExtremeDecimal { max, best: Vec::new(), scale: *scale });
        }
        Some(SqlType::Boolean) => Form::Boolean,
        Some(SqlType::Int) => Form::Integer(packed::INT),
        Some(SqlType::Bigint) => Form::Integer(packed::BIGINT),
        Some(SqlType::Double) => Form::Double,
        Some(SqlType::Date) => Form::Integer(packed::DATE),
        Some(SqlType::Time) => Form::Integer(packed::TIME),
        Some(SqlType::Timestamp) => Form::Integer(packed::TIMESTAMP),
        // Nested types have no MIN or MAX: resolving refuses them.
        _ => return Box::new(ExtremeBytes::new(max, packed::BYTES)),
    };
    Box::new(Extreme64::new(max, form))
}
