//! Self-describing values (under construction).
