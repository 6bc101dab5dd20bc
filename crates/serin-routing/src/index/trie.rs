//! Which of many prefixes a text begins with: a radix tree over bytes.

use super::List;

/// A set of prefixes, each with a list.
#[derive(Debug, Default)]
pub(crate) struct PrefixTree {
    nodes: Vec<Node>,
    /// First byte of each node's label, beside `nodes` to be searched quickly.
    first_bytes: Vec<u8>,
    labels: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    label_start: u32,
    label_length: u32,
    /// Children lie side by side, by first byte.
    first_child: u32,
    children: u32,
    list: List,
}

/// A node to be filled in: its prefixes share their first `depth` bytes, which ancestors have.
struct Open<'e, 'k> {
    node: usize,
    depth: usize,
    entries: &'e [(&'k [u8], List)],
}

impl PrefixTree {
    /// The tree of prefixes in ascending order without repetition.
    pub(crate) fn new(entries: &[(&[u8], List)]) -> Self {
        let mut tree = Self::default();
        if entries.is_empty() {
            return tree;
        }
        tree.push_node(0);
        let mut open = vec![Open { node: 0, depth: 0, entries }];
        while let Some(next) = open.pop() {
            tree.fill(&next, &mut open);
        }
        tree
    }

    fn push_node(&mut self, first_byte: u8) {
        self.nodes.push(Node::default());
        self.first_bytes.push(first_byte);
    }

    fn fill<'e, 'k>(&mut self, task: &Open<'e, 'k>, open: &mut Vec<Open<'e, 'k>>) {
        let (Some((shortest, list)), Some((last, _))) = (task.entries.first(), task.entries.last())
        else {
            return;
        };
        // In ascending order, what the first and the last share, all share.
        let shared = shortest.iter().zip(*last).take_while(|(left, right)| left == right).count();
        let label_start = self.labels.len();
        self.labels.extend_from_slice(&shortest[task.depth..shared]);
        let mut rest = task.entries;
        let mut own = List::default();
        if shortest.len() == shared {
            own = *list;
            rest = &rest[1..];
        }
        let first_child = self.nodes.len();
        for group in rest.chunk_by(|(left, _), (right, _)| left[shared] == right[shared]) {
            open.push(Open { node: self.nodes.len(), depth: shared, entries: group });
            self.push_node(group[0].0[shared]);
        }
        self.nodes[task.node] = Node {
            label_start: index(label_start),
            label_length: index(shared - task.depth),
            first_child: index(first_child),
            children: index(self.nodes.len() - first_child),
            list: own,
        };
    }

    /// Visits the list of every prefix of `text`, the shortest first.
    pub(crate) fn visit(&self, text: &[u8], mut visit: impl FnMut(List)) {
        let mut rest = text;
        let mut current = self.nodes.first();
        while let Some(node) = current {
            let label = &self.labels[node.label_start as usize..][..node.label_length as usize];
            let Some(after) = rest.strip_prefix(label) else { return };
            rest = after;
            if !node.list.is_empty() {
                visit(node.list);
            }
            let Some(byte) = rest.first() else { return };
            let children = &self.first_bytes[node.first_child as usize..][..node.children as usize];
            let Ok(child) = children.binary_search(byte) else { return };
            current = self.nodes.get(node.first_child as usize + child);
        }
    }
}

fn index(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(prefixes: &[&[u8]], text: &[u8]) -> Vec<u32> {
        let lists = (0..).map(|start| List { start, length: 1 });
        let entries: Vec<_> = prefixes.iter().copied().zip(lists).collect();
        let mut found = Vec::new();
        PrefixTree::new(&entries).visit(text, |list| found.push(list.start));
        found
    }

    #[test]
    fn every_prefix_is_visited_shortest_first() {
        let prefixes: [&[u8]; 6] = [b"", b"/a", b"/a/b", b"/a/bc", b"/ab", b"/x"];
        assert_eq!(found(&prefixes, b"/a/bcd"), [0, 1, 2, 3]);
        assert_eq!(found(&prefixes, b"/abc"), [0, 1, 4]);
        assert_eq!(found(&prefixes, b"y"), [0]);
        assert!(found(&[], b"y").is_empty());
        assert!(found(&[b"/long"], b"/lo").is_empty());
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_a_scan_finds(
            mut prefixes in prop::collection::vec("[ab/\u{e9}]{0,6}", 0..30),
            text in "[ab/\u{e9}]{0,10}",
        ) {
            prefixes.sort();
            prefixes.dedup();
            let bytes: Vec<&[u8]> = prefixes.iter().map(|prefix| prefix.as_bytes()).collect();
            let scan: Vec<u32> =
                (0..).zip(&prefixes).filter(|(_, prefix)| text.starts_with(prefix.as_str())).map(|(at, _)| at).collect();
            prop_assert_eq!(found(&bytes, text.as_bytes()), scan);
        }
    }
}
