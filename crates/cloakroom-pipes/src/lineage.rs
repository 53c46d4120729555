//! Which shards may be read: a shard's parent comes to its end before its children begin.

use std::collections::{HashMap, HashSet};

use crate::ports::{Checkpoint, Position, Shard, ShardId};

/// The shards that may begin now, and where.
pub(crate) fn startable(
    shards: &[Shard],
    checkpoints: &HashMap<ShardId, Checkpoint>,
    running: &HashSet<ShardId>,
) -> Vec<(ShardId, Position)> {
    let known: HashSet<&ShardId> = shards.iter().map(|shard| &shard.id).collect();
    let finished = |id: &ShardId| checkpoints.get(id) == Some(&Checkpoint::Finished);
    // A parent that the stream has forgotten has nothing left to read.
    let after_parent = |shard: &&Shard| match &shard.parent {
        Some(parent) => finished(parent) || !known.contains(parent),
        None => true,
    };
    shards
        .iter()
        .filter(|shard| !running.contains(&shard.id))
        .filter(after_parent)
        .filter_map(|shard| {
            let position = match checkpoints.get(&shard.id) {
                Some(Checkpoint::Finished) => return None,
                Some(Checkpoint::After(sequence_number)) => {
                    Position::After(sequence_number.clone())
                }
                Some(Checkpoint::Latest) => Position::Latest,
                // Also when the pipe began at `LATEST`: a shard that came later holds only what came later.
                None => Position::TrimHorizon,
            };
            Some((shard.id.clone(), position))
        })
        .collect()
}

/// The checkpoints of a pipe that begins at `LATEST`: closed shards are past, open ones begin at their end.
pub(crate) fn from_latest(shards: &[Shard]) -> HashMap<ShardId, Checkpoint> {
    let checkpoint = |shard: &Shard| match shard.closed {
        true => Checkpoint::Finished,
        false => Checkpoint::Latest,
    };
    shards
        .iter()
        .map(|shard| (shard.id.clone(), checkpoint(shard)))
        .collect()
}

/// The shards with a checkpoint that the stream does not list any more.
pub(crate) fn forgotten(
    shards: &[Shard],
    checkpoints: &HashMap<ShardId, Checkpoint>,
    running: &HashSet<ShardId>,
) -> Vec<ShardId> {
    let known: HashSet<&ShardId> = shards.iter().map(|shard| &shard.id).collect();
    let gone = |id: &&ShardId| !known.contains(id) && !running.contains(*id);
    checkpoints.keys().filter(gone).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, parent: Option<&str>, closed: bool) -> Shard {
        Shard {
            id: id.into(),
            parent: parent.map(Into::into),
            closed,
        }
    }

    fn family() -> Vec<Shard> {
        vec![
            shard("left", Some("parent"), false),
            shard("parent", Some("long-gone"), true),
            shard("right", Some("parent"), false),
            shard("other", None, false),
        ]
    }

    #[test]
    fn parents_come_to_their_end_before_their_children_begin() {
        let mut checkpoints = HashMap::new();
        let mut running = HashSet::new();
        let at = |id: &str| (ShardId::from(id), Position::TrimHorizon);
        assert_eq!(
            startable(&family(), &checkpoints, &running),
            [at("parent"), at("other")]
        );
        running.insert("parent".into());
        checkpoints.insert("parent".into(), Checkpoint::After("7".into()));
        assert_eq!(startable(&family(), &checkpoints, &running), [at("other")]);
        running.clear();
        checkpoints.insert("parent".into(), Checkpoint::Finished);
        assert_eq!(
            startable(&family(), &checkpoints, &running),
            [at("left"), at("right"), at("other")]
        );
    }

    #[test]
    fn a_checkpoint_says_where_to_go_on() {
        let checkpoints = HashMap::from([
            ("parent".into(), Checkpoint::After("7".into())),
            ("other".into(), Checkpoint::Latest),
        ]);
        assert_eq!(
            startable(&family(), &checkpoints, &HashSet::new()),
            [
                ("parent".into(), Position::After("7".into())),
                ("other".into(), Position::Latest)
            ]
        );
    }

    #[test]
    fn from_latest_passes_over_what_was_written_before() {
        let mut checkpoints = from_latest(&family());
        let mut later = family();
        later.push(shard("child", Some("left"), false));
        assert_eq!(
            startable(&later, &checkpoints, &HashSet::new()),
            [
                ("left".into(), Position::Latest),
                ("right".into(), Position::Latest),
                ("other".into(), Position::Latest)
            ]
        );
        checkpoints.insert("left".into(), Checkpoint::Finished);
        let started = startable(&later, &checkpoints, &HashSet::new());
        assert_eq!(
            started.last(),
            Some(&("child".into(), Position::TrimHorizon))
        );
    }

    #[test]
    fn only_what_the_stream_forgot_is_forgotten() {
        let checkpoints = HashMap::from([
            ("parent".into(), Checkpoint::Finished),
            ("older".into(), Checkpoint::Finished),
            ("busy".into(), Checkpoint::Latest),
        ]);
        let running = HashSet::from(["busy".into()]);
        assert_eq!(
            forgotten(&family(), &checkpoints, &running),
            [ShardId::from("older")]
        );
    }
}
