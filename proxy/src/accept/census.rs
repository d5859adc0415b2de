//! How many connections there are: one caller must not take all the places of the others.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::rc::Rc;

use crate::descriptors;

/// How many connections one worker holds at once.
const ALL_MAX: usize = 16_384;

/// How many of them one caller may hold: its user id, or nobody known.
const CALLER_MAX: usize = 12_288;

/// How many connections beyond that are told so at once; what comes then is closed without a word.
const REFUSED_MAX: usize = 64;

/// The connections of one worker.
#[derive(Debug)]
pub(super) struct Census {
    all_max: usize,
    caller_max: usize,
    all: Cell<usize>,
    refused: Cell<usize>,
    by_caller: RefCell<HashMap<Option<u32>, usize>>,
}

/// The place of one connection; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    census: Rc<Census>,
    of: Of,
}

/// Whose a place is.
#[derive(Clone, Copy, Debug)]
enum Of {
    Caller(Option<u32>),
    /// Nobody's: it is only refused.
    Refused,
}

impl Default for Census {
    fn default() -> Self {
        Self::with_places(ALL_MAX, CALLER_MAX)
    }
}

impl Census {
    fn with_places(all_max: usize, caller_max: usize) -> Self {
        Self { all_max, caller_max, all: Cell::new(0), refused: Cell::new(0), by_caller: RefCell::default() }
    }

    /// A place for this connection of this user id; `None` where there is none left for it, or no descriptor beyond the reserve.
    pub(super) fn enter(self: &Rc<Self>, stream: &impl AsFd, caller: Option<u32>) -> Option<Place> {
        if descriptors::left_after(stream) < descriptors::RESERVE { None } else { self.enter_as(caller) }
    }

    fn enter_as(self: &Rc<Self>, caller: Option<u32>) -> Option<Place> {
        let mut by_caller = self.by_caller.borrow_mut();
        let held = by_caller.get(&caller).copied().unwrap_or(0);
        if self.all.get() >= self.all_max || held >= self.caller_max {
            return None;
        }
        by_caller.insert(caller, held + 1);
        self.all.set(self.all.get() + 1);
        Some(Place { census: Rc::clone(self), of: Of::Caller(caller) })
    }

    /// A place for a connection that is only told that there is none; `None` where too many are being told.
    pub(super) fn refuse(self: &Rc<Self>, stream: &impl AsFd) -> Option<Place> {
        if descriptors::left_after(stream) < descriptors::RESERVE_TO_TELL { None } else { self.refuse_one() }
    }

    fn refuse_one(self: &Rc<Self>) -> Option<Place> {
        let refused = self.refused.get();
        (refused < REFUSED_MAX).then(|| {
            self.refused.set(refused + 1);
            Place { census: Rc::clone(self), of: Of::Refused }
        })
    }

    /// How many connections there are now.
    pub(super) fn count(&self) -> usize {
        self.all.get()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Of::Caller(caller) = self.of else { return self.census.refused.set(self.census.refused.get() - 1) };
        self.census.all.set(self.census.all.get() - 1);
        let mut by_caller = self.census.by_caller.borrow_mut();
        if let Some(held) = by_caller.get_mut(&caller) {
            *held -= 1;
            if *held == 0 {
                by_caller.remove(&caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_leaves_places_to_the_others() {
        let census = Rc::new(Census::with_places(3, 2));
        let (one, two) = (census.enter_as(Some(1)).unwrap(), census.enter_as(Some(1)).unwrap());
        assert!(census.enter_as(Some(1)).is_none(), "its share is used up");
        let other = census.enter_as(Some(2)).unwrap();
        assert!(census.enter_as(None).is_none(), "all places are taken");
        let told: Vec<_> = (0..REFUSED_MAX).map(|_| census.refuse_one().unwrap()).collect();
        assert!(census.refuse_one().is_none(), "a flood is closed without a word");
        drop(told);
        assert!(census.refuse_one().is_some());
        drop((one, other));
        assert_eq!(census.count(), 1);
        assert!(census.enter_as(Some(1)).is_some());
        drop(two);
        assert_eq!(census.count(), 0);
        assert!(census.by_caller.borrow().is_empty());
    }
}
