//! The engine for tests: ordered maps behind a lock, snapshots by copy on write.
