//! Numbers as people read them. Whole-number arithmetic: the machinery that prints floats is large.

/// A size in bytes, such as `4.9 MB`.
pub fn size(bytes: f64) -> String {
    scaled(bytes, &[" B", " kB", " MB", " GB", " TB"])
}

/// A large number, such as `1.2 million`.
pub fn count(number: f64) -> String {
    scaled(number, &["", " thousand", " million", " billion", " trillion"])
}

/// A time, such as `0.42 s`.
pub fn seconds(secs: f64) -> String {
    if !secs.is_finite() || secs < 0.0 {
        return "–".to_owned();
    }
    let hundredths = (secs * 100.0).round() as u64;
    match hundredths {
        0..1000 => {
            let (whole, rest) = (hundredths / 100, hundredths % 100);
            format!("{whole}.{rest:02} s")
        }
        _ => {
            let tenths = (secs * 10.0).round() as u64;
            format!("{}.{} s", tenths / 10, tenths % 10)
        }
    }
}

/// How many a second, such as `38` or `4.2`.
pub fn rate(per_second: f64) -> String {
    if !per_second.is_finite() || per_second <= 0.0 {
        return "–".to_owned();
    }
    short(per_second)
}

/// How many hundredths of the whole a part is, rounded down, at most 100.
pub fn percent(part: f64, whole: f64) -> u32 {
    if whole <= 0.0 || part.is_nan() {
        return 0;
    }
    (part / whole * 100.0).clamp(0.0, 100.0) as u32
}

fn scaled(number: f64, units: &[&str]) -> String {
    let mut rest = if number.is_finite() { number.max(0.0) } else { 0.0 };
    let mut place = 0;
    // 999.5 would be rounded to 1000.
    while rest >= 999.5 && place + 1 < units.len() {
        rest /= 1000.0;
        place += 1;
    }
    let digits = match place {
        0 => (rest.round() as u64).to_string(),
        _ => short(rest),
    };
    format!("{digits}{}", units[place])
}

/// One decimal below ten, none above.
fn short(number: f64) -> String {
    let tenths = (number * 10.0).round() as u64;
    match tenths {
        0..100 => format!("{}.{}", tenths / 10, tenths % 10),
        // Not of the tenths: 495.48 would become 495.5, and 496.
        _ => (number.round() as u64).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_or_three_digits() {
        let cases = [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (1000.0, "1.0 kB"),
            (4_941_480.0, "4.9 MB"),
            (9_960_000.0, "10 MB"),
            (622_000_000.0, "622 MB"),
            (999_600_000.0, "1.0 GB"),
            (7.5e9, "7.5 GB"),
            (f64::NAN, "0 B"),
            (-3.0, "0 B"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn counts_are_in_words() {
        assert_eq!(count(812.0), "812");
        assert_eq!(count(1_234_560.0), "1.2 million");
        assert_eq!(count(3.75e9), "3.8 billion");
    }

    #[test]
    fn times_and_rates_are_short() {
        assert_eq!(seconds(0.416), "0.42 s");
        assert_eq!(seconds(9.999), "10.0 s");
        assert_eq!(seconds(75.04), "75.0 s");
        assert_eq!(seconds(f64::INFINITY), "–");
        assert_eq!(rate(4.24), "4.2");
        assert_eq!(rate(37.6), "38");
        assert_eq!(rate(495.478), "495");
        assert_eq!(rate(0.0), "–");
    }

    #[test]
    fn a_percentage_stays_within_its_bounds() {
        assert_eq!(percent(1.0, 3.0), 33);
        assert_eq!(percent(5.0, 0.0), 0);
        assert_eq!(percent(7.0, 5.0), 100);
    }
}
