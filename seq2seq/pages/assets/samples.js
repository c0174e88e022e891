// Validation samples over training: one slider goes through the validations, one choice through the sentences.

const PAUSE = 900; // milliseconds between two validations

const all = JSON.parse(document.getElementById("samples").textContent);
const [view, sentence, when, said, play] = ["view", "sentence", "when", "said", "play"].map((id) =>
  document.getElementById(id),
);
let playing = null;

function show() {
  const { source, reference, shown } = all[sentence.value];
  const { label, translation, attention } = shown[when.value];
  when.setAttribute("aria-valuetext", label);
  said.textContent = label;
  for (const [name, text] of Object.entries({ source, reference, translation })) {
    view.querySelector(`[data-text=${name}]`).textContent = text;
  }
  const heatmap = view.querySelector("[data-heatmap]");
  if (attention) drawAttention(heatmap, attention);
  else heatmap.textContent = "No heatmap: the translation is empty, or the sentence is too long for one.";
}

function choose() {
  stop();
  when.max = all[sentence.value].shown.length - 1;
  when.value = when.max;
  show();
}

function stop() {
  clearInterval(playing);
  playing = null;
  play.textContent = "Play";
}

function start() {
  if (when.value === when.max) when.value = 0;
  else when.value++;
  show();
  play.textContent = "Pause";
  playing = setInterval(() => {
    when.value++;
    show();
    if (when.value === when.max) stop();
  }, PAUSE);
}

sentence.addEventListener("change", choose);
when.addEventListener("input", () => {
  stop();
  show();
});
play.addEventListener("click", () => (playing ? stop() : start()));
// Whoever wants no motion moves the slider.
play.hidden = matchMedia("(prefers-reduced-motion: reduce)").matches;
view.hidden = false;
choose();
