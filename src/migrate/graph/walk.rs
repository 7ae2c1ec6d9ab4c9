//! The order of revisions from the top down, as Alembic's `_topological_sort` has it.
//!
//! A frontier of revisions moves down from the tops. A branch is followed until something else on the frontier
//! still stands on the next revision of it; then the first of those is followed. Alembic keeps the set of ancestors
//! of everything on the frontier. Here every revision keeps what stands on it in a heap, by where on the frontier
//! it leads to: the same order, at a cost that grows with the number of edges instead of its square.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Graph, Index};

/// A place on the frontier. What follows in the same place keeps its number and new places get higher ones:
/// their order is that of Alembic's list.
type Slot = usize;

type Heap = BinaryHeap<Reverse<(Slot, Index)>>;

impl Graph {
    /// `todo` from the top down, beginning at `tops`: what is reached from them through `todo`.
    pub(super) fn top_down(&self, todo: Vec<bool>, tops: &[Index]) -> Vec<Index> {
        let mut walk = Walk::new(self, todo, tops);
        let mut order = Vec::new();
        let mut here = walk.first;
        while let Some(slot) = here {
            let candidate = walk.slots[slot].holds;
            here = match walk.lowest_above(candidate) {
                Some(blocker) => Some(blocker),
                None => {
                    order.push(candidate);
                    walk.move_down(slot)
                }
            };
        }
        order
    }
}

#[derive(Debug)]
struct Position {
    holds: Index,
    before: Option<Slot>,
    after: Option<Slot>,
}

struct Walk<'a> {
    graph: &'a Graph,
    todo: Vec<bool>,
    /// Tops and what is below them: nothing else can block.
    region: Vec<bool>,
    done: Vec<bool>,
    slots: Vec<Position>,
    first: Option<Slot>,
    last: Option<Slot>,
    /// Where on the frontier a revision is.
    slot_of: Vec<Option<Slot>>,
    /// What stands directly on a revision, by a lower bound of the slot that it leads to. `None`: not asked yet.
    ///
    /// The bounds stay true: a slot that is not above a revision never comes to be, for it only moves down.
    above: Vec<Option<Heap>>,
    /// What [`Walk::lowest_above`] last found for a revision. It holds while the holder has not moved.
    known: Vec<Known>,
}

/// Where on the frontier what stands on a revision is first met.
#[derive(Debug, Clone, Copy)]
enum Known {
    NotAsked,
    /// Nowhere, and so for ever.
    Nowhere,
    At {
        slot: Slot,
        holder: Index,
    },
}

impl<'a> Walk<'a> {
    fn new(graph: &'a Graph, todo: Vec<bool>, tops: &[Index]) -> Self {
        let mut tops: Vec<Index> = tops.iter().copied().filter(|&top| todo[top]).collect();
        tops.sort_unstable();
        tops.dedup();
        let mut walk = Self {
            graph,
            region: graph.reach(&tops, |node| &node.below),
            done: vec![false; todo.len()],
            slots: Vec::new(),
            first: None,
            last: None,
            slot_of: vec![None; todo.len()],
            above: vec![None; todo.len()],
            known: vec![Known::NotAsked; todo.len()],
            todo,
        };
        tops.into_iter().for_each(|top| walk.append(top));
        walk
    }

    fn append(&mut self, holds: Index) {
        let slot = self.slots.len();
        self.slots.push(Position { holds, before: self.last, after: None });
        match self.last {
            Some(last) => self.slots[last].after = Some(slot),
            None => self.first = Some(slot),
        }
        self.last = Some(slot);
        self.slot_of[holds] = Some(slot);
    }

    /// Takes `slot` off the frontier; gives the place before it, or the first that is left.
    fn remove(&mut self, slot: Slot) -> Option<Slot> {
        let Position { before, after, .. } = self.slots[slot];
        match before {
            Some(before) => self.slots[before].after = after,
            None => self.first = after,
        }
        match after {
            Some(after) => self.slots[after].before = before,
            None => self.last = before,
        }
        before.or(self.first)
    }

    /// Done with what is at `slot`: what is below it takes its place. Gives where to go on.
    fn move_down(&mut self, slot: Slot) -> Option<Slot> {
        let graph = self.graph;
        let leaving = self.slots[slot].holds;
        self.done[leaving] = true;
        self.slot_of[leaving] = None;
        let mut moved = false;
        for &lower in &graph.nodes[leaving].below {
            if !self.todo[lower] || self.done[lower] || self.slot_of[lower].is_some() {
                continue;
            }
            if moved {
                self.append(lower);
            } else {
                self.slots[slot].holds = lower;
                self.slot_of[lower] = Some(slot);
                moved = true;
            }
        }
        if moved { Some(slot) } else { self.remove(slot) }
    }

    /// The first place on the frontier that holds what stands, at any distance, on `on`.
    ///
    /// A loop over a stack of its own: a chain may be longer than the thread's stack is deep.
    fn lowest_above(&mut self, on: Index) -> Option<Slot> {
        if let Some(known) = self.recall(on) {
            return known;
        }
        let mut asked = vec![on];
        while let Some(&node) = asked.last() {
            let mut heap = self.above[node].take().unwrap_or_else(|| self.heap_of(node));
            match self.look_up(&mut heap) {
                Ok(found) => {
                    let at = |slot: Slot| Known::At { slot, holder: self.slots[slot].holds };
                    self.known[node] = found.map_or(Known::Nowhere, at);
                    asked.pop();
                }
                Err(upper) => asked.push(upper),
            }
            self.above[node] = Some(heap);
        }
        self.recall(on).flatten()
    }

    /// The answer of [`Walk::lowest_above`], if it is known: it can't have sunk since it was found, and it has not
    /// risen while what was found is still there.
    fn recall(&self, on: Index) -> Option<Option<Slot>> {
        match self.known[on] {
            Known::NotAsked => None,
            Known::Nowhere => Some(None),
            Known::At { slot, holder } => (self.slot_of[holder] == Some(slot)).then_some(Some(slot)),
        }
    }

    /// The lowest slot that a revision's heap leads to, or the revision of which that must be known before.
    fn look_up(&self, heap: &mut Heap) -> Result<Option<Slot>, Index> {
        while let Some(&Reverse((bound, upper))) = heap.peek() {
            if self.done[upper] {
                heap.pop();
                continue;
            }
            let own = self.slot_of[upper];
            if own == Some(bound) {
                return Ok(own);
            }
            let exact = own.into_iter().chain(self.recall(upper).ok_or(upper)?).min();
            if exact == Some(bound) {
                return Ok(exact);
            }
            heap.pop();
            heap.extend(exact.map(|slot| Reverse((slot, upper))));
        }
        Ok(None)
    }

    fn heap_of(&self, node: Index) -> Heap {
        let above = self.graph.nodes[node].above.iter();
        above.filter(|&&upper| self.region[upper]).map(|&upper| Reverse((0, upper))).collect()
    }
}
