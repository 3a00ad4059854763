//! What visitors download, beside the goals.

use crate::compress::Sizes;

/// Bytes that a part should stay under, compressed with brotli.
pub const CPU_GOAL: u64 = 800_000;
/// The same for the engine on WebGPU.
pub const WEBGPU_GOAL: u64 = 2_000_000;
/// The same for the page.
pub const PAGE_GOAL: u64 = 400_000;

/// A part of the site, with the goal that it should meet.
#[derive(Debug, Clone)]
pub struct Part {
    /// What it is called.
    pub name: &'static str,
    /// Of all its files.
    pub sizes: Sizes,
    /// In brotli bytes.
    pub goal: u64,
}

impl Part {
    /// Whether it is small enough.
    #[must_use]
    pub fn meets_goal(&self) -> bool {
        self.sizes.brotli <= self.goal
    }
}

/// A table, one part a line.
#[must_use]
pub fn table(parts: &[Part]) -> String {
    let line = |name: &str, cells: [&str; 4], verdict: &str| {
        let [raw, gzip, brotli, goal] = cells;
        format!("{name:<8} {raw:>9} {gzip:>9} {brotli:>9} {goal:>9}  {verdict}").trim_end().to_owned()
    };
    let mut lines = vec![line("size", ["raw", "gzip", "brotli", "goal"], "")];
    for part in parts {
        let Sizes { raw, gzip, brotli } = part.sizes;
        let cells = [raw, gzip, brotli, part.goal].map(kilobytes);
        let verdict = if part.meets_goal() { "reached" } else { "missed" };
        lines.push(line(part.name, cells.each_ref().map(String::as_str), verdict));
    }
    lines.join("\n")
}

fn kilobytes(bytes: u64) -> String {
    format!("{:.0} kB", bytes as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_stand_beside_what_is_reached() {
        let sizes = Sizes { raw: 1_354_321, gzip: 400_000, brotli: 225_400 };
        let table = table(&[
            Part { name: "cpu", sizes, goal: CPU_GOAL },
            Part { name: "page", sizes, goal: 200_000 },
        ]);
        assert_eq!(
            table.lines().collect::<Vec<_>>(),
            [
                "size           raw      gzip    brotli      goal",
                "cpu        1354 kB    400 kB    225 kB    800 kB  reached",
                "page       1354 kB    400 kB    225 kB    200 kB  missed",
            ]
        );
    }
}
