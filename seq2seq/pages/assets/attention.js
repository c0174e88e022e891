// A heatmap of attention: a row for each target word, a column for each source word. Pointing at a target
// word, or moving to it with Tab, lights the source words that it attends to and says how much.

/**
 * Draw `attention` into `place`, in the place of what it holds.
 * @param {HTMLElement} place
 * @param {{src: string[], tgt: string[], weights: number[][]}} attention  weights[t][s]; each row sums to 1
 */
export function drawAttention(place, { src, tgt, weights }) {
  place.classList.add("attention");
  const table = element("table");
  table.append(element("caption", "Rows: target words; columns: source words"));
  const columns = src.map((word) => {
    const header = element("th");
    header.scope = "col";
    header.append(element("span", word));
    header.title = word;
    return header;
  });
  const top = element("tr");
  top.append(element("td"), ...columns);
  top.firstChild.className = "corner";
  table.append(wrapped("thead", top));
  const said = element("output");
  const body = element("tbody");
  tgt.forEach((word, t) => {
    const row = element("tr");
    const header = element("th");
    header.scope = "row";
    const button = element("button", word);
    button.type = "button";
    header.append(button);
    row.append(header, ...weights[t].map((weight, s) => cell(weight, src[s], word)));
    const light = () => {
      dim(body, columns);
      row.classList.add("lit");
      columns.forEach((column, s) => {
        column.classList.toggle("lit", weights[t][s] >= 0.05);
        column.style.setProperty("--weight", weights[t][s].toFixed(2));
      });
      said.textContent = described(word, src, weights[t]);
    };
    row.addEventListener("pointerenter", light);
    button.addEventListener("focus", light);
    button.addEventListener("click", light);
    body.append(row);
  });
  table.append(body);
  table.addEventListener("pointerleave", () => {
    const focused = body.contains(document.activeElement) ? document.activeElement : null;
    dim(body, columns);
    said.textContent = "";
    if (focused) focused.dispatchEvent(new FocusEvent("focus"));
  });
  place.replaceChildren(table, said);
}

/** "dog: Hund 93%, der 5%": the words that get most of the attention, as text. */
export function described(word, src, weights) {
  const most = weights
    .map((weight, s) => [weight, src[s]])
    .filter(([weight]) => weight >= 0.05)
    .sort(([a], [b]) => b - a)
    .slice(0, 4);
  return `${word}: ${most.map(([weight, source]) => `${source} ${Math.round(100 * weight)}%`).join(", ")}`;
}

function dim(body, columns) {
  body.querySelectorAll(".lit").forEach((row) => row.classList.remove("lit"));
  columns.forEach((column) => column.classList.remove("lit"));
}

function cell(weight, source, target) {
  const made = element("td");
  made.style.setProperty("--weight", weight.toFixed(2));
  made.title = `${target} ← ${source}: ${Math.round(100 * weight)}%`;
  return made;
}

function wrapped(name, child) {
  const made = element(name);
  made.append(child);
  return made;
}

function element(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
}
