//! Units that people write: money, durations, times.
