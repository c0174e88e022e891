// The page of `seq2seq serve`: the server beside it translates.

import { startPage } from "./translate-page.js";

startPage(load());

async function load() {
  const { runs } = await answer(fetch("api/runs"));
  return runs.map((run) => ({ ...run, mostBest: run.most_best, translate: (...asked) => translate(run.name, ...asked) }));
}

async function translate(run, text, { numBest, signal }) {
  const body = JSON.stringify({ text: [text], num_best: numBest, run, attention: true });
  const headers = { "Content-Type": "application/json" };
  const { translations } = await answer(fetch("api/translate", { method: "POST", headers, body, signal }));
  const [{ truncated, candidates }] = translations;
  return candidates.map((one) => ({ ...one, note: truncated ? "the sentence was too long and was cut" : null }));
}

/** What the server answers, or an error with its words. */
async function answer(fetching) {
  let response;
  try {
    response = await fetching;
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error("the server does not answer; is it still running?");
  }
  const said = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(said.error || `the server answers ${response.status} ${response.statusText}`);
  return said;
}
