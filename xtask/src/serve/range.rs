//! The header `Range`: <https://www.rfc-editor.org/rfc/rfc9110#name-range>.

/// What part of a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it: no part was asked for, or several, which nobody needs here.
    Whole,
    /// From the first byte to the last, both included.
    Bytes {
        /// From 0.
        first: u64,
        /// Below the file's length.
        last: u64,
    },
    /// The part begins behind the end.
    Outside,
}

/// Reads the header for a file of `length` bytes.
#[must_use]
pub fn parse(header: Option<&str>, length: u64) -> Part {
    let Some((from, to)) = header
        .and_then(|header| header.strip_prefix("bytes="))
        .filter(|ranges| !ranges.contains(','))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Part::Whole;
    };
    match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(first), _) if first >= length => Part::Outside,
        (Ok(first), Ok(last)) if last >= first => Part::Bytes { first, last: last.min(length - 1) },
        (Ok(first), Err(_)) if to.is_empty() => Part::Bytes { first, last: length - 1 },
        (Err(_), Ok(0)) if from.is_empty() => Part::Outside,
        (Err(_), Ok(_)) if from.is_empty() && length == 0 => Part::Outside,
        (Err(_), Ok(count)) if from.is_empty() => {
            Part::Bytes { first: length.saturating_sub(count), last: length - 1 }
        }
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_to_the_file() {
        for (header, expected) in [
            ("bytes=0-3", Part::Bytes { first: 0, last: 3 }),
            ("bytes=4-", Part::Bytes { first: 4, last: 9 }),
            ("bytes=4-100", Part::Bytes { first: 4, last: 9 }),
            ("bytes=-3", Part::Bytes { first: 7, last: 9 }),
            ("bytes=-30", Part::Bytes { first: 0, last: 9 }),
            ("bytes=10-", Part::Outside),
            ("bytes=-0", Part::Outside),
            ("bytes=3-2", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes=x-y", Part::Whole),
        ] {
            assert_eq!(parse(Some(header), 10), expected, "{header}");
        }
        assert_eq!(parse(None, 10), Part::Whole);
        assert_eq!(parse(Some("bytes=0-"), 0), Part::Outside);
        assert_eq!(parse(Some("bytes=-1"), 0), Part::Outside);
    }
}
