use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Values by name, so many at most: the oldest names make room.
pub(super) struct Bounded<V> {
    values: HashMap<Arc<str>, V>,
    order: VecDeque<Arc<str>>,
    most: usize,
}

impl<V> Bounded<V> {
    pub(super) fn new(most: usize) -> Self {
        Self { values: HashMap::new(), order: VecDeque::new(), most }
    }

    pub(super) fn find(&mut self, name: &str) -> Option<&mut V> {
        self.values.get_mut(name)
    }

    pub(super) fn put(&mut self, name: Arc<str>, value: V) {
        if self.values.insert(Arc::clone(&name), value).is_none() {
            self.order.push_back(name);
        }
        while self.order.len() > self.most {
            let Some(oldest) = self.order.pop_front() else { return };
            self.values.remove(&oldest);
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        if self.values.remove(name).is_some() {
            self.order.retain(|known| **known != *name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room_and_what_was_removed_counts_no_more() {
        let mut bounded = Bounded::new(2);
        for (at, name) in ["a", "b", "a", "c"].into_iter().enumerate() {
            bounded.put(name.into(), at);
        }
        assert_eq!((bounded.find("a").copied(), bounded.values.len()), (None, 2));
        bounded.remove("b");
        bounded.put("d".into(), 9);
        assert_eq!((bounded.find("c").copied(), bounded.find("d").copied()), (Some(3), Some(9)));
    }
}
