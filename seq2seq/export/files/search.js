// Beam search for one sentence over encoder.onnx and decoder.onnx, as in search.py.

export const [BOS, EOS] = [2, 3];
const STEP = ["best_log_probs", "best_words", "attention", "new_state", "new_weights"];

/**
 * @param {{ort: object, encoder: object, decoder: object}} networks  onnxruntime-web and two of its sessions
 * @param {object} settings  "search" of settings.json
 * @param {number[]} src  token ids that end in EOS
 * @returns {Promise<{score: number, words: number[], weights: Float32Array[]}[]>}  best first; the attention weights
 *   (source length) of each word
 */
export async function search({ ort, encoder, decoder }, settings, src, numBest, signal) {
  const beam = settings.beam_size;
  const numbers = (values, shape) => new ort.Tensor("int32", Int32Array.from(values), shape);
  const encoded = await encoder.run({ src: numbers(src, [1, src.length]), lengths: numbers([src.length], [1]) });
  const { state, weights, ...memory } = encoded;
  const first = Array(beam).fill(0);
  let carried = { state: rowsOf(ort, state, first), weights: rowsOf(ort, weights, first) };
  let paths = first.map((_, row) => ({ logProb: row ? -Infinity : 0, words: [BOS], weights: [] }));
  const longest = Math.max(1, Math.floor(settings.max_ratio * src.length) + settings.max_offset);
  let found = [];
  let ended = 0;
  for (let length = 1; ; length++) {
    signal?.throwIfAborted();
    const words = numbers(paths.map((path) => path.words.at(-1)), [1, beam]);
    const repeats = paths.map((path) => repeating(path.words, settings.no_repeat_ngram_size));
    const most = 2 * beam + Math.max(...repeats.map((words) => words.size));
    const count = new ort.Tensor("int64", BigInt64Array.of(BigInt(most)), [1]);
    const step = await decoder.run({ words, count, ...carried, ...memory }, STEP);
    const normalizer = ((5 + length) / 6) ** settings.length_penalty;
    const cut = length >= longest;
    const staying = [];
    bestWords(paths, step, repeats, 2 * beam).forEach(({ logProb, row, word }, rank) => {
      const attention = step.attention.data.slice(row * src.length, (row + 1) * src.length);
      const path = { logProb, row, words: [...paths[row].words, word], weights: [...paths[row].weights, attention] };
      const stays = word !== EOS && staying.length < beam;
      if (stays) staying.push(path);
      if (logProb > -Infinity && (stays ? cut : word === EOS && rank < beam)) {
        ended += 1;
        const score = logProb / normalizer + settings.coverage_penalty * coverage(path.weights);
        const end = stays ? path.words.length : -1;
        found.push({ score, words: path.words.slice(1, end), weights: path.weights.slice(0, stays ? undefined : -1) });
        found = found.sort((a, b) => b.score - a.score).slice(0, numBest);
      }
    });
    const bound = staying[0].logProb / normalizer; // of what may still come
    if (cut || (ended >= beam && (beam === 1 || found.at(-1).score >= bound))) return found;
    const rows = staying.map((path) => path.row);
    carried = { state: rowsOf(ort, step.new_state, rows), weights: rowsOf(ort, step.new_weights, rows) };
    paths = staying;
  }
}

/** The next words that would write the same `size` words in a row again; 0: none. */
function repeating(words, size) {
  const last = words.slice(words.length + 1 - size);
  const repeats = (i) => last.every((word, j) => word === words[i + j]);
  const starts = size ? [...words.keys()].slice(0, Math.max(0, words.length + 1 - size)) : [];
  return new Set(starts.filter(repeats).map((i) => words[i + size - 1]));
}

/** The best one-word extensions of some paths, best first. */
function bestWords(paths, { best_log_probs, best_words }, repeats, count) {
  const each = best_words.data.length / paths.length;
  return Array.from(best_words.data, (word, i) => {
    const row = Math.floor(i / each);
    return { logProb: paths[row].logProb + best_log_probs.data[i], row, word };
  })
    .filter(({ row, word }) => !repeats[row].has(word))
    .sort((a, b) => (b.logProb === a.logProb ? 0 : b.logProb - a.logProb)) // -∞ - -∞ is no number
    .slice(0, count);
}

/** Σ_i log min(Σ_t α_ti, 1) of the attention weights of each word. */
function coverage(weights) {
  return weights[0].reduce((total, _, i) => {
    const sum = weights.reduce((attended, one) => attended + one[i], 0);
    return total + Math.log(Math.min(Math.max(sum, 1e-12), 1));
  }, 0);
}

/** The given rows of a tensor (1, K, …), in that order. */
function rowsOf(ort, tensor, rows) {
  const [, times, ...rest] = tensor.dims;
  const size = tensor.data.length / times;
  const data = new Float32Array(rows.length * size);
  rows.forEach((row, i) => data.set(tensor.data.subarray(row * size, (row + 1) * size), i * size));
  return new ort.Tensor("float32", data, [1, rows.length, ...rest]);
}
