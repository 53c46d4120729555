//! Starts the emulators of AWS services that the tests run against.
