// The report of an evaluation: heatmaps drawn when they are opened, and the table of sentences, which can be
// searched, filtered by cause and sorted.

const STEP = 100; // rows that are shown at first, and added by each "more"
const { attention, rows, causes, lang } = JSON.parse(document.getElementById("data").textContent);
const [LINE, CHRF, SOURCE, REFERENCE, TRANSLATION, CAUSES] = [0, 1, 2, 3, 4, 5]; // of a row
const form = document.getElementById("choose");
const body = document.querySelector("#table tbody");
const headers = [...document.querySelectorAll("#table th")];
const more = document.getElementById("more");
const texts = new Map(rows.map((row) => [row, row.slice(SOURCE, CAUSES).join("\n").toLowerCase()]));
let column = LINE;
let direction = 1;
let shown = STEP;

document.querySelectorAll("details[data-line]").forEach((details) => {
  const { src, tgt, weights } = attention[details.dataset.line];
  const shares = weights.map((row) => row.map((percent) => percent / 100));
  const open = () => drawAttention(details.lastElementChild, { src, tgt, weights: shares });
  details.addEventListener("toggle", open, { once: true });
});

document.querySelectorAll("button[data-cause]").forEach((button) => {
  button.addEventListener("click", () => {
    form.elements.cause.value = button.dataset.cause;
    form.elements.query.value = "";
    choose();
    document.getElementById("all").scrollIntoView();
    form.elements.cause.focus({ preventScroll: true });
  });
});

headers.forEach((header, number) => {
  header.firstElementChild.addEventListener("click", () => {
    direction = number === column ? -direction : 1;
    column = number;
    choose();
  });
});
form.addEventListener("input", choose);
form.addEventListener("submit", (event) => event.preventDefault());
more.addEventListener("click", () => {
  shown += STEP;
  draw();
});
choose();

function choose() {
  shown = STEP;
  draw();
}

/** Fill the table with the first rows of those that are asked for. */
function draw() {
  const query = form.elements.query.value.trim().toLowerCase();
  const cause = form.elements.cause.value;
  const found = rows
    .filter((row) => texts.get(row).includes(query) && (cause === "" || row[CAUSES].includes(Number(cause))))
    .sort((a, b) => direction * compared(a[column], b[column]) || a[LINE] - b[LINE]);
  body.replaceChildren(...found.slice(0, shown).map(drawn));
  headers.forEach((header, number) => {
    if (number === column) header.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    else header.removeAttribute("aria-sort");
  });
  document.getElementById("count").textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} sentences`;
  more.hidden = found.length <= shown;
}

function compared(a, b) {
  return typeof a === "string" ? a.localeCompare(b) : (a ?? -1) - (b ?? -1); // no chrF without a reference
}

function drawn(row) {
  const made = element("tr");
  const line = element("th", row[LINE].toLocaleString("en"));
  line.scope = "row";
  line.dataset.label = "Line";
  const chrf = element("td", row[CHRF] === null ? "–" : row[CHRF].toFixed(1));
  chrf.dataset.label = "chrF";
  chrf.className = "number";
  const sides = [
    ["Source", row[SOURCE], lang.src],
    ["Reference", row[REFERENCE], lang.tgt],
    ["Translation", row[TRANSLATION], lang.tgt],
  ].map(([label, text, code]) => {
    const side = element("td");
    side.dataset.label = label;
    const said = element("span", text);
    said.dir = "auto";
    if (code) said.lang = code;
    side.append(said);
    return side;
  });
  row[CAUSES].forEach((cause) => {
    const badge = element("span", causes[cause]);
    badge.className = "badge";
    sides[2].append(" ", badge);
  });
  made.append(line, chrf, ...sides);
  return made;
}
