//! Numbers to compute with where their meaning does not matter.

/// Numbers from −2 to 2 that repeat late; each `seed` has its own.
#[must_use]
pub fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..count)
        .map(|_| {
            // Numerical Recipes' generator; its upper bits are good enough here.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 22) as f32 - 2.0
        })
        .collect()
}
