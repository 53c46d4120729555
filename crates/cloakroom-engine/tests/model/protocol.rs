//! Which steps are possible: those of the workers, faults, the passing of time, and the sweep.

use std::collections::BTreeMap;

use cloakroom_core::position::Position;
use stateright::{Model, Property};

use crate::deliver::Answer;
use crate::properties;
use crate::state::{
    Append, Broken, Content, Cursor, Deliverer, Entry, KeyedHead, Operator, Protocol, Resequencer,
    Seen, State, Wait, tick,
};

/// One step of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Append(usize),
    Resend(usize),
    Resequence(usize),
    DelivererLooks(usize),
    DelivererReads(usize),
    DelivererGoesOn(usize),
    DelivererSaves(usize),
    DelivererHears(usize, Answer),
    StrayArrives(usize),
    StrayIsLost(usize),
    OperatorSkips,
    OperatorReplays,
    OperatorActs,
    Sweep,
    Tick,
    LoseRing { of_deliverer: bool },
    DoubleRing { of_deliverer: bool },
    CrashAppend(usize),
    CrashResequencer(usize),
    CrashDeliverer(usize),
    CrashOperator,
    CrashAll,
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut entries = BTreeMap::new();
        let mut head = self.rule.initial_head();
        let mut appends = vec![Append::Begins { late: false }; self.numbers.len()];
        let mut seen = Seen::default();
        for (event, number) in self.numbers.iter().enumerate().take(self.released) {
            let position = Position::dense(*number);
            let content = Content::Event(event);
            let entry = Entry {
                content,
                recorded: 0,
            };
            entries.insert(position.clone(), entry);
            head.position = Some(position);
            appends[event] = Append::Acknowledged;
            seen.acknowledged.insert(event);
        }
        vec![State {
            now: 0,
            rings_deliverer: head.position.is_some(),
            head: KeyedHead(head),
            revision: 0,
            entries,
            identities: BTreeMap::new(),
            appends,
            resequencers: vec![Resequencer::Idle; self.resequencers],
            cursor: Cursor {
                position: None,
                wait: Wait::Active,
                lease: None,
                epoch: 0,
                revision: 0,
            },
            deliverers: vec![Deliverer::Idle; self.deliverers],
            operator: Operator::Idle,
            rings_resequencer: false,
            strays: Vec::new(),
            budget: self.budget,
            seen,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.work(state, actions);
        self.faults(state, actions);
        if self.broken != Broken::NoSweep && self.sweep_would_ring(state) {
            actions.push(Action::Sweep);
        }
        if self.may_tick(state) {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.carry_out_action(&mut state, action);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(self)
    }
}

impl Protocol {
    fn work(&self, state: &State, actions: &mut Vec<Action>) {
        let unfinished = state.appends.iter().enumerate();
        let unfinished = unfinished.filter(|(_, append)| **append != Append::Acknowledged);
        actions.extend(unfinished.map(|(event, _)| Action::Append(event)));
        for (worker, resequencer) in state.resequencers.iter().enumerate() {
            // Idle ones are alike: one of them takes the doorbell.
            let is_first_idle = *resequencer == Resequencer::Idle
                && !state.resequencers[..worker].contains(&Resequencer::Idle);
            if *resequencer != Resequencer::Idle || (is_first_idle && state.rings_resequencer) {
                actions.push(Action::Resequence(worker));
            }
        }
        for (worker, deliverer) in state.deliverers.iter().enumerate() {
            match deliverer {
                Deliverer::Idle if state.rings_deliverer => {
                    actions.push(Action::DelivererLooks(worker));
                }
                Deliverer::Idle => {}
                Deliverer::Looked { .. } => actions.push(Action::DelivererReads(worker)),
                Deliverer::Has { unsaved, .. } => {
                    actions.push(Action::DelivererGoesOn(worker));
                    if *unsaved {
                        actions.push(Action::DelivererSaves(worker));
                    }
                }
                Deliverer::Sends { .. } => {
                    let hears = |answer| Action::DelivererHears(worker, answer);
                    actions.push(hears(Answer::Taken));
                    if state.budget.failures > 0 {
                        actions.push(hears(Answer::TakenUnheard));
                        actions.push(hears(Answer::Refused));
                    }
                }
            }
        }
        if state.operator != Operator::Idle {
            actions.push(Action::OperatorActs);
        } else if state.budget.acts > 0 {
            if self.may_skip(state) {
                actions.push(Action::OperatorSkips);
            }
            if state.cursor.position.is_some() {
                actions.push(Action::OperatorReplays);
            }
        }
        for stray in 0..state.strays.len() {
            actions.push(Action::StrayArrives(stray));
            actions.push(Action::StrayIsLost(stray));
        }
    }

    fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        let budget = &state.budget;
        for (of_deliverer, rings) in [
            (false, state.rings_resequencer),
            (true, state.rings_deliverer),
        ] {
            if rings && budget.lost > 0 {
                actions.push(Action::LoseRing { of_deliverer });
            }
            if !rings && budget.doubled > 0 {
                actions.push(Action::DoubleRing { of_deliverer });
            }
        }
        if budget.resends > 0 {
            let done = state.appends.iter().enumerate();
            let done = done.filter(|(_, append)| **append == Append::Acknowledged);
            actions.extend(done.map(|(event, _)| Action::Resend(event)));
        }
        if budget.crashes == 0 {
            return;
        }
        if self.exclusive {
            actions.push(Action::CrashAll);
            return;
        }
        for (event, append) in state.appends.iter().enumerate() {
            if matches!(append, Append::Planned { .. }) {
                actions.push(Action::CrashAppend(event));
            }
        }
        for (worker, resequencer) in state.resequencers.iter().enumerate() {
            if *resequencer != Resequencer::Idle {
                actions.push(Action::CrashResequencer(worker));
            }
        }
        for (worker, deliverer) in state.deliverers.iter().enumerate() {
            if *deliverer != Deliverer::Idle {
                actions.push(Action::CrashDeliverer(worker));
            }
        }
        if state.operator != Operator::Idle {
            actions.push(Action::CrashOperator);
        }
    }

    fn sweep_would_ring(&self, state: &State) -> bool {
        let releases = !state.rings_resequencer
            && state.resequencers.contains(&Resequencer::Idle)
            && self.could_release(state);
        releases || (!state.rings_deliverer && self.could_deliver(state))
    }

    /// Whether a deliverer with nothing to do could send something now.
    fn could_deliver(&self, state: &State) -> bool {
        let Some(head) = &state.head.0.position else {
            return false;
        };
        let deliverers = state.deliverers.iter().enumerate();
        let mut idle = deliverers.filter(|(_, deliverer)| **deliverer == Deliverer::Idle);
        // One process never has two deliverers at one cursor.
        idle.any(|(worker, _)| self.may_begin(state, worker, head))
    }

    /// Whether there is anything to wait for, and nothing that must end before.
    fn may_tick(&self, state: &State) -> bool {
        let sends = state.deliverers.iter().filter_map(|one| match one {
            Deliverer::Sends { until, .. } => Some(*until),
            _ => None,
        });
        let ends: Vec<u8> = sends
            .chain(state.strays.iter().map(|(_, until)| *until))
            .collect();
        if ends.iter().any(|until| *until <= state.now) {
            return false;
        }
        let stands_still =
            |one: &Deliverer| matches!(one, Deliverer::Looked { .. } | Deliverer::Has { .. });
        if state.deliverers.iter().any(stands_still) && state.budget.pauses == 0 {
            return false;
        }
        let retry = match state.cursor.wait {
            Wait::Retrying { at, .. } => Some(at),
            Wait::Active | Wait::Parked => None,
        };
        let lease = state.cursor.lease.map(|(_, until)| until);
        let wakes = state.head.0.wake_at.map(tick);
        let awaited = retry.into_iter().chain(lease).chain(wakes).chain(ends);
        awaited.into_iter().any(|at| at > state.now)
    }

    fn carry_out_action(&self, state: &mut State, action: Action) {
        match action {
            Action::Append(event) => self.append(state, event),
            Action::Resend(event) => {
                state.budget.resends -= 1;
                state.appends[event] = Append::Begins { late: false };
            }
            Action::Resequence(worker) => self.resequence(state, worker),
            Action::DelivererLooks(worker) => self.deliverer_looks(state, worker),
            Action::DelivererReads(worker) => {
                if let Deliverer::Looked { up_to } = state.deliverers[worker].clone() {
                    self.deliverer_reads(state, worker, &up_to);
                }
            }
            Action::DelivererGoesOn(worker) => self.deliverer_goes_on(state, worker),
            Action::DelivererSaves(worker) => self.deliverer_saves(state, worker),
            Action::DelivererHears(worker, answer) => self.deliverer_hears(state, worker, answer),
            Action::StrayArrives(stray) => {
                let (position, _) = state.strays.remove(stray);
                self.consumer_takes(state, &position);
            }
            Action::StrayIsLost(stray) => drop(state.strays.remove(stray)),
            Action::OperatorSkips | Action::OperatorReplays => {
                state.budget.acts -= 1;
                let cursor = state.cursor.clone();
                state.operator = match action {
                    Action::OperatorSkips => Operator::Skips(cursor),
                    _ => Operator::Replays(cursor),
                };
            }
            Action::OperatorActs => self.operator_acts(state),
            Action::Sweep => {
                state.rings_resequencer |= self.could_release(state);
                state.rings_deliverer |= self.could_deliver(state);
            }
            Action::Tick => tick_on(state),
            fault => self.fail(state, &fault),
        }
    }

    fn fail(&self, state: &mut State, fault: &Action) {
        let ring = |state: &mut State, of_deliverer: bool, rings: bool| match of_deliverer {
            true => state.rings_deliverer = rings,
            false => state.rings_resequencer = rings,
        };
        match fault {
            Action::LoseRing { of_deliverer } => {
                state.budget.lost -= 1;
                ring(state, *of_deliverer, false);
                return;
            }
            Action::DoubleRing { of_deliverer } => {
                state.budget.doubled -= 1;
                ring(state, *of_deliverer, true);
                return;
            }
            _ => state.budget.crashes -= 1,
        }
        match fault {
            Action::CrashAppend(event) => state.appends[*event] = Append::Begins { late: false },
            Action::CrashResequencer(worker) => {
                state.resequencers[*worker] = Resequencer::Idle;
                state.resequencers.sort();
            }
            Action::CrashDeliverer(worker) => crash_deliverer(state, *worker),
            Action::CrashOperator => state.operator = Operator::Idle,
            _ => {
                for append in &mut state.appends {
                    if *append != Append::Acknowledged {
                        *append = Append::Begins { late: false };
                    }
                }
                state.resequencers.fill(Resequencer::Idle);
                (0..state.deliverers.len()).for_each(|worker| crash_deliverer(state, worker));
                state.operator = Operator::Idle;
                (state.rings_resequencer, state.rings_deliverer) = (false, false);
            }
        }
    }

    /// Whether nothing can happen any more.
    pub(crate) fn has_ended(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        actions.is_empty()
    }
}

/// Its request may still arrive; what it knew is forgotten, and its lease stays.
fn crash_deliverer(state: &mut State, worker: usize) {
    if let Deliverer::Sends {
        position, until, ..
    } = &state.deliverers[worker]
    {
        state.strays.push((position.clone(), *until));
        state.strays.sort();
    }
    state.deliverers[worker] = Deliverer::Idle;
    state.seen.excused = true;
}

fn tick_on(state: &mut State) {
    let stands_still =
        |one: &Deliverer| matches!(one, Deliverer::Looked { .. } | Deliverer::Has { .. });
    if state.deliverers.iter().any(stands_still) {
        // Whoever stands still for longer than its lease is as good as dead.
        state.budget.pauses -= 1;
        state.seen.excused = true;
    }
    state.now += 1;
}
