//! The definitions of the pipes, and a runner that executes exactly these.
