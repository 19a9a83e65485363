//! Places the nodes of a directed graph in layers, from left to right, with few crossings.
//!
//! Sugiyama's four steps: break cycles, give each node a layer, order the layers so that few edges cross,
//! and place the nodes of each layer as near to their neighbours as the order leaves room. An edge over
//! several layers goes through a point in each, which is ordered and placed as a node is.

use std::cmp::Ordering;

/// Between the boxes of a layer, and between layers.
const GAP: f64 = 22.0;
const LAYER_GAP: f64 = 76.0;
const MARGIN: f64 = 16.0;
/// The room that an edge takes where it passes a layer.
const PASS: f64 = 10.0;
/// Each goes down the layers and up again.
const SWEEPS: usize = 12;
const ALIGNMENTS: usize = 8;

/// Where everything is, in the order in which it was given.
#[derive(Debug, Default, PartialEq)]
pub struct Laid {
    pub width: f64,
    pub height: f64,
    /// Upper left corners.
    pub nodes: Vec<(f64, f64)>,
    pub edges: Vec<Vec<(f64, f64)>>,
}

/// `sizes`: width and height of each node; `edges`: from and to, as indices of nodes.
pub fn layout(sizes: &[(f64, f64)], edges: &[(usize, usize)]) -> Laid {
    if sizes.is_empty() {
        return Laid::default();
    }
    let forward = without_cycles(sizes.len(), edges);
    let layer_of = layers(sizes.len(), &forward);
    let mut graph = Layered::new(sizes, &forward, &layer_of);
    graph.order();
    graph.place();
    graph.finish(sizes, edges, &layer_of)
}

/// The edges, turned where they would close a cycle; one from a node to itself is left out.
fn without_cycles(nodes: usize, edges: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    edges.iter().for_each(|&(from, to)| out[from].push(to));
    // 0: not seen, 1: on the path, 2: done.
    let mut state = vec![0_u8; nodes];
    let mut turned: Vec<(usize, usize)> = Vec::new();
    for root in 0..nodes {
        let mut path = vec![(root, 0)];
        while let Some((node, next)) = path.last_mut() {
            if *next == 0 && state[*node] != 0 {
                path.pop();
                continue;
            }
            state[*node] = 1;
            match out[*node].get(*next) {
                None => {
                    state[*node] = 2;
                    path.pop();
                }
                Some(&to) => {
                    *next += 1;
                    match state[to] {
                        0 => path.push((to, 0)),
                        1 => turned.push((*node, to)),
                        _ => {}
                    }
                }
            }
        }
    }
    let direct = |&(from, to): &(usize, usize)| match turned.contains(&(from, to)) {
        true => (to, from),
        false => (from, to),
    };
    edges.iter().map(direct).filter(|(from, to)| from != to).collect()
}

