//! Event patterns: the filter language of EventBridge.
