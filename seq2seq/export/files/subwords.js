// SentencePiece, as `seq2seq` trains it, in JavaScript: reads the .model file itself, with the tables of its Unicode
// normalization, and gives the same pieces (Kudo and Richardson, 2018).

const SPACE = "▁";
const [UNIGRAM, BPE] = [1, 2];
const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, , BYTE] = [1, 2, 3, 4, 5, 6];
const UNKNOWN_PENALTY = 10; // nats below the rarest piece
const UNKNOWN_TEXT = " ⁇ ";
const text = { encoder: new TextEncoder(), decoder: new TextDecoder("utf-8", { ignoreBOM: true }) };

export class Subwords {
  /** @param {Uint8Array} model  a file of SentencePiece: a protocol buffer, ModelProto */
  constructor(model) {
    this.texts = [];
    this.types = [];
    this.scores = [];
    this.type = UNIGRAM;
    this.normalizer = new Normalizer(null);
    for (const [number, value] of fields(model)) {
      if (number === 1) this.#addPiece(value);
      if (number === 2) for (const [of, type] of fields(value)) if (of === 3) this.type = type;
      if (number === 3) for (const [of, table] of fields(value)) if (of === 2 && table.length) this.normalizer = new Normalizer(table);
    }
    const ids = this.texts.map((_, id) => id);
    this.unknown = this.types.indexOf(UNKNOWN);
    this.ids = new Map(ids.filter((id) => [NORMAL, USER_DEFINED].includes(this.types[id])).map((id) => [this.texts[id], id]));
    this.bytes = new Map(ids.filter((id) => this.types[id] === BYTE).map((id) => [Number(this.texts[id].slice(1, -1)), id]));
    this.longest = Math.max(...[...this.ids.keys()].map((piece) => [...piece].length));
    this.rarest = Math.min(...[...this.ids.values()].map((id) => this.scores[id]));
  }

  #addPiece(message) {
    let [piece, score, type] = ["", 0, NORMAL];
    for (const [number, value] of fields(message)) {
      if (number === 1) piece = text.decoder.decode(value);
      if (number === 2) score = value;
      if (number === 3) type = value;
    }
    this.texts.push(piece);
    this.scores.push(score);
    this.types.push(type);
  }

  /**
   * The pieces of a line.
   * @returns {{ids: number[], starts: number[]}}  where each piece begins in the line
   */
  split(line) {
    const [ids, starts] = [[], []];
    const [characters, places] = this.normalizer.normalize(line);
    let afterUnknown = false;
    let at = 0;
    for (const piece of this.#segmented(characters)) {
      const id = this.ids.get(piece);
      let spelled = [id];
      if (id === undefined) {
        spelled = Array.from(this.bytes.size ? text.encoder.encode(piece) : [], (byte) => this.bytes.get(byte));
        if (!this.bytes.size && !afterUnknown) spelled = [this.unknown]; // one for several such characters in a row
      }
      for (const one of spelled) {
        ids.push(one);
        starts.push(places[at]);
      }
      afterUnknown = id === undefined;
      at += [...piece].length;
    }
    return { ids, starts };
  }

  #segmented(characters) {
    return this.type === BPE ? this.#merged(characters) : this.#likeliest(characters);
  }

  /** The pieces with the highest sum of scores: the Viterbi algorithm. Sums are rounded as SentencePiece rounds them. */
  #likeliest(characters) {
    const best = [{ sum: 0 }]; // for each beginning of the text: its sum, and where its last piece begins
    const offer = (end, begin, sum) => {
      if (!best[end] || sum > best[end].sum) best[end] = { sum: Math.fround(sum), begin };
    };
    const unknown = Math.fround(this.rarest - UNKNOWN_PENALTY);
    for (let begin = 0; begin < characters.length; begin++) {
      let piece = "";
      for (let end = begin + 1; end <= Math.min(begin + this.longest, characters.length); end++) {
        piece += characters[end - 1];
        const id = this.ids.get(piece);
        if (id !== undefined) offer(end, begin, best[begin].sum + this.scores[id]);
        else if (end === begin + 1) offer(end, begin, Math.fround(best[begin].sum + unknown));
      }
    }
    const pieces = [];
    for (let end = characters.length; end > 0; end = best[end].begin) pieces.push(characters.slice(best[end].begin, end).join(""));
    return pieces.reverse();
  }

  /** Neighbours are merged, the pair that was learned first before all others, until no pair is a piece. */
  #merged(characters) {
    const pieces = [...characters];
    const score = (i) => this.scores[this.ids.get(pieces[i] + pieces[i + 1])] ?? -Infinity;
    const scores = pieces.map((_, i) => (i + 1 < pieces.length ? score(i) : -Infinity));
    for (;;) {
      let best = 0;
      for (let i = 1; i < scores.length; i++) if (scores[i] > scores[best]) best = i;
      if (!(scores[best] > -Infinity)) return pieces;
      pieces.splice(best, 2, pieces[best] + pieces[best + 1]);
      scores.splice(best + 1, 1);
      for (const i of [best - 1, best]) if (i >= 0) scores[i] = i + 1 < pieces.length ? score(i) : -Infinity;
    }
  }

  /**
   * Plain text.
   * @returns {{text: string, starts: number[]}}  where in the text each piece begins; a byte, where its letter does
   */
  join(ids) {
    let joined = "";
    const starts = [];
    let bytes = [];
    const spell = () => {
      for (const [letter, length] of letters(bytes)) {
        for (let i = 0; i < length; i++) starts.push(joined.length);
        joined += letter;
      }
      bytes = [];
    };
    for (const id of ids) {
      const piece = this.texts[id];
      if (this.types[id] === BYTE) {
        bytes.push(Number(piece.slice(1, -1)));
        continue;
      }
      spell();
      starts.push(joined.length);
      if (this.types[id] === UNKNOWN) joined += UNKNOWN_TEXT;
      else if (this.types[id] !== CONTROL) joined += (joined ? piece : piece.replace(/^▁/, "")).replaceAll(SPACE, " ");
    }
    spell();
    return { text: joined, starts };
  }
}

