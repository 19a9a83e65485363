//! Plans that become others while their dataflows run: CREATE OR REPLACE and ALTER of what is used.
//!
//! Inputs and outputs stay what they are, and so does what is kept; filters, expressions and the columns
//! behind the known ones may change. An operator that was made by such a part of a plan watches it, and makes
//! itself anew before it looks at what comes next.

use crate::plan::{DataflowId, DataflowPlan};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

type Slot = RefCell<Option<Rc<DataflowPlan>>>;

/// Who watches which plan, on one worker.
#[derive(Default)]
pub struct Changing(RefCell<BTreeMap<DataflowId, Vec<Weak<Slot>>>>);

/// An operator's side.
pub struct Watch(Rc<Slot>);

impl Changing {
    pub fn watch(&self, id: DataflowId) -> Watch {
        let slot = Rc::<Slot>::default();
        self.0.borrow_mut().entry(id).or_default().push(Rc::downgrade(&slot));
        Watch(slot)
    }

    /// From now on the plan of its number is this one.
    pub fn change(&self, plan: DataflowPlan) {
        let watchers = self.0.borrow();
        let watchers = watchers.get(&plan.id()).into_iter().flatten().filter_map(Weak::upgrade);
        let plan = Rc::new(plan);
        watchers.for_each(|slot| *slot.borrow_mut() = Some(Rc::clone(&plan)));
    }

    pub fn forget(&self, id: DataflowId) {
        self.0.borrow_mut().remove(&id);
    }
}

impl Watch {
    /// The plan, if it has become another one since this was asked last.
    pub fn changed(&self) -> Option<Rc<DataflowPlan>> {
        self.0.borrow_mut().take()
    }
}