/// The longest way to each node; one that nothing leads to stands right before what it leads to.
fn layers(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut layer = vec![0; nodes];
    // Without cycles no way is longer than there are nodes.
    for _ in 0..nodes {
        let mut moved = false;
        for &(from, to) in edges {
            if layer[to] < layer[from] + 1 {
                layer[to] = layer[from] + 1;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    for node in 0..nodes {
        let is_root = edges.iter().all(|&(_, to)| to != node);
        let nearest = edges.iter().filter(|(from, _)| *from == node).map(|&(_, to)| layer[to]).min();
        if let (true, Some(nearest)) = (is_root, nearest) {
            layer[node] = nearest - 1;
        }
    }
    layer
}

/// Nodes and the points of long edges, layer by layer.
struct Layered {
    /// In their order from above.
    layers: Vec<Vec<usize>>,
    heights: Vec<f64>,
    widths: Vec<f64>,
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
    /// The points that an edge passes, from its lower layer to its upper one, by the edge as directed.
    passes: Vec<((usize, usize), Vec<usize>)>,
    centres: Vec<f64>,
}

impl Layered {
    fn new(sizes: &[(f64, f64)], edges: &[(usize, usize)], layer_of: &[usize]) -> Layered {
        let count = layer_of.iter().max().map_or(0, |last| last + 1);
        let mut layers = vec![Vec::new(); count];
        layer_of.iter().enumerate().for_each(|(node, &layer)| layers[layer].push(node));
        let mut graph = Layered {
            layers,
            heights: sizes.iter().map(|size| size.1).collect(),
            widths: sizes.iter().map(|size| size.0).collect(),
            before: vec![Vec::new(); sizes.len()],
            after: vec![Vec::new(); sizes.len()],
            passes: Vec::new(),
            centres: Vec::new(),
        };
        for &(from, to) in edges {
            let mut last = from;
            let mut points = Vec::new();
            for layer in layer_of[from] + 1..layer_of[to] {
                let point = graph.heights.len();
                graph.heights.push(PASS);
                graph.widths.push(0.0);
                graph.before.push(Vec::new());
                graph.after.push(Vec::new());
                graph.layers[layer].push(point);
                graph.join(last, point);
                points.push(point);
                last = point;
            }
            graph.join(last, to);
            graph.passes.push(((from, to), points));
        }
        graph
    }

    fn join(&mut self, from: usize, to: usize) {
        self.after[from].push(to);
        self.before[to].push(from);
    }

    /// Sorts each layer by where its neighbours in the one before, or behind, stand; keeps the best.
    fn order(&mut self) {
        let mut best = self.layers.clone();
        let mut fewest = self.crossings();
        for sweep in 0..SWEEPS {
            let down = sweep % 2 == 0;
            let count = self.layers.len();
            for step in 1..count {
                let layer = if down { step } else { count - 1 - step };
                let fixed = if down { layer - 1 } else { layer + 1 };
                self.sort(layer, fixed, down);
            }
            let crossings = self.crossings();
            if crossings < fewest {
                fewest = crossings;
                best = self.layers.clone();
            }
        }
        self.layers = best;
    }

    fn sort(&mut self, layer: usize, fixed: usize, down: bool) {
        let mut at = vec![0.0; self.heights.len()];
        self.layers[fixed].iter().enumerate().for_each(|(i, &node)| at[node] = i as f64);
        let neighbours = if down { &self.before } else { &self.after };
        let own = self.layers[layer].iter().enumerate();
        let mut keyed: Vec<(f64, usize)> = own
            .map(|(i, &node)| {
                let near = &neighbours[node];
                let mean = near.iter().map(|&n| at[n]).sum::<f64>() / near.len() as f64;
                (if near.is_empty() { i as f64 } else { mean }, node)
            })
            .collect();
        keyed.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal));
        self.layers[layer] = keyed.into_iter().map(|(_, node)| node).collect();
    }

    fn crossings(&self) -> usize {
        let mut at = vec![0; self.heights.len()];
        self.layers.iter().for_each(|layer| layer.iter().enumerate().for_each(|(i, &node)| at[node] = i));
        let mut crossings = 0;
        for layer in &self.layers {
            // How many edges have ended at each place of the next layer so far, as a Fenwick tree.
            let ends = layer.iter().flat_map(|&node| &self.after[node]).map(|&to| at[to] + 1).max();
            let mut tree = vec![0; ends.unwrap_or(0) + 1];
            let mut seen = 0;
            for &node in layer {
                for &to in &self.after[node] {
                    crossings += seen - sum(&tree, at[to] + 1);
                }
                for &to in &self.after[node] {
                    add(&mut tree, at[to] + 1);
                    seen += 1;
                }
            }
        }
        crossings
    }

    /// Moves each node to the mean of its neighbours, as near as those above and below it allow.
    fn place(&mut self) {
        self.centres = vec![0.0; self.heights.len()];
        for layer in &self.layers {
            let mut y = 0.0;
            for &node in layer {
                self.centres[node] = y + self.heights[node] / 2.0;
                y += self.heights[node] + GAP;
            }
        }
        for round in 0..ALIGNMENTS {
            let count = self.layers.len();
            for step in 0..count {
                let layer = if round % 2 == 0 { step } else { count - 1 - step };
                let wanted: Vec<f64> = self.layers[layer].iter().map(|&node| self.wanted(node)).collect();
                self.settle(layer, &wanted);
            }
        }
    }

    fn wanted(&self, node: usize) -> f64 {
        let near = self.before[node].iter().chain(&self.after[node]);
        let (count, sum) = near.fold((0.0, 0.0), |(count, sum), &n| (count + 1.0, sum + self.centres[n]));
        if count == 0.0 { self.centres[node] } else { sum / count }
    }

    /// The places with the least squares of distances to what is wanted, in order and apart: blocks of
    /// nodes that touch are pooled as long as they would overlap.
    fn settle(&mut self, layer: usize, wanted: &[f64]) {
        let nodes = &self.layers[layer];
        // How far below the first one each would be if all touched.
        let mut offsets = Vec::with_capacity(nodes.len());
        let mut below = 0.0;
        for (i, &node) in nodes.iter().enumerate() {
            if i > 0 {
                below += self.heights[nodes[i - 1]] / 2.0 + GAP + self.heights[node] / 2.0;
            }
            offsets.push(below);
        }
        // Sum and number of what the blocks' nodes want, less their offsets.
        let mut blocks: Vec<(f64, usize)> = Vec::new();
        for (want, offset) in wanted.iter().zip(&offsets) {
            blocks.push((want - offset, 1));
            while let [.., (sum, count), (next, more)] = blocks[..]
                && sum / count as f64 > next / more as f64
            {
                blocks.pop();
                *blocks.last_mut().expect("there were two") = (sum + next, count + more);
            }
        }
        let starts = blocks.iter().flat_map(|&(sum, count)| std::iter::repeat_n(sum / count as f64, count));
        let centres: Vec<f64> = starts.zip(&offsets).map(|(start, offset)| start + offset).collect();
        for (node, centre) in self.layers[layer].iter().zip(centres) {
            self.centres[*node] = centre;
        }
    }

    fn finish(&self, sizes: &[(f64, f64)], edges: &[(usize, usize)], layer_of: &[usize]) -> Laid {
        let width_of = |layer: &Vec<usize>| layer.iter().map(|&n| self.widths[n]).fold(0.0, f64::max);
        let mut x = MARGIN;
        let mut lefts = Vec::new();
        for layer in &self.layers {
            lefts.push(x);
            x += width_of(layer) + LAYER_GAP;
        }
        let tops = self.centres.iter().zip(&self.heights).map(|(centre, height)| centre - height / 2.0);
        let shift = MARGIN - tops.fold(f64::INFINITY, f64::min);
        let bottoms = self.centres.iter().zip(&self.heights).map(|(centre, height)| centre + height / 2.0);
        let height = bottoms.fold(0.0_f64, f64::max) + shift + MARGIN;
        let y = |node: usize| round(self.centres[node] + shift);
        let top = |node: usize| round(self.centres[node] + shift - self.heights[node] / 2.0);
        let nodes: Vec<(f64, f64)> = (0..sizes.len()).map(|n| (lefts[layer_of[n]], top(n))).collect();
        let edge = |&(from, to): &(usize, usize)| {
            let passed = self.passes.iter().find(|(edge, _)| *edge == (from, to) || *edge == (to, from));
            let start = (nodes[from].0 + sizes[from].0, y(from));
            let end = (nodes[to].0, y(to));
            let mut between = Vec::new();
            if let Some((edge, points)) = passed {
                let first = layer_of[edge.0] + 1;
                between.extend(points.iter().enumerate().flat_map(|(i, &point)| {
                    let left = lefts[first + i];
                    [(left, y(point)), (left + width_of(&self.layers[first + i]), y(point))]
                }));
                if *edge != (from, to) {
                    between.reverse();
                }
            }
            [start].into_iter().chain(between).chain([end]).collect()
        };
        Laid {
            width: x - LAYER_GAP + MARGIN,
            height: round(height),
            edges: edges.iter().map(edge).collect(),
            nodes,
        }
    }
}

fn round(pixels: f64) -> f64 {
    (pixels * 2.0).round() / 2.0
}

fn sum(tree: &[usize], mut at: usize) -> usize {
    let mut sum = 0;
    while at > 0 {
        sum += tree[at];
        at &= at - 1;
    }
    sum
}

fn add(tree: &mut [usize], mut at: usize) {
    while at < tree.len() {
        tree[at] += 1;
        at += at & at.wrapping_neg();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: (f64, f64) = (100.0, 40.0);

    fn laid(nodes: usize, edges: &[(usize, usize)]) -> Laid {
        layout(&vec![SIZE; nodes], edges)
    }

    #[test]
    fn a_chain_is_a_line_and_a_crossing_is_undone() {
        let chain = laid(3, &[(0, 1), (1, 2)]);
        assert_eq!(chain.nodes, [(16.0, 16.0), (192.0, 16.0), (368.0, 16.0)]);
        assert_eq!(chain.edges[0], [(116.0, 36.0), (192.0, 36.0)]);
        assert_eq!((chain.width, chain.height), (484.0, 72.0));
        let crossed = laid(4, &[(0, 3), (1, 2)]);
        assert!(crossed.nodes[0].1 < crossed.nodes[1].1);
        assert!(crossed.nodes[3].1 < crossed.nodes[2].1);
    }

    #[test]
    fn a_long_edge_passes_what_is_between() {
        let graph = laid(3, &[(0, 1), (1, 2), (0, 2)]);
        let way = &graph.edges[2];
        assert_eq!(way.len(), 4);
        let middle = graph.nodes[1].1..graph.nodes[1].1 + SIZE.1;
        assert!(!middle.contains(&way[1].1), "{way:?} goes through {middle:?}");
    }

    #[test]
    fn a_cycle_has_an_edge_that_goes_back() {
        let graph = laid(3, &[(0, 1), (1, 2), (2, 0), (1, 1)]);
        assert_eq!(graph.edges.len(), 4);
        let back = &graph.edges[2];
        assert!(back[0].0 > back[back.len() - 1].0);
    }

    proptest! {
        #[test]
        fn nothing_overlaps_and_edges_go_right(
            edges in prop::collection::vec((0..30_usize, 0..30_usize), 0..80)
        ) {
            let edges: Vec<_> = edges.into_iter().filter(|(a, b)| a < b).collect();
            let graph = laid(30, &edges);
            for (i, a) in graph.nodes.iter().enumerate() {
                prop_assert!(a.0 >= 0.0 && a.1 >= 0.0 && a.1 + SIZE.1 <= graph.height);
                for b in &graph.nodes[..i] {
                    prop_assert!(a.0 != b.0 || (a.1 - b.1).abs() >= SIZE.1, "{a:?} {b:?}");
                }
            }
            for edge in &graph.edges {
                prop_assert!(edge.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{edge:?}");
            }
        }
    }
}
