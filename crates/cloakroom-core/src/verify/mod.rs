//! Signature schemes of webhook providers.
