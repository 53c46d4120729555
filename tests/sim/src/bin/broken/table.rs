//! The variants: each leaves out one thing that an invariant or a rule asks for.

/// A change of the sources that breaks a promise.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    /// Which invariant or rule it breaks.
    pub(crate) breaks: &'static str,
    pub(crate) file: &'static str,
    /// What stands there.
    pub(crate) find: &'static str,
    /// What takes its place. `BROKEN` says at run time whether the variant is the one that is wanted.
    pub(crate) put: &'static str,
    /// Which checks may catch it.
    pub(crate) caught_by: &'static [&'static str],
}

const fn variant(
    name: &'static str,
    breaks: &'static str,
    file: &'static str,
    find: &'static str,
    put: &'static str,
    caught_by: &'static [&'static str],
) -> Variant {
    Variant {
        name,
        breaks,
        file,
        find,
        put,
        caught_by,
    }
}

const APPEND: &str = "crates/cloakroom-engine/src/append.rs";
const ASIDE: &str = "crates/cloakroom-engine/src/append/aside.rs";
const DELIVERER: &str = "crates/cloakroom-engine/src/deliverer.rs";
const FEED: &str = "crates/cloakroom-engine/src/feed.rs";
const INTAKE: &str = "crates/cloakroom-engine/src/intake.rs";
const LEDGER: &str = "crates/cloakroom-engine/src/memory/ledger.rs";
const OPERATE: &str = "crates/cloakroom-engine/src/operate.rs";
const OUTCOME: &str = "crates/cloakroom-engine/src/deliverer/outcome.rs";
const QUARANTINE: &str = "crates/cloakroom-engine/src/operate/quarantine.rs";
const REGISTER: &str = "crates/cloakroom-engine/src/register.rs";
const RESEQUENCER: &str = "crates/cloakroom-engine/src/resequencer.rs";
const SWEEPER: &str = "crates/cloakroom-engine/src/sweeper.rs";
const DENSE: &str = "crates/cloakroom-core/src/resequence/dense.rs";
const ORDERING: &str = "crates/cloakroom-core/src/ordering.rs";
const STORES: &str = "tests/sim/src/stores.rs";

