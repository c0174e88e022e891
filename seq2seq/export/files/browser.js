// The page of an exported model: it translates here, in the browser, through onnxruntime-web.

import * as ort from "./ort.wasm.bundle.min.mjs";
import { EOS, search } from "./search.js";
import { Subwords } from "./subwords.js";
import { startPage } from "./translate-page.js";
import { wordAttention } from "./word-attention.js";
import { Words } from "./words.js";

ort.env.wasm.numThreads = 1; // more need headers that a plain file server does not send
ort.env.logLevel = "error";
startPage(load());

async function load() {
  const settings = JSON.parse(new TextDecoder().decode(await file("settings.json")));
  const session = async (name) => ort.InferenceSession.create(await file(name), { executionProviders: ["wasm"] });
  const { src, tgt } = settings.tokenizers;
  const [encoder, decoder, ...lists] = await Promise.all([session("encoder.onnx"), session("decoder.onnx"), file(src), file(tgt)]);
  const [reader, writer] = lists.map((bytes, i) => new ([src, tgt][i].endsWith(".words") ? Words : Subwords)(bytes));
  const networks = { ort, encoder, decoder };

  async function translate(line, { numBest, signal }) {
    const { ids, starts } = reader.split(line);
    if (!ids.length) return [{ text: "", score: 0, attention: null, note: null }];
    const most = settings.search.max_src_tokens;
    const note = ids.length > most ? "the sentence was too long and was cut" : null;
    const found = await search(networks, settings.search, [...ids.slice(0, most), EOS], numBest, signal);
    return found.map(({ score, words, weights }) => {
      const joined = writer.join(words);
      const attention = wordAttention(weights, { text: line, starts }, joined);
      return { text: joined.text.replaceAll("\n", " "), score, attention, note };
    });
  }

  const about = `${settings.name}, in ${settings.precision}: translates in your browser, and what you type stays there`;
  return [{ name: settings.name, src: settings.src, tgt: settings.tgt, about, mostBest: settings.search.beam_size, translate }];
}

async function file(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} can't be loaded: the server answers ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
