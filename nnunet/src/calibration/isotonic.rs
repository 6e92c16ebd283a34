//! Isotonic regression: the decreasing curve with the least squared error.
//!
//! Pool adjacent violators (Ayer et al., 1955): from left to right, neighbors in the wrong order are replaced by their
//! mean. Equal scores are one point. Linear between the ends of the pools, as in scikit-learn.

use serde::{Deserialize, Serialize};

/// A point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knot {
    /// Uncertainty.
    pub score: f64,
    /// Expected Dice at this score.
    pub dice: f64,
}

/// Neighbors that share a value.
#[derive(Clone, Copy)]
struct Pool {
    first: f64,
    last: f64,
    sum: f64,
    n: f64,
}

impl Pool {
    fn mean(self) -> f64 {
        self.sum / self.n
    }

    fn and(self, next: Self) -> Self {
        Self { first: self.first, last: next.last, sum: self.sum + next.sum, n: self.n + next.n }
    }
}

/// Fits the curve to pairs (score, Dice) in any order; scores ascend strictly in the result, Dice never ascends.
pub fn decreasing(pairs: &[(f64, f64)]) -> Vec<Knot> {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut pools: Vec<Pool> = Vec::new();
    // Of ascending scores, those not below the next are equal to it; so are 0 and -0.
    for tied in sorted.chunk_by(|a, b| a.0 >= b.0) {
        let sum = tied.iter().map(|(_, dice)| dice).sum();
        let mut pool = Pool { first: tied[0].0, last: tied[0].0, sum, n: tied.len() as f64 };
        while let Some(previous) = pools.pop() {
            if previous.mean() > pool.mean() {
                pools.push(previous);
                break;
            }
            pool = previous.and(pool);
        }
        pools.push(pool);
    }
    let ends = |pool: Pool| {
        let n_ends = if pool.first < pool.last { 2 } else { 1 };
        [pool.first, pool.last].into_iter().take(n_ends).map(move |score| Knot { score, dice: pool.mean() })
    };
    pools.into_iter().flat_map(ends).collect()
}

/// The curve at `score`: linear between knots, constant beyond them; `None` without knots.
pub fn value_at(knots: &[Knot], score: f64) -> Option<f64> {
    let after = knots.partition_point(|knot| knot.score <= score);
    let before = after.checked_sub(1).map(|i| knots[i]);
    match (before, knots.get(after)) {
        (Some(before), Some(after)) => {
            let part = (score - before.score) / (after.score - before.score);
            Some(before.dice + part * (after.dice - before.dice))
        }
        (before, after) => before.or(after.copied()).map(|knot| knot.dice),
    }
}
