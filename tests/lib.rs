//! Nothing but a home for the tests in `it/`, which drive the built server from outside.
