//! Everything there is: what outlives processes, and the processes while they live.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloakroom_core::time::Timestamp;
use cloakroom_engine::intake::Budget;
use cloakroom_engine::memory::MemoryLedger;
use cloakroom_engine::ports::Ledger as _;
use cloakroom_engine::record::{Key, Record};
use cloakroom_engine::{Engine, Parts, StartError, Stepper};

use crate::chance::Chance;
use crate::consumer::Consumer;
use crate::functions::Queue;
use crate::life::Life;
use crate::plan::Plan;
use crate::provider::Providers;
use crate::stores::{Change, Faults, Large, Links, Objects, Side, SimClaims, SimLedger};
use crate::time::{HostClock, WallClock, pass_ms, secs};
use crate::trace::{Fact, Trace};
use crate::uploads::Staging;

/// What kind of processes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One server on a ledger of its own.
    Embedded,
    /// Servers that share a ledger.
    Servers,
    /// Functions that live for one call, on a shared ledger; with or without a server beside them.
    Functions,
}

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Has its own workers.
    Server,
    /// Does one step for one call.
    Function,
}

/// A process that works.
#[derive(Clone)]
pub struct Host {
    /// Its run.
    pub life: Life,
    /// For taking webhooks in, for operators and for pulling.
    pub engine: Engine,
    /// For single steps, when it is a function.
    pub stepper: Option<Stepper>,
}

/// The world of one seed.
pub struct World {
    /// Its number.
    pub seed: u64,
    /// What kind of processes there are.
    pub form: Form,
    /// What happens next.
    pub chance: Chance,
    /// The wall clock.
    pub clock: Arc<WallClock>,
    /// The history.
    pub trace: Arc<Trace>,
    /// The ledger.
    pub ledger: Arc<MemoryLedger>,
    /// The claims.
    pub objects: Arc<Objects>,
    /// What providers have put into the store themselves.
    pub staging: Arc<Staging>,
    /// What goes wrong with the stores.
    pub faults: Arc<Faults>,
    /// The consumers, by subscription.
    pub consumers: BTreeMap<&'static str, Arc<Consumer>>,
    /// What followers of the ledger's changes have not seen yet.
    pub feed: Arc<Mutex<Vec<Change>>>,
    /// The queue of doorbells.
    pub queue: Queue,
    /// How many doorbells of a hundred are lost.
    pub lost_bells: AtomicU64,
    /// Whether nothing goes wrong any more.
    pub calm: AtomicBool,
    /// Whether clocks of different hosts may differ, and be set back.
    pub bad_clocks: bool,
    /// How far the clock was set back in all, in microseconds.
    pub set_back: AtomicU64,
    /// How many genuine webhooks have no 2xx yet.
    pub open: AtomicU64,
    /// How many requests are under way.
    pub under_way: AtomicU64,
    /// Locked while a large body comes in: its hash is computed on other threads.
    pub large: Arc<tokio::sync::Mutex<()>>,
    /// Who has locked it.
    pub large_held: Arc<Mutex<Large>>,
    plan: Mutex<Arc<Plan>>,
    providers: Mutex<Providers>,
    hosts: Mutex<Vec<Option<Host>>>,
    lives: AtomicU32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// The world of this seed. Nothing works in it yet.
    pub fn new(seed: u64) -> Arc<Self> {
        let chance = Chance::new(seed, "world");
        let form = chance.pick(&[
            Form::Embedded,
            Form::Embedded,
            Form::Servers,
            Form::Functions,
            Form::Functions,
        ]);
        let kinds = Self::kinds(form, chance.percent(50));
        let clock = Arc::new(WallClock::new());
        let trace = Arc::new(Trace::new(&clock));
        let is_shared = form != Form::Embedded;
        let derived = is_shared;
        let objects = Arc::new(Objects::new(&clock, &trace, derived));
        let consumer = |name| (name, Arc::new(Consumer::new(name, seed, &clock, &objects)));
        let short = chance.percent(40);
        // A consumer that fetches is slow to settle, so that hardly anything would be removed before the end.
        let may_pull = kinds.contains(&Kind::Server) && (!short || chance.percent(20));
        let mut plan = Plan::first(&chance, may_pull);
        if short {
            plan.settings.retention = if is_shared { secs(240) } else { secs(45) };
        }
        let world = Arc::new(Self {
            seed,
            form,
            bad_clocks: !short && chance.percent(40),
            ledger: Arc::new(match is_shared {
                true => MemoryLedger::shared(),
                false => MemoryLedger::new(),
            }),
            faults: Arc::new(Faults::new(seed)),
            consumers: ["plain", "batch", "fifo", "later", "watch"]
                .map(consumer)
                .into(),
            staging: Arc::new(Staging::new(seed)),
            feed: Arc::default(),
            queue: Queue::default(),
            lost_bells: AtomicU64::new(chance.pick(&[0, 10, 50])),
            calm: AtomicBool::new(false),
            set_back: AtomicU64::new(0),
            open: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            large: Arc::default(),
            large_held: Arc::default(),
            plan: Mutex::new(Arc::new(plan)),
            providers: Mutex::default(),
            hosts: Mutex::new(kinds.iter().map(|_| None).collect()),
            lives: AtomicU32::new(0),
            chance,
            clock,
            trace,
            objects,
        });
        for (slot, kind) in kinds.into_iter().enumerate() {
            tokio::spawn(Arc::clone(&world).keep_alive(slot, kind));
        }
        if is_shared {
            tokio::spawn(Arc::clone(&world).take_uploads());
        }
        if form == Form::Functions {
            world.spawn_functions();
        } else if form == Form::Servers {
            world.spawn_followers();
        }
        world
    }

