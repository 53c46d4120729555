//! An HTTP proxy between one role and an emulator, which refuses what the role's policies do not allow.
//!
//! Emulators check no permissions. A gatekeeper reads each request as the service authorization reference tells, decides by the
//! policies as IAM does, and remembers what was needed: a test can tell that nothing is missing, and nothing too much.
//!
//! | file | what |
//! | --- | --- |
//! | `access.rs`, `s3.rs` | what a request asks for |
//! | `policy.rs`, `condition.rs` | what policies allow |
//! | `refusal.rs` | how each service says no |
//! | `proxy.rs` | the way of a request through all of them |

mod access;
mod condition;
mod policy;
mod proxy;
mod refusal;
mod s3;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::{EmulatorError, at};
use access::Access;
pub use policy::{Grant, Policy, PolicyError};

/// The gate of one role. Until it is told what to [`enforce`](Self::enforce), everything is refused. It ends when it is dropped.
pub struct Gatekeeper {
    port: u16,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// The action; of a request that the gatekeeper does not know, its method and path.
    pub action: String,
    /// The resource, as far as it is known.
    pub resource: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            action,
            resource,
            reason,
        } = self;
        write!(f, "{action} on {resource} {reason}")
    }
}

struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    principal: String,
    policy: Policy,
    used: BTreeSet<(usize, usize, usize)>,
    calls: BTreeMap<(String, String), u64>,
    denied: BTreeSet<Denied>,
    /// The stream of every shard iterator that was handed out.
    iterators: HashMap<String, String>,
}

impl Gatekeeper {
    /// Listens on a free port of the loopback interface, in front of an emulator's.
    pub fn start(emulator_port: u16) -> Result<Self, EmulatorError> {
        let failed = || at("127.0.0.1:0");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed())?;
        listener.set_nonblocking(true).map_err(failed())?;
        let port = listener.local_addr().map_err(failed())?.port();
        let shared = Arc::new(Shared {
            upstream: SocketAddr::from((Ipv4Addr::LOCALHOST, emulator_port)),
            state: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(failed())?;
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = proxy::serve(listener, serving) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self {
            port,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens, as `AWS_ENDPOINT_URL` takes it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on the role `principal` (an ARN) may do what `policy` says. What was used and denied before is forgotten.
    pub fn enforce(&self, principal: &str, policy: Policy) {
        *self.shared.state() = State {
            principal: principal.to_owned(),
            policy,
            ..State::default()
        };
    }

    /// For what a service does in the role's name without passing here: it is decided and remembered as if it had.
    ///
    /// # Errors
    /// When the policies do not allow it.
    pub fn vouch(&self, action: &str, resource: &str) -> Result<(), Denied> {
        self.shared.state().decide(Access::new(action, resource))
    }

    /// How often each action on each resource was allowed.
    pub fn calls(&self) -> BTreeMap<(String, String), u64> {
        self.shared.state().calls.clone()
    }

    /// What was refused, each once.
    pub fn denied(&self) -> BTreeSet<Denied> {
        self.shared.state().denied.clone()
    }

    /// What is allowed and was never needed.
    pub fn unused(&self) -> BTreeSet<Grant> {
        let state = self.shared.state();
        state.policy.unused(&state.used)
    }
}

impl Drop for Gatekeeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing left to tell, even when it panicked.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Gatekeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gatekeeper")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

impl State {
    /// Decides, and remembers what came of it.
    fn decide(&mut self, access: Access) -> Result<(), Denied> {
        let access = access.with("aws:PrincipalArn", &self.principal);
        match self.policy.decide(&access) {
            Ok(places) => {
                self.used.extend(places);
                let call = (access.action, access.resource);
                *self.calls.entry(call).or_default() += 1;
                Ok(())
            }
            Err(reason) => Err(self.deny(access.action, access.resource, reason)),
        }
    }

    fn deny(&mut self, action: String, resource: String, reason: String) -> Denied {
        let denied = Denied {
            action,
            resource,
            reason,
        };
        self.denied.insert(denied.clone());
        denied
    }
}
