//! Numbers in JSON that come back bit for bit. `serde_json` reads a number's last digit wrong at times, unless
//! its feature `float_roundtrip` slows down every other number; a text is read by the standard library.

use serde::{Deserialize, Deserializer, Serializer, de};

/// Writes a number as text.
///
/// # Errors
/// The serializer's.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
pub fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// Reads what [`serialize`] wrote, or a plain number, as older states have it.
///
/// # Errors
/// It is neither.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Number(f64),
    }
    match Written::deserialize(deserializer)? {
        Written::Text(text) => text.parse().map_err(de::Error::custom),
        Written::Number(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Number(#[serde(with = "super")] f64);

    #[test]
    fn every_bit_comes_back() {
        // The quotients fill all 53 bits.
        for number in
            (1..2000).map(|number| 0.1 / f64::from(number)).chain([0.0, -1.5e300, f64::MIN_POSITIVE])
        {
            let text = serde_json::to_string(&Number(number)).expect("a number");
            let read: Number = serde_json::from_str(&text).expect(&text);
            assert_eq!(read.0.to_bits(), number.to_bits(), "{text}");
        }
        assert_eq!(serde_json::from_str::<Number>("0.25").expect("a plain number").0, 0.25);
        assert!(serde_json::from_str::<Number>("\"x\"").is_err());
    }
}
