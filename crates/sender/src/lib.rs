//! To be built: see `docs/ARCHITECTURE.md`.
