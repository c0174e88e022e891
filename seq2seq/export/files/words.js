// The tokenizer of words and punctuation marks; "￭" stands before one that had no space before it.

import { SPACES } from "./word-attention.js";

const UNKNOWN = 1;
const JOINER = "￭";
const TOKEN = new RegExp(`[\\p{L}\\p{N}_]+|[^\\p{L}\\p{N}_${SPACES}]`, "gu"); // as Python splits text

export class Words {
  /** @param {Uint8Array} list  a word a line */
  constructor(list) {
    this.texts = new TextDecoder("utf-8", { ignoreBOM: true }).decode(list).split("\n").slice(0, -1);
    this.ids = new Map(this.texts.map((word, id) => [word, id]));
  }

  /**
   * The words of a line.
   * @returns {{ids: number[], starts: number[]}}  where each begins in the line
   */
  split(line) {
    const found = [...line.matchAll(TOKEN)];
    let end = 0;
    const ids = found.map((match) => {
      const word = (end > 0 && match.index === end ? JOINER : "") + match[0];
      end = match.index + match[0].length;
      return this.ids.get(word) ?? UNKNOWN;
    });
    return { ids, starts: found.map((match) => match.index) };
  }

  /**
   * Plain text.
   * @returns {{text: string, starts: number[]}}  where in the text each word begins
   */
  join(ids) {
    let text = "";
    const starts = [];
    for (const word of ids.map((id) => this.texts[id])) {
      const joined = word.startsWith(JOINER) && word.length > 1;
      if (text && !joined) text += " ";
      starts.push(text.length);
      text += joined ? word.slice(1) : word;
    }
    return { text, starts };
  }
}
