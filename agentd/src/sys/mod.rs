//! The operating system: clocks, randomness, files, locks, peers.
