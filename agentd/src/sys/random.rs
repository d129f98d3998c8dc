//! Randomness from the kernel's generator. There is no fallback: a host that cannot give it cannot make keys either.

use std::io;

/// The kernel gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the kernel gave no random bytes")]
pub struct RandomError {
    /// What the system answered.
    #[source]
    pub source: io::Error,
}

/// Fills `buffer` with bytes fit for keys.
#[allow(clippy::disallowed_methods)] // the one place that draws randomness
pub fn fill(buffer: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(buffer).map_err(|error| RandomError {
        source: error.raw_os_error().map_or_else(|| io::Error::other(error.to_string()), io::Error::from_raw_os_error),
    })
}

/// `N` bytes fit for keys.
pub fn bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut buffer = [0; N];
    fill(&mut buffer)?;
    Ok(buffer)
}

/// A number out of all 2⁶⁴.
pub fn u64() -> Result<u64, RandomError> {
    bytes().map(u64::from_le_bytes)
}

/// A delay from 0 to `max_ms`, both included, to keep many waiters from waking together.
pub fn jitter_ms(max_ms: u64) -> Result<u64, RandomError> {
    u64().map(|draw| scale(draw, max_ms))
}

/// Maps a draw onto `0..=max`. No value is favoured by more than one part in 2⁶⁴ / (max + 1).
fn scale(draw: u64, max: u64) -> u64 {
    let product = u128::from(draw) * (u128::from(max) + 1);
    // The upper half of a product below 2⁶⁴ · (max + 1) is at most `max`.
    u64::try_from(product >> 64).unwrap_or(max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_keys_differ() {
        assert_ne!(bytes::<32>().unwrap(), bytes::<32>().unwrap());
    }

    #[test]
    fn a_buffer_of_any_size_is_filled_to_its_end() {
        for size in [0, 1, 257, 100_000] {
            // An untouched last byte stays zero in every round; by chance that happens once in 256⁸.
            let last_bytes = (0..8).map(|_| {
                let mut buffer = vec![0; size];
                fill(&mut buffer).unwrap();
                buffer.last().copied()
            });
            assert!(size == 0 || last_bytes.flatten().any(|byte| byte != 0), "size {size}");
        }
    }

    #[test]
    fn jitter_reaches_both_ends_and_nothing_beyond() {
        let drawn: Vec<u64> = (0..500).map(|_| jitter_ms(3).unwrap()).collect();
        for value in 0..=3 {
            assert!(drawn.contains(&value), "{value} never drawn");
        }
        assert!(drawn.iter().all(|value| *value <= 3));
        assert_eq!(jitter_ms(0).unwrap(), 0);
    }

    #[test]
    fn the_scale_is_even() {
        let table =
            [(0, 9, 0), (u64::MAX, 9, 9), (u64::MAX / 2, 9, 4), (u64::MAX, u64::MAX, u64::MAX), (7, u64::MAX, 7)];
        for (draw, max, expected) in table {
            assert_eq!(scale(draw, max), expected, "{draw} onto 0..={max}");
        }
    }

    proptest! {
        #[test]
        fn a_scaled_draw_never_exceeds_its_maximum(draw: u64, max: u64) {
            prop_assert!(scale(draw, max) <= max);
        }
    }
}
