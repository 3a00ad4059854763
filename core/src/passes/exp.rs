//! The exponential function, written so that a compiler makes vector instructions of it.

/// Results below 2⁻¹²⁶ are zero.
const LOWEST: f32 = -87.336_54;
/// Adding and subtracting it rounds to a whole number, which is then found in the lowest bits of the sum.
const ROUNDER: f32 = 12_582_912.0;
/// ln 2 in two parts, the first of which times a small whole number is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// `eˣ` for `x ≤ 0`, within two units in the last place; NaN stays NaN.
///
/// Reduced to `2ⁿ eʳ` with `|r| ≤ ln 2 / 2`, whose minimax polynomial is Cephes' `expf`:
/// <https://www.netlib.org/cephes/>.
#[inline(always)]
pub fn exp_below_zero(x: f32) -> f32 {
    // Not `max`, which costs a comparison more, and hides NaN.
    let bounded = if x < LOWEST { LOWEST } else { x };
    let shifted = bounded * std::f32::consts::LOG2_E + ROUNDER;
    let whole = shifted - ROUNDER;
    let rest = (bounded - whole * LN_2[0]) - whole * LN_2[1];
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        sum = sum * rest + coefficient;
    }
    let fraction = sum * rest * rest + rest + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < LOWEST { 0.0 } else { fraction * power }
}

/// `1 / (1 + e⁻ˣ)`
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let power = exp_below_zero(-x.abs());
    let numerator = if x < 0.0 { power } else { 1.0 };
    numerator / (1.0 + power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_exponential_within_two_units_in_the_last_place() {
        let mut worst = 0.0f64;
        for step in 0..870_000 {
            let x = step as f32 * -1e-4;
            let exact = f64::from(x).exp();
            let unit = f64::from((exact as f32).next_up() - exact as f32);
            worst = worst.max((f64::from(exp_below_zero(x)) - exact).abs() / unit);
        }
        assert!(worst < 2.0, "{worst} units");
        assert_eq!([0.0, -0.0].map(exp_below_zero), [1.0, 1.0]);
        assert_eq!([-88.0, -1e30, f32::NEG_INFINITY].map(exp_below_zero), [0.0; 3]);
        assert!(exp_below_zero(f32::NAN).is_nan());
    }

    #[test]
    fn a_sigmoid_has_its_limits() {
        assert_eq!([f32::NEG_INFINITY, 0.0, f32::INFINITY].map(sigmoid), [0.0, 0.5, 1.0]);
        for x in [-30.0f32, -3.0, -0.1, 0.2, 7.0, 30.0] {
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(sigmoid(x)) / exact - 1.0).abs() < 3e-7, "{x}");
        }
        assert!(sigmoid(f32::NAN).is_nan());
    }
}