/** Letters in UTF-8, and of how many bytes each is; a byte that belongs to none becomes U+FFFD. */
function* letters(bytes) {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  for (let at = 0; at < bytes.length; ) {
    let length = lengthOf(bytes[at]);
    let letter = "\ufffd";
    try {
      letter = strict.decode(Uint8Array.from(bytes.slice(at, at + length)));
    } catch {
      length = 1;
    }
    yield [letter, length];
    at += length;
  }
}

/** How many bytes a letter in UTF-8 has, by the first. */
const lengthOf = (byte) => (byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4);

/** Rewrites characters by a table, and spaces to "▁": one before each word, none at the end. */
class Normalizer {
  /** @param {?Uint8Array} table  a double-array trie (as of darts-clone), and the texts that its values point to */
  constructor(table) {
    if (!table) return;
    const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
    const size = view.getUint32(0, true);
    this.units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.texts = table.subarray(4 + size);
  }

  /** The characters of a line when it is rewritten, and where in the line what each stands for begins. */
  normalize(line) {
    const bytes = text.encoder.encode(line);
    const starts = starting(line);
    const parts = [32]; // the space before the first word
    const origins = [];
    for (let at = 0; at < bytes.length; ) {
      const [replacement, length] = this.#longest(bytes, at);
      let skipped = 0;
      while (parts.at(-1) === 32 && replacement[skipped] === 32) skipped += 1;
      if (!origins.length && replacement.join() !== "32") origins.push(starts[at]);
      for (const byte of replacement.subarray(skipped)) {
        parts.push(byte);
        origins.push(starts[at]);
      }
      at += length;
    }
    const rewritten = text.decoder.decode(Uint8Array.from(parts)).replaceAll(" ", SPACE).replace(/▁+$/, "");
    const first = parts.map((byte, i) => [byte, origins[i]]).filter(([byte]) => (byte & 0xc0) !== 0x80); // of a letter
    return [[...rewritten], first.map(([, origin]) => origin)];
  }

  /** What the longest entry at a place in `bytes` is replaced by, and its length; a character that has none stays. */
  #longest(bytes, at) {
    let [found, length] = [-1, 0];
    if (this.units) {
      let node = offset(this.units[0]);
      for (let i = at; i < bytes.length; i++) {
        node ^= bytes[i];
        const unit = this.units[node];
        if ((unit & 0x800000ff) >>> 0 !== bytes[i]) break;
        node ^= offset(unit);
        if ((unit >>> 8) & 1) [found, length] = [this.units[node] & 0x7fffffff, i + 1 - at];
      }
    }
    if (found >= 0) return [this.texts.subarray(found, this.texts.indexOf(0, found)), length];
    length = lengthOf(bytes[at]);
    return [bytes.subarray(at, at + length), length];
  }
}

/** For each byte of a text in UTF-8, where its letter begins in the text. */
function starting(line) {
  const starts = [];
  let at = 0;
  for (const letter of line) {
    text.encoder.encode(letter).forEach(() => starts.push(at));
    at += letter.length;
  }
  return starts;
}

const offset = (unit) => (unit >>> 10) << ((unit & 0x200) >>> 6);

/** The fields of a protocol buffer's message, in order: [number, value]. Texts and messages are bytes. */
function* fields(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const [number, type] = [Math.floor(tag / 8), tag % 8];
    let value;
    if (type === 0) value = varint();
    else if (type === 1) [value, at] = [view.getFloat64(at, true), at + 8];
    else if (type === 5) [value, at] = [view.getFloat32(at, true), at + 4];
    else {
      const length = varint();
      [value, at] = [bytes.subarray(at, at + length), at + length];
    }
    yield [number, value];
  }
}
