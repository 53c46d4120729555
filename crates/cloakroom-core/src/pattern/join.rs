//! Brings together what a pattern says about one member in several places.
//!
//! `{"items": {"sku": ["a"]}, "$or": [{"items": {"state": ["lost"]}}, …]}` wants one item that is both. Holding the two `items` against
//! the event one after the other would accept two different items, so such a `$or` is spread out: one alternative per branch, with
//! the two `items` merged into one. A `$or` that shares no object with its surroundings, the usual kind, stays as it is.

use std::collections::BTreeSet;

use super::PatternProblem;
use super::node::{Member, Node};

/// How many members spreading may copy, over the whole pattern.
pub(super) const COPIES_MAX: usize = 50_000;

/// The node for these members and `$or`s, with no object told about twice.
pub(super) fn join(node: Node, copies: &mut usize) -> Result<Node, PatternProblem> {
    let reach: Vec<_> = node
        .ors
        .iter()
        .map(|branches| objects_in(branches))
        .collect();
    let own = objects_of(&node);
    let shared: Vec<bool> = (0..reach.len())
        .map(|at| {
            let others = reach
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at)
                .map(|(_, names)| names);
            !own.is_disjoint(&reach[at])
                || others
                    .into_iter()
                    .any(|names| !names.is_disjoint(&reach[at]))
        })
        .collect();
    if !shared.contains(&true) {
        return Ok(node);
    }
    let Node { members, ors } = node;
    let mut kept = Vec::new();
    let mut alternatives = vec![Node {
        members,
        ors: Vec::new(),
    }];
    for (branches, shared) in ors.into_iter().zip(shared) {
        if shared {
            alternatives = spread(&alternatives, &branches, copies)?;
        } else {
            kept.push(branches);
        }
    }
    kept.push(alternatives);
    Ok(Node {
        members: Vec::new(),
        ors: kept,
    })
}

fn spread(
    alternatives: &[Node],
    branches: &[Node],
    copies: &mut usize,
) -> Result<Vec<Node>, PatternProblem> {
    let mut combined = Vec::new();
    for alternative in alternatives {
        for branch in branches {
            let cost = weight(alternative) + weight(branch);
            *copies = copies
                .checked_sub(cost)
                .ok_or(PatternProblem::TooManyCombinations)?;
            combined.push(merge(alternative.clone(), branch.clone(), copies)?);
        }
    }
    Ok(combined)
}

fn merge(mut node: Node, other: Node, copies: &mut usize) -> Result<Node, PatternProblem> {
    node.ors.extend(other.ors);
    for (name, member) in other.members {
        let same = node
            .members
            .iter_mut()
            .find(|(known, member)| *known == name && matches!(member, Member::Object(_)));
        match (same, member) {
            (Some((_, Member::Object(here))), Member::Object(there)) => {
                *here = merge(std::mem::take(here), there, copies)?;
            }
            (_, member) => node.members.push((name, member)),
        }
    }
    join(node, copies)
}

/// The names of a node's own members that are objects.
fn objects_of(node: &Node) -> BTreeSet<&str> {
    node.members
        .iter()
        .filter(|(_, member)| matches!(member, Member::Object(_)))
        .map(|(name, _)| &**name)
        .collect()
}

/// Likewise for all branches of a `$or`, and of the `$or`s directly in them.
fn objects_in(branches: &[Node]) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for branch in branches {
        names.extend(objects_of(branch));
        for nested in &branch.ors {
            names.extend(objects_in(nested));
        }
    }
    names
}

fn weight(node: &Node) -> usize {
    let members: usize = node
        .members
        .iter()
        .map(|(_, member)| match member {
            Member::Leaf(_) => 1,
            Member::Object(node) => 1 + weight(node),
        })
        .sum();
    1 + members + node.ors.iter().flatten().map(weight).sum::<usize>()
}
