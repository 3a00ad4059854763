//! SentencePiece's table of normalisations (`precompiled_charsmap`), walked before it is trusted.
//!
//! The file is the trie's length in bytes, the trie, and the replacements with a zero byte behind each. The trie is
//! a double array: <https://github.com/s-yata/darts-clone/blob/e40ce4627526985a7767444b6ed6893ab6ff8983/include/darts.h#L63-L93>.
//! `spm_precompiled` follows its offsets unchecked:
//! <https://docs.rs/crate/spm_precompiled/0.1.4/source/src/lib.rs#102>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Bytes that no UTF-8 text has.
const NEVER: [u8; 13] = [0xc0, 0xc1, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff];

/// Makes sure that no text leads the trie out of its array or to a replacement that is none.
///
/// # Errors
/// What is wrong with it.
pub fn check(base64: &str) -> Result<(), &'static str> {
    let bytes = STANDARD.decode(base64).map_err(|_| "the charsmap is not base64")?;
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or("the charsmap is cut short")?;
    // As the reader has it, a length that is no multiple of four is rounded down.
    let units = u32::from_le_bytes(*length) as usize / 4;
    let (trie, replacements) = rest.split_at_checked(4 * units).ok_or("the charsmap is cut short")?;
    let replacements = std::str::from_utf8(replacements).map_err(|_| "the charsmap is not UTF-8")?;
    let units: Vec<Unit> =
        trie.as_chunks::<4>().0.iter().map(|unit| Unit(u32::from_le_bytes(*unit))).collect();
    walk(&units, replacements)
}

/// Visits every place that a text can lead to.
fn walk(units: &[Unit], replacements: &str) -> Result<(), &'static str> {
    const OUTSIDE: &str = "the charsmap's trie leads out of it";
    let root = units.first().ok_or("the charsmap has no trie")?.offset();
    let mut seen = vec![false; units.len()];
    let mut waiting = vec![root];
    while let Some(place) = waiting.pop() {
        for byte in (1..=u8::MAX).filter(|byte| !NEVER.contains(byte)) {
            let child = place ^ usize::from(byte);
            let unit = units.get(child).ok_or(OUTSIDE)?;
            if unit.label() != u32::from(byte) {
                continue;
            }
            let next = child ^ unit.offset();
            if unit.has_leaf() {
                let start = units.get(next).ok_or(OUTSIDE)?.value();
                if !replacements.is_char_boundary(start) {
                    return Err("the charsmap's trie names no replacement");
                }
            }
            let seen = seen.get_mut(next).ok_or(OUTSIDE)?;
            if !*seen {
                *seen = true;
                waiting.push(next);
            }
        }
    }
    Ok(())
}

/// One unit of the double array.
#[derive(Clone, Copy)]
struct Unit(u32);

impl Unit {
    fn has_leaf(self) -> bool {
        self.0 >> 8 & 1 == 1
    }

    fn value(self) -> usize {
        (self.0 & 0x7fff_ffff) as usize
    }

    fn label(self) -> u32 {
        self.0 & 0x8000_00ff
    }

    fn offset(self) -> usize {
        ((self.0 >> 10) as usize) << ((self.0 & 1 << 9) >> 6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trie that turns `b` into `xy`: the root's children begin at 256, the end of `b` lies at 512.
    fn charsmap() -> (Vec<u32>, &'static [u8]) {
        let mut units = vec![0; 768];
        units[0] = 256 << 10;
        units[256 + usize::from(b'b')] = u32::from(b'b') | 1 << 8 | (512 ^ (256 + u32::from(b'b'))) << 10;
        (units, b"xy\0")
    }

    fn encode(units: &[u32], replacements: &[u8]) -> String {
        let mut bytes = (4 * units.len() as u32).to_le_bytes().to_vec();
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend(replacements);
        STANDARD.encode(bytes)
    }

    #[test]
    fn a_sound_table_passes_and_every_way_out_of_it_is_found() {
        let (units, replacements) = charsmap();
        assert_eq!(check(&encode(&units, replacements)), Ok(()));
        let changed = |place: usize, unit: u32| {
            let mut units = units.clone();
            units[place] = unit;
            check(&encode(&units, replacements))
        };
        assert!(changed(0, 4096 << 10).is_err(), "the root's children lie outside");
        assert!(
            changed(256 + usize::from(b'b'), u32::from(b'b') | 1 << 8 | 1 << 20).is_err(),
            "a leaf outside"
        );
        assert!(changed(512, 4).is_err(), "a replacement behind the last");
        assert!(check(&encode(&units[..300], replacements)).is_err(), "a trie that ends too soon");
        assert!(check(&encode(&units, b"\xff\0")).is_err(), "replacements that are no text");
        assert!(check(&encode(&[], replacements)).is_err(), "no trie");
        assert!(check("AAA").is_err() && check("AAAA").is_err() && check("!").is_err());
    }
}
