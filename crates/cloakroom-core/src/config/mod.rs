//! The configuration file, `cloakroom.yaml`: its types, its defaults and its mistakes.
