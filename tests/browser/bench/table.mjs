// @ts-check
// Medians and ratios of them, as Markdown.

/** @typedef {{ decoder: string, contestant: import("./contestants.mjs").Contestant, paces: number[] }} Measured */

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A row for each contestant of each decoder. @param {Measured[]} measured */
export function table(measured) {
  const rows = measured.map(({ decoder, contestant, paces }) => {
    const { name, newTokens, rival, goal } = contestant;
    const pace = median(paces);
    const range = `${shown(Math.min(...paces))} to ${shown(Math.max(...paces))}`;
    const facing = measured.find((other) => other.decoder === decoder && other.contestant.name === rival);
    const ratio = facing ? median(facing.paces) / pace : NaN;
    const verdict = goal === undefined || !facing ? "" : `${goal}, ${ratio >= goal ? "reached" : "missed"}`;
    return [decoder, name, newTokens, paces.length, shown(pace), range, facing ? shown(ratio) : "", verdict];
  });
  const head = ["decoder", "program", "new tokens", "answers", "tokens/s", "lowest to highest", "module / program", "goal"];
  const rule = ["---", "---", ...Array(head.length - 3).fill("---:"), "---"];
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Three digits. @param {number} value */
const shown = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
