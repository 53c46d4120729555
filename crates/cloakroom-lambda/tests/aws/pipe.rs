//! A pipe that is pumped by hand: it reads the table's stream and filters it as its definition says, and the test decides
//! when a batch leaves.

use std::collections::VecDeque;

use cloakroom_lambda::Role;
use cloakroom_pipes::aws::StreamSource;
use cloakroom_pipes::definition::Definition;
use cloakroom_pipes::ports::{Position, Source as _};
use serde_json::Value;

/// A pipe from the table's stream to a function.
pub(crate) struct Pipe {
    source: StreamSource,
    definition: Definition,
    iterator: Option<String>,
    /// The role of its target.
    pub(crate) role: Role,
    /// What passed the filters and has not left yet.
    pub(crate) waiting: VecDeque<Value>,
}

impl Pipe {
    pub(crate) fn new(source: StreamSource, role: Role) -> Self {
        let definition = match role {
            Role::Resequence => Definition::resequence(),
            Role::Dispatch => Definition::dispatch(),
            other => panic!("no pipe invokes {other}"),
        };
        Self {
            source,
            definition,
            iterator: None,
            role,
            waiting: VecDeque::new(),
        }
    }

    /// Reads what the stream has by now.
    pub(crate) async fn fetch(&mut self) {
        let filters = self.definition.filters();
        loop {
            let iterator = match self.iterator.take() {
                Some(iterator) => iterator,
                None => {
                    let shards = self.source.shards().await.unwrap();
                    let [shard] = shards.as_slice() else {
                        panic!("MiniStack has one shard, not {shards:?}");
                    };
                    let begin = Position::TrimHorizon;
                    self.source.iterator(&shard.id, &begin).await.unwrap()
                }
            };
            let page = self.source.records(&iterator).await.unwrap();
            self.iterator = Some(page.next.expect("an open shard goes on"));
            if page.records.is_empty() {
                return;
            }
            let records = page.records.into_iter().map(|record| record.body);
            self.waiting
                .extend(records.filter(|record| filters.pass(record)));
        }
    }

    /// The next batch, of at most `most` records.
    pub(crate) fn batch(&mut self, most: usize) -> Vec<Value> {
        let most = most.min(self.waiting.len());
        self.waiting.drain(..most).collect()
    }
}