    fn kinds(form: Form, also_server: bool) -> Vec<Kind> {
        match form {
            Form::Embedded => vec![Kind::Server],
            Form::Servers => vec![Kind::Server; 2],
            Form::Functions if also_server => {
                vec![Kind::Function, Kind::Function, Kind::Server]
            }
            Form::Functions => vec![Kind::Function; 3],
        }
    }

    /// The configuration that processes start with now.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&lock(&self.plan))
    }

    /// From now on processes start with this configuration.
    pub fn configure(&self, plan: Plan) {
        *lock(&self.plan) = Arc::new(plan);
    }

    /// The next webhook that some provider sends.
    pub fn webhook(&self) -> Arc<crate::provider::Webhook> {
        let plan = self.plan();
        lock(&self.providers).webhook(&self.chance, &plan)
    }

    /// The webhooks of a new stream, the highest number first; none when there were enough of them.
    pub fn beginning(&self) -> Vec<Arc<crate::provider::Webhook>> {
        lock(&self.providers).beginning(&self.chance)
    }

    /// The processes that work, by slot.
    pub fn hosts(&self) -> Vec<Host> {
        let hosts = lock(&self.hosts);
        let alive = hosts.iter().flatten().filter(|host| !host.life.is_over());
        alive.cloned().collect()
    }

    /// Some process that works.
    pub fn some_host(&self, fits: impl Fn(&Host) -> bool) -> Option<Host> {
        let mut hosts = self.hosts();
        hosts.retain(fits);
        (!hosts.is_empty()).then(|| hosts.swap_remove(self.chance.index(hosts.len())))
    }

    /// A new run of a process, with a clock of its own.
    pub fn side(&self) -> Side {
        let life = Life::new(self.lives.fetch_add(1, Ordering::Relaxed));
        let skew = match self.bad_clocks {
            // Less than the margin of a lease.
            true => i64::try_from(self.chance.below(8_000_000)).unwrap_or(0) - 4_000_000,
            false => 0,
        };
        let coarse = self.chance.percent(50);
        Side {
            clock: Arc::new(HostClock::new(&self.clock, skew, coarse, &life)),
            life,
            faults: Arc::clone(&self.faults),
            trace: Arc::clone(&self.trace),
            large: Arc::clone(&self.large_held),
        }
    }

    /// What an engine is put together from.
    pub fn parts(&self, side: &Side, plan: &Plan) -> Parts {
        let seed = self.seed ^ u64::from(side.life.number());
        Parts {
            catalog: plan.build(&self.consumers, &side.life, &self.trace),
            settings: plan.settings.clone(),
            budget: Budget::new(self.chance.pick(&[8, 1_000]), 1 << 30),
            ledger: Arc::new(SimLedger {
                inner: Arc::clone(&self.ledger),
                side: side.clone(),
                feed: Arc::clone(&self.feed),
            }),
            claims: Arc::new(SimClaims {
                objects: Arc::clone(&self.objects),
                side: side.clone(),
            }),
            clock: Arc::<HostClock>::clone(&side.clock),
            entropy: Arc::new(Chance::new(seed, "entropy")),
            links: Arc::new(Links(side.clone())),
        }
    }

    /// Starts the process of a slot again and again.
    async fn keep_alive(self: Arc<Self>, slot: usize, kind: Kind) {
        let mut before = None;
        loop {
            let started = self.clock.now();
            let side = self.side();
            let start = self.start(&side, kind, slot, before);
            let host = tokio::select! {
                biased;
                () = side.life.ended() => None,
                host = start => host.ok(),
            };
            if let Some(host) = host {
                before = Some(started);
                lock(&self.hosts)[slot] = Some(host);
                side.life.ended().await;
            }
            side.life.end();
            lock(&self.hosts)[slot] = None;
            self.trace.add(Fact::Died {
                life: side.life.number(),
            });
            pass_ms(self.chance.below(3_000)).await;
        }
    }

    async fn start(
        &self,
        side: &Side,
        kind: Kind,
        slot: usize,
        before: Option<Timestamp>,
    ) -> Result<Host, StartError> {
        let plan = self.plan();
        self.trace.add(Fact::Started {
            life: side.life.number(),
            plan: Arc::clone(&plan),
        });
        let parts = self.parts(side, &plan);
        let life = side.life.clone();
        if kind == Kind::Function {
            let stepper = Stepper::open(parts, "queue", secs(40)).await?;
            let engine = stepper.engine().clone();
            let stepper = Some(stepper);
            return Ok(Host {
                life,
                engine,
                stepper,
            });
        }
        let engine = Engine::start(parts).await?;
        // What a crash left behind; nothing was taken in yet.
        if self.form == Form::Embedded
            && slot == 0
            && let Some(before) = before
        {
            let _ = engine.reclaim_since(before).await;
        }
        Ok(Host {
            life,
            engine,
            stepper: None,
        })
    }

    /// Tries to start a process with a configuration that must be refused. Nobody serves with it.
    pub async fn try_reordered(&self) {
        let plan = self.plan();
        for source in &plan.sources {
            let key = Key::Source(source.name.into());
            match self.ledger.get(&key).await {
                Ok(Some(Record::Source(stored))) if stored.generation == source.generation => {}
                _ => return,
            }
        }
        let side = self.side();
        let plan = Arc::new(plan.reordered(&self.chance));
        let parts = self.parts(&side, &plan);
        match Stepper::open(parts, "operator", secs(40)).await {
            Err(StartError::Ledger(_)) => {}
            outcome => {
                let why = outcome.err().map(|error| error.to_string());
                self.trace.add(Fact::StartRefused {
                    plan,
                    why: why.unwrap_or_default(),
                });
            }
        }
        side.life.end();
    }

    /// Whether nothing goes wrong any more.
    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }
}
