// Attention between words: what pieces of words attend to, merged into whole words.

/** What Python takes for a space, in a class of a regular expression. */
export const SPACES = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const WORD = new RegExp(`[^${SPACES}]+`, "gu");

/**
 * @param {Float32Array[]} weights  of each target piece, on source pieces and </s>
 * @param {{text: string, starts: number[]}} src  the source, and where its pieces begin
 * @param {{text: string, starts: number[]}} tgt
 * @returns {{src: string[], tgt: string[], weights: number[][]}}  a source word's weight is the sum of its pieces', a
 *   target word's row the mean of its pieces' rows
 */
export function wordAttention(weights, src, tgt) {
  const [sources, targets] = [wordsOf(src.text), wordsOf(tgt.text)];
  const [columns, rows] = [wordNumbers(src), wordNumbers(tgt).slice(0, weights.length)];
  const merged = targets.map(() => Array(sources.length + 1).fill(0));
  rows.forEach((row, t) => {
    if (row === targets.length) return; // a space after the last word
    const pieces = rows.filter((other) => other === row).length;
    weights[t].forEach((weight, s) => {
      const column = s === weights[t].length - 1 ? sources.length : columns[s];
      merged[row][column] += weight / pieces;
    });
  });
  return { src: [...sources, "</s>"], tgt: targets, weights: merged };
}

const wordsOf = (text) => text.match(WORD) ?? [];

/** For each piece, the number of the word that it begins in or, if it begins in a space, of the next. */
export function wordNumbers({ text, starts }) {
  const ends = [...text.matchAll(WORD)].map((match) => match.index + match[0].length);
  return starts.map((start) => ends.filter((end) => end <= start).length);
}
