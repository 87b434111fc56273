//! Deterministic simulation (skeleton).