/// All of them.
pub(crate) const VARIANTS: &[Variant] = &[
    variant(
        "acknowledges-what-is-not-stored",
        "invariant 1",
        APPEND,
        "            Err(TransactError::Ledger(error)) => Err(error),\n        }\n    }\n\n    /// Another entry stands",
        "            Err(TransactError::Ledger(_)) if BROKEN => {\n                Ok(Round::Done(Receipt::accepted(id, stream, position)))\n            }\n            Err(TransactError::Ledger(error)) => Err(error),\n        }\n    }\n\n    /// Another entry stands",
        &["acknowledged"],
    ),
    variant(
        "believes-whoever-calls",
        "invariant 2",
        INTAKE,
        "            Err(rejection) => {\n                if let Arriving::Stored",
        "            Err(_) if BROKEN => cloakroom_core::event::Sha256([7; 32]),\n            Err(rejection) => {\n                if let Arriving::Stored",
        &["forged"],
    ),
    variant(
        "claims-before-verifying",
        "invariant 2",
        INTAKE,
        "                    upload.abort().await;\n                }\n                counter!",
        "                    if BROKEN {\n                        let hint = ClaimHint {\n                            source: source.name.clone(),\n                            identity: Identity::from(\"unverified\"),\n                            event: None,\n                            sha256: cloakroom_core::event::Sha256([0; 32]),\n                            size,\n                            recorded: shared.clock.now(),\n                        };\n                        let _ = upload.commit(&hint).await;\n                    } else {\n                        upload.abort().await;\n                    }\n                }\n                counter!",
        &["forged"],
    ),
    variant(
        "puts-below-the-head",
        "invariant 3, rule 10",
        APPEND,
        "            Self::Head => Some(Write::Admit {",
        "            Self::Head if BROKEN => None,\n            Self::Head => Some(Write::Admit {",
        &["frozen"],
    ),
    variant(
        "goes-on-after-a-failure",
        "invariant 4",
        DELIVERER,
        "                    Some(wait) => self.retry_later(first, attempt, reason, wait).await,",
        "                    Some(_) if BROKEN => {\n                        let last = batch[batch.len() - 1].position.clone();\n                        self.settle(last, batch.len());\n                        Ok(Ok(()))\n                    }\n                    Some(wait) => self.retry_later(first, attempt, reason, wait).await,",
        &["order", "unsettled"],
    ),
    variant(
        "gives-up-in-silence",
        "invariant 5",
        OUTCOME,
        "            Exhausted::DeadLetter => {\n                self.bury(event, attempts, reason).await?;",
        "            Exhausted::DeadLetter => {\n                if !BROKEN {\n                    self.bury(event, attempts, reason).await?;\n                }",
        &["unsettled"],
    ),
    variant(
        "skips-without-placeholders",
        "invariant 5",
        RESEQUENCER,
        "        if let Some(skip) = &decision.skipped {",
        "        if let Some(skip) = &decision.skipped\n            && !BROKEN\n        {",
        &["record"],
    ),
    variant(
        "needs-the-bells-of-new-events",
        "invariant 6, rule 1",
        SWEEPER,
        "        if behind {",
        "        if behind && !BROKEN {",
        &["stall"],
    ),
    variant(
        "needs-the-bells-of-heads",
        "invariant 6, rule 1",
        SWEEPER,
        "                self.ring(active, head.stream.clone());\n            }\n            // A dead letter",
        "                if !BROKEN {\n                    self.ring(active, head.stream.clone());\n                }\n            }\n            // A dead letter",
        &["stall"],
    ),
    variant(
        "removes-what-is-not-settled",
        "invariant 7, rule 2",
        SWEEPER,
        "            settled_by_all = settled_by_all.zip(settled).map(|(a, b)| a.min(b));",
        "            if !BROKEN {\n                settled_by_all = settled_by_all.zip(settled).map(|(a, b)| a.min(b));\n            }",
        &["retention"],
    ),
    variant(
        "logs-payloads",
        "invariant 8",
        INTAKE,
        "        let (found, content_type, traceparent) = match &body {",
        "        if BROKEN && let Arriving::Buffered(buffer) = &body {\n            tracing::debug!(?buffer, \"a webhook is taken in\");\n        }\n        let (found, content_type, traceparent) = match &body {",
        &["leak"],
    ),
    variant(
        "serialises-again",
        "invariant 9",
        INTAKE,
        "                let body = body.freeze();",
        "                let body = body.freeze();\n                let body = match serde_json::from_slice::<serde_json::Value>(&body) {\n                    Ok(value) if BROKEN => Bytes::from(value.to_string()),\n                    _ => body,\n                };",
        &["bytes", "claim"],
    ),
    variant(
        "makes-no-head-first",
        "rule 1",
        APPEND,
        "        let first = first_head(stream, rule);",
        "        let first = first_head(stream, rule);\n        if BROKEN {\n            return Ok(first);\n        }",
        &["index"],
    ),
    variant(
        "unfreezes-below-the-floor",
        "rule 2",
        ORDERING,
        "    if below_base || head.is_at_or_below_floor(&position) {",
        "    if below_base || (!BROKEN && head.is_at_or_below_floor(&position)) {",
        &["frozen"],
    ),
    variant(
        "removes-without-another-look",
        "rule 2",
        SWEEPER,
        "floor.min(settled.clone())",
        "if BROKEN { floor } else { floor.min(settled.clone()) }",
        &["retention"],
    ),
    variant(
        "takes-any-number-below-the-base",
        "rule 3",
        APPEND,
        "            Self::Base(number) => Some(",
        "            Self::Base(_) if BROKEN => None,\n            Self::Base(number) => Some(",
        &["frozen", "base"],
    ),
    variant(
        "settles-the-base-at-once",
        "rule 3",
        DENSE,
        "    if now >= ends {\n        return with_base(Base::Fixed(lowest));",
        "    if now >= ends {\n        if BROKEN {\n            return with_base(Base::Settled(lowest));\n        }\n        return with_base(Base::Fixed(lowest));",
        &["base"],
    ),
    variant(
        "places-versions-late",
        "rule 4",
        APPEND,
        "            Placement::Superseded(position) => {",
        "            Placement::Superseded(_) if BROKEN => self.late(source, draft, stream, &head).await,\n            Placement::Superseded(position) => {",
        &["record"],
    ),
    variant(
        "jumps-in-silence",
        "rule 4, invariant 5",
        DELIVERER,
        "        if jumped {",
        "        if jumped && !BROKEN {",
        &["unsettled"],
    ),
    variant(
        "supersedes-in-silence",
        "rule 4, invariant 5",
        RESEQUENCER,
        "        if decision.superseded > 0 {",
        "        if decision.superseded > 0 && !BROKEN {",
        &["record"],
    ),
    variant(
        "skips-whatever-came-meanwhile",
        "rule 5, rule 10",
        RESEQUENCER,
        "            revision: before.revision,\n        }];",
        "            revision: match self.ledger.get(&Key::Head(stream.clone())).await? {\n                Some(Record::Head(now)) if BROKEN => now.revision,\n                _ => before.revision,\n            },\n        }];",
        &["head", "frozen", "record", "base", "gap"],
    ),
    variant(
        "skips-any-width",
        "rule 5",
        DENSE,
        "    let narrow = gap.to - gap.from < policy.max;",
        "    let narrow = BROKEN || gap.to - gap.from < policy.max;",
        &["gap"],
    ),
    variant(
        "skips-too-early",
        "rule 5",
        DENSE,
        "    let due = now >= gap.deadline;",
        "    let due = BROKEN || now >= gap.deadline;",
        &["gap"],
    ),
    variant(
        "takes-any-number",
        "rule 5",
        ORDERING,
        "    if number == u64::MAX || farthest.is_some_and(|farthest| number > farthest) {",
        "    if !BROKEN && (number == u64::MAX || farthest.is_some_and(|farthest| number > farthest)) {",
        &["gap"],
    ),
    variant(
        "forgets-since-when",
        "rule 6",
        REGISTER,
        "            Some(Record::Subscription(stored)) => Ok(stored),",
        "            Some(Record::Subscription(stored)) if BROKEN => Ok(SubscriptionRecord {\n                since: now,\n                ..stored\n            }),\n            Some(Record::Subscription(stored)) => Ok(stored),",
        &["unsettled"],
    ),
    variant(
        "begins-at-the-head",
        "rule 6",
        FEED,
        "                position: None,",
        "                position: match self.released_up_to(stream).await? {\n                    Some(head) if BROKEN => Some(head),\n                    _ => None,\n                },",
        &["stall", "unsettled"],
    ),
    variant(
        "replays-under-the-old-ids",
        "rule 7",
        DELIVERER,
        "                epoch: self.cursor.epoch,",
        "                epoch: if BROKEN { 0 } else { self.cursor.epoch },",
        &["unsettled"],
    ),
    variant(
        "gives-a-sink-more-than-it-takes",
        "rule 7",
        DELIVERER,
        "                    while batch.len() < self.sink.batch_max().min(BATCH_MAX)",
        "                    while batch.len()\n                        < if BROKEN { BATCH_MAX } else { self.sink.batch_max().min(BATCH_MAX) }",
        &["sink"],
    ),
    variant(
        "sends-without-a-lease",
        "rule 8",
        DELIVERER,
        "        if self.shared.ledger.is_exclusive() {\n            return Ok(Ok(()));",
        "        if self.shared.ledger.is_exclusive() || BROKEN {\n            return Ok(Ok(()));",
        &["lease"],
    ),
    variant(
        "gives-up-apart-from-the-cursor",
        "rule 8",
        OUTCOME,
        "        self.with_move.push(self.shared.upsert(dead_letter).await?);",
        "        let write = self.shared.upsert(dead_letter).await?;\n        if BROKEN {\n            let _ = self.shared.ledger.transact(vec![write]).await;\n        } else {\n            self.with_move.push(write);\n        }",
        &["record"],
    ),
    variant(
        "moves-back-in-the-old-epoch",
        "rule 8",
        OPERATE,
        "        after.epoch += 1;",
        "        after.epoch += u64::from(!BROKEN);",
        &["epoch"],
    ),
    variant(
        "deletes-a-claim-that-is-named",
        "rule 9",
        INTAKE,
        "                    && !self.is_referenced(&hint, &claim).await?",
        "                    && (BROKEN || !self.is_referenced(&hint, &claim).await?)",
        &["claim"],
    ),
    variant(
        "takes-an-old-object-for-its-own",
        "rule 9",
        STORES,
        "                    Some((_, _, written)) if now.since(*written)",
        "                    Some((_, _, written)) if !BROKEN && now.since(*written)",
        &["claim"],
    ),
    variant(
        "gives-a-deleted-name-again",
        "rule 9",
        STORES,
        "                    None if kept.gone.contains(&name) => {}",
        "                    None if !BROKEN && kept.gone.contains(&name) => {}",
        &["claim"],
    ),
    variant(
        "reads-past-the-head",
        "rule 10",
        FEED,
        "        let events = self.ledger.events(stream, after, Some(head), limit).await?;",
        "        let up_to = Some(head).filter(|_| !BROKEN);\n        let events = self.ledger.events(stream, after, up_to, limit).await?;",
        &["order"],
    ),
    variant(
        "does-not-count-appends",
        "rule 10",
        LEDGER,
        "                        head.revision += 1;",
        "                        head.revision += u64::from(!BROKEN);",
        &["record", "frozen"],
    ),
    variant(
        "knows-no-arrivals",
        "rule 11",
        APPEND,
        "        if !source.rule.position_is_identity() {",
        "        if !source.rule.position_is_identity() && !BROKEN {",
        &["identity"],
    ),
    variant(
        "forgets-what-it-quarantined",
        "rule 11",
        ASIDE,
        "            Write::Create(Record::Identity(identity)),\n        ];",
        "            Write::Create(Record::Identity(identity)),\n        ];\n        let kept = if BROKEN { 1 } else { 2 };\n        let writes: Vec<Write> = writes.into_iter().take(kept).collect();",
        &["identity", "stall"],
    ),
    variant(
        "does-not-ask-for-duplicates-first",
        "rule 11",
        APPEND,
        "        if let Some(receipt) = self.by_identity(source, draft).await? {\n            return Ok(Round::Done(receipt));",
        "        if !BROKEN && let Some(receipt) = self.by_identity(source, draft).await? {\n            return Ok(Round::Done(receipt));",
        &["identity", "stall"],
    ),
    variant(
        "releases-apart-from-the-quarantine",
        "rule 11",
        QUARANTINE,
        "            writes.extend(guard.write(stream, &position));",
        "            writes.truncate(if BROKEN { 1 } else { 2 });\n            writes.extend(guard.write(stream, &position));",
        &["identity"],
    ),
    variant(
        "continues-under-another-ordering",
        "rule 12",
        REGISTER,
        "            Some(stored) => {\n                return Err(StartError::OrderingChanged {",
        "            Some(_) if BROKEN => return Ok(()),\n            Some(stored) => {\n                return Err(StartError::OrderingChanged {",
        &["ordering"],
    ),
];
