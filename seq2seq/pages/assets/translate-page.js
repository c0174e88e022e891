// A page to translate with: a text goes to each model, and the translations are shown side by side, each with its
// alternatives and its attention. What translates is given: a server, or a model in the browser.

import { drawAttention } from "./attention.js";

/**
 * @typedef {{src: string[], tgt: string[], weights: number[][]}} Attention  weights[t][s]; each row sums to 1
 * @typedef {{text: string, score: number, attention: ?Attention, note: ?string}} Candidate
 *   attention: null if it is too large; note: something to say of it, such as that the source was cut
 * @typedef {Object} Model
 * @property {string} name
 * @property {string} src  language code of what it reads
 * @property {string} tgt  language code of what it writes
 * @property {string} about  what it is, in a line, besides its languages
 * @property {number} mostBest  most candidates that it can give
 * @property {(text: string, options: {numBest: number, signal: AbortSignal}) => Promise<Candidate[]>} translate
 *   of one sentence, best first. An error's message is shown. One sentence is asked for at a time, of each model.
 */

const MOST_CELLS = 20000; // of a heatmap that is worth drawing
const TOO_LARGE = "The attention is too large to draw.";
const part = (id) => document.getElementById(id);

/**
 * Start the page of templates/translate.html with one model or several.
 * @param {Promise<Model[]>} loading
 */
export async function startPage(loading) {
  say("loading…");
  let models;
  try {
    models = await loading;
  } catch (error) {
    return say(error.message, true);
  }
  introduce(models);
  let asked = new AbortController();
  part("form").addEventListener("submit", (event) => {
    event.preventDefault();
    asked.abort();
    asked = new AbortController();
    translateAll(models, asked.signal);
  });
  part("source").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) part("form").requestSubmit();
  });
  part("form").querySelector("button").disabled = false;
  say("");
}

function introduce(models) {
  const [first] = models;
  if (models.length === 1) part("about").textContent = described(first);
  if (models.every((model) => model.src === first.src)) {
    part("source").lang = first.src;
    part("source-label").textContent = `${language(first.src)}, a sentence a line`;
  }
  const numBest = part("num-best");
  numBest.max = Math.max(...models.map((model) => model.mostBest));
  numBest.value = Math.min(5, numBest.max);
  numBest.closest("label").hidden = numBest.max === "1";
}

async function translateAll(models, signal) {
  const lines = part("source").value.split("\n").map((line) => line.trim()).filter(Boolean);
  if (!lines.length) return say("there is nothing to translate");
  const numBest = Number(part("num-best").value);
  const began = performance.now();
  say("translating…");
  const columns = models.map((model) => column(model, models.length > 1));
  part("results").replaceChildren(...columns);
  try {
    await Promise.all(models.map((model, i) => translateInto(columns[i], model, lines, numBest, signal)));
    const seconds = ((performance.now() - began) / 1000).toFixed(2);
    say(`${lines.length === 1 ? "1 sentence" : `${lines.length} sentences`} translated in ${seconds} s`);
  } catch (error) {
    if (!signal.aborted) say(error.message, true);
  }
}

async function translateInto(place, model, lines, numBest, signal) {
  for (const line of lines) {
    const candidates = await model.translate(line, { numBest: Math.min(numBest, model.mostBest), signal });
    if (signal.aborted) return;
    place.append(result(model, line, candidates, lines.length > 1));
  }
}

function column(model, named) {
  const made = element("section");
  made.setAttribute("aria-label", `Translation by ${model.name}`);
  if (named) made.append(element("h2", model.name), element("p", described(model), "muted"));
  return made;
}

function described({ src, tgt, about }) {
  return `${language(src)} → ${language(tgt)}: ${about}`;
}

/** One sentence: its translation, the alternatives to choose from, and the attention of the one chosen. */
function result(model, line, candidates, several) {
  const made = element("article");
  if (several) made.append(inLanguage(element("p", line, "muted"), model.src));
  const text = inLanguage(element("p", "", "translation"), model.tgt);
  const note = element("p", "", "muted");
  const heatmap = element("div");
  const choose = (candidate) => {
    text.textContent = candidate.text || "(nothing)";
    note.textContent = [`score ${number(candidate.score)}`, candidate.note].filter(Boolean).join("; ");
    show(heatmap, candidate);
  };
  choose(candidates[0]);
  made.append(text, note);
  if (candidates.length > 1) made.append(alternatives(model, candidates, choose));
  made.append(several ? folded("Attention", heatmap) : heatmap);
  return made;
}

let lists = 0;

function alternatives(model, candidates, choose) {
  const list = element("fieldset");
  list.append(element("legend", "Alternatives, by score"));
  lists += 1;
  candidates.forEach((candidate, rank) => {
    const label = element("label");
    const radio = element("input");
    Object.assign(radio, { type: "radio", name: `alternatives-${lists}`, checked: rank === 0 });
    radio.addEventListener("change", () => choose(candidate));
    label.append(radio, inLanguage(element("span", candidate.text || "(nothing)"), model.tgt));
    label.append(element("span", number(candidate.score), "muted number"));
    list.append(label);
  });
  return list;
}

function show(heatmap, { text, attention }) {
  const large = !attention || attention.src.length * attention.tgt.length > MOST_CELLS;
  if (!text) heatmap.replaceChildren();
  else if (large) heatmap.replaceChildren(element("p", TOO_LARGE, "muted"));
  else drawAttention(heatmap, attention);
}

function folded(title, content) {
  const made = element("details");
  made.append(element("summary", title), content);
  return made;
}

function say(message, isError = false) {
  const status = part("status");
  status.textContent = message;
  status.className = isError ? "bad" : "muted";
}

/** "German" for "de"; the code itself if the browser knows no name. */
function language(code) {
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(code);
  } catch {
    return code;
  }
}

function number(value) {
  return value.toFixed(2).replace("-", "−");
}

function inLanguage(made, code) {
  made.lang = code;
  made.dir = "auto";
  return made;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}
