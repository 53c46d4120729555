//! What every adapter must pass. Call these from the adapter's own tests.
