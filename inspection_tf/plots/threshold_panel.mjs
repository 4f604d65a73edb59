// A threshold that can be dragged, and what it makes of the tune images of a bundle: in the page of the service, in a report, in Jupyter.
// It counts as `decision.TuneScores.tradeoff` does; the tests hold both together.

const SVG = "http://www.w3.org/2000/svg";
const OUTCOMES = ["OK", "REVIEW", "NG"]; // the gravest last
const CONFIDENCES = [0.8, 0.9, 0.95, 0.99];
const [NARROW, WIDE, HALF, LABELS, BINS] = [280, 600, 90, 22, 48]; // px of the chart, but for BINS
const SMALLEST = 1e-9; // of a threshold, and under 1
const EDGE = 1e-6; // of the axis of log odds, and under 1
const MOST_SHOWN = 60; // images of a cell

// Arithmetic

/** Natural logarithms of 0! to n!. */
function logFactorials(n) {
  const found = new Float64Array(n + 1);
  for (let k = 2; k <= n; k += 1) found[k] = found[k - 1] + Math.log(k);
  return found;
}

/** The one-sided Clopper-Pearson upper bound of a rate, 0..1; where nothing was counted it is 1. */
export function rateUpperBound(events, trials, confidence) {
  if (events === trials) return 1;
  const log = logFactorials(trials);
  const atMost = (rate) => { // P(X <= events)
    let sum = 0;
    for (let k = 0; k <= events; k += 1) {
      sum += Math.exp(log[trials] - log[k] - log[trials - k] + k * Math.log(rate) + (trials - k) * Math.log1p(-rate));
    }
    return sum;
  };
  let [low, high] = [0, 1];
  for (let step = 0; step < 100 && low < high; step += 1) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (atMost(middle) > 1 - confidence) low = middle; else high = middle;
  }
  return high;
}

/** What is decided about each image: its place in OUTCOMES. */
export function outcomes(tuned, threshold, reviewFrom) {
  const start = reviewFrom ?? threshold;
  return tuned.scores.map((score, place) => {
    const byScore = score === null ? 1 : score >= threshold ? 2 : score >= start ? 1 : 0;
    const [lowest, highest] = tuned.bounds[place] ?? ["OK", "NG"];
    return Math.max(OUTCOMES.indexOf(lowest), Math.min(byScore, OUTCOMES.indexOf(highest)));
  });
}

/** How many parts have an image among some that it happened to, or only such ones; and what that, and so many more, bounds. */
function rate(tuned, among, happened, every, confidence, more = 0) {
  const known = new Map();
  for (const [place, part] of tuned.parts.entries()) {
    if (!among(place)) continue;
    const before = known.get(part) ?? every;
    known.set(part, every ? before && happened(place) : before || happened(place));
  }
  const events = [...known.values()].filter(Boolean).length;
  return { events, of: known.size, at_most: rateUpperBound(Math.min(events + more, known.size), known.size, confidence) };
}

/** What thresholds make of the tune images, and what that says of further parts. */
export function tradeoff(tuned, threshold, reviewFrom, confidence) {
  const decided = outcomes(tuned, threshold, reviewFrom);
  const counted = (label) => Object.fromEntries(OUTCOMES.map((name, outcome) => [
    name, decided.filter((one, place) => one === outcome && tuned.is_defect[place] === label).length]));
  const each = tuned.part_escapes === "each";
  const isBad = (place) => tuned.is_defect[place];
  return {
    defective: counted(true),
    good: counted(false),
    not_ng: rate(tuned, isBad, (place) => decided[place] !== 2, each, confidence, tuned.further_thresholds),
    passed: rate(tuned, isBad, (place) => decided[place] === 0, each, confidence, tuned.further_thresholds),
    overkill: rate(tuned, (place) => !isBad(place), (place) => decided[place] === 2, false, confidence),
  };
}

/** A path as a shell takes it, and a command does not take for an option. */
const quoted = (path) => quotedWord(path.startsWith("-") ? `./${path}` : path);
const quotedWord = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** The command that gives a bundle these thresholds. */
export function command(tuned, threshold, band) {
  return `inspection threshold ${quoted(tuned.bundle)} --set ${threshold} --review-band ${band}`;
}

// Scales: from a score to its place on the axis, 0..1, and back

const logit = (score) => Math.log(score) - Math.log1p(-score);
const [LOW, HIGH] = [logit(EDGE), logit(1 - EDGE)];
const within = (value, low, high) => Math.min(Math.max(value, low), high);
const SCALES = {
  linear: { to: (score) => within(score, 0, 1), from: (place) => place, ticks: [0, 0.25, 0.5, 0.75, 1] },
  "log odds": {
    to: (score) => (logit(within(score, EDGE, 1 - EDGE)) - LOW) / (HIGH - LOW),
    from: (place) => 1 / (1 + Math.exp(-(LOW + place * (HIGH - LOW)))),
    ticks: [1e-6, 0.001, 0.1, 0.5, 0.9, 0.999, 1 - 1e-6],
  },
};

/** A number of few digits, not above the given one: a threshold that is rounded up would let through the image whose score it is. */
function roundedDown(value) {
  const near = Number(value.toPrecision(6));
  return near <= value ? near : Number((near - Math.abs(near) * 1e-6).toPrecision(6));
}

/** The pixel threshold that goes with a threshold set by hand; null: there are no regions. */
export function pixelThreshold(tuned, threshold) {
  return tuned.mask_range === null ? null : Math.max(tuned.mask_range[0], Math.min(tuned.mask_range[1], threshold));
}

// The panel

/** Make an element, with text and children. */
export function made(name, { text, ...attributes } = {}, ...children) {
  const element = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

const percent = (share) => `${(100 * share).toPrecision(3)} %`;
const tick = (score) => (score > 0.5 && score < 1 && score > 0.99 ? `1-${Number((1 - score).toPrecision(2))}` : String(score));

class Panel {
  constructor(element, tuned, picture) {
    this.tuned = tuned;
    this.picture = picture;
    this.unit = new Set(tuned.parts).size < tuned.parts.length ? "parts" : "images";
    this.element = element;
    this.element.classList.add("threshold-panel");
    this.element.replaceChildren(...this.build());
    this.width = WIDE;
    this.reset();
    new ResizeObserver(() => this.fit()).observe(this.element);
  }

  /** Draw in px of the screen, so that words stay as large as they are. */
  fit() {
    const width = Math.max(NARROW, Math.round(this.element.clientWidth));
    if (this.element.clientWidth && width !== this.width) {
      this.width = width;
      this.draw();
    }
  }

  build() {
    const isEdge = this.tuned.threshold < 0.05 || this.tuned.threshold > 0.95;
    this.scale = made("select", {}, ...Object.keys(SCALES).map((name) => made("option", { text: name })));
    this.scale.value = isEdge ? "log odds" : "linear";
    this.confidence = made("select", {}, ...[...new Set([...CONFIDENCES, this.tuned.confidence])].sort()
      .map((one) => made("option", { value: one, text: percent(one) })));
    this.confidence.value = this.tuned.confidence;
    this.ngInput = made("input", { type: "number", min: SMALLEST, max: 1 - SMALLEST, step: "any" });
    this.bandInput = made("input", { type: "number", min: 0, max: 1, step: "any" });
    this.chart = made("svg:svg", { role: "group", "aria-label": "Scores of the tune images" });
    this.cells = {};
    const body = ["defective", "good"].map((label) => made("tr", {}, made("th", { text: label, scope: "row" }), ...OUTCOMES.map((name) => {
      const button = made("button", { type: "button", "aria-expanded": "false" });
      button.onclick = () => this.open(this.opened === `${label} ${name}` ? "" : `${label} ${name}`);
      this.cells[`${label} ${name}`] = button;
      return made("td", {}, button);
    })));
    this.said = made("ul");
    this.code = made("code");
    const copy = made("button", { type: "button", text: "Copy command" });
    this.copied = made("span", { role: "status" });
    copy.onclick = () => this.copy();
    const shipped = made("button", { type: "button", text: "As shipped" });
    shipped.onclick = () => this.reset();
    this.list = made("div", { class: "tp-images" });
    this.scale.onchange = () => this.draw();
    this.confidence.onchange = () => this.tell();
    this.ngInput.onchange = () => this.typed(this.ngInput, (value) => this.set(value, this.band));
    this.bandInput.onchange = () => this.typed(this.bandInput, (value) => this.set(this.threshold, value));
    this.pictures = new Map();
    const labelled = (text, control) => made("label", {}, document.createTextNode(`${text} `), control);
    return [
      made("div", { class: "tp-row" }, labelled("NG from", this.ngInput), labelled("REVIEW this far under it", this.bandInput),
        labelled("Axis", this.scale), labelled("Confidence", this.confidence), shipped),
      this.chart,
      made("div", { class: "tp-scroll" }, made("table", {},
        made("caption", { text: "Tune images by label and outcome: choose a number to see which" }),
        made("thead", {}, made("tr", {}, made("th", { text: "label", scope: "col" }), ...OUTCOMES.map((text) => made("th", { text, scope: "col" })))),
        made("tbody", {}, ...body))),
      made("div", { role: "status" }, this.said),
      made("p", { class: "tp-row" }, this.code, copy, this.copied),
      made("p", { text: `A bound of escapes is a promise where it was settled before anybody looked: inspection threshold ${quoted(this.tuned.bundle)} --escape-rate RATE` }),
      this.list,
    ];
  }

  /** Take a number that was typed; of one that is none the field says so, and the last one stays. */
  typed(input, take) {
    if (!input.reportValidity()) return;
    if (input.value === "") [this.ngInput.value, this.bandInput.value] = [this.threshold, this.band];
    else take(Number(input.value));
  }

  reset() {
    const { threshold, review_from: reviewFrom } = this.tuned;
    this.place(threshold, reviewFrom === null ? 0 : Number((threshold - reviewFrom).toPrecision(12)), reviewFrom);
  }

  /** Move the lines: what is not moved stays as it is, to the last digit. */
  set(threshold, band) {
    const ng = within(threshold, SMALLEST, 1 - SMALLEST);
    const width = within(Number(band.toPrecision(6)), 0, ng - SMALLEST / 2);
    if (ng - width === ng) this.place(ng, 0, null); // less than is told apart
    else this.place(ng, width, ng - width);
  }

  place(threshold, band, reviewFrom) {
    [this.threshold, this.band, this.reviewFrom] = [threshold, band, reviewFrom];
    [this.ngInput.value, this.bandInput.value] = [threshold, band];
    this.draw();
    this.tell();
  }

  draw() {
    const { to, ticks: every } = SCALES[this.scale.value];
    const { width } = this;
    const ticks = width < WIDE ? every.filter((_, place) => place % 2 === 0 || every.length < 6) : every;
    this.chart.setAttribute("viewBox", `0 0 ${width} ${2 * HALF + LABELS}`);
    const counts = [new Array(BINS).fill(0), new Array(BINS).fill(0)];
    for (const [place, score] of this.tuned.scores.entries()) {
      if (score !== null) counts[Number(this.tuned.is_defect[place])][Math.min(Math.floor(to(score) * BINS), BINS - 1)] += 1;
    }
    const most = Math.max(1, ...counts.flat());
    const height = (count) => (count ? Math.max(2, (HALF - 14) * Math.sqrt(count / most)) : 0);
    const bars = counts.flatMap((row, label) => row.map((count, bin) => made("svg:rect", {
      class: label ? "tp-defective" : "tp-good", x: (bin * width) / BINS + 0.5, width: width / BINS - 1,
      y: label ? HALF : HALF - height(count), height: height(count) }, made("svg:title", { text: `${count} images` }))));
    const axis = ticks.map((score, place) => made("svg:text", {
      x: to(score) * width, y: 2 * HALF + 16, "text-anchor": place === 0 ? "start" : place === ticks.length - 1 ? "end" : "middle", text: place === 0 ? `score ${tick(score)}` : tick(score) }));
    this.review = this.line("REVIEW from", this.reviewFrom ?? this.threshold, (score) => this.set(this.threshold, Math.max(0, this.threshold - score)));
    this.ng = this.line("NG from", this.threshold, (score) => this.set(roundedDown(score), this.band));
    const active = document.activeElement?.getAttribute?.("aria-label");
    this.chart.replaceChildren(
      made("svg:line", { class: "tp-axis", x1: 0, x2: width, y1: HALF, y2: HALF }), ...bars, ...axis,
      made("svg:text", { x: 4, y: 12, text: "good" }), made("svg:text", { x: 4, y: 2 * HALF - 4, text: "defective" }),
      ...(this.reviewFrom === null ? [] : [this.review]), this.ng);
    const lines = [this.review, this.ng];
    const before = lines.find((one) => one.getAttribute("aria-label") === active);
    if (before) (before.isConnected ? before : this.ng).focus(); // where REVIEW has met NG, there is NG alone
  }

  line(name, score, move) {
    const { to, from } = SCALES[this.scale.value];
    const { width } = this;
    const x = to(score) * width;
    const isNg = name === "NG from";
    const line = made("svg:g", {
      class: isNg ? "tp-line NG" : "tp-line REVIEW", role: "slider", tabindex: "0", "aria-label": name, "aria-orientation": "horizontal",
      "aria-valuemin": "0", "aria-valuemax": "1", "aria-valuenow": score, "aria-valuetext": String(Number(score.toPrecision(4))) },
    made("svg:rect", { class: "tp-hold", x: x - 14, y: 0, width: 28, height: 2 * HALF }),
    made("svg:line", { x1: x, x2: x, y1: 0, y2: 2 * HALF, "stroke-dasharray": isNg ? "none" : "6 4" }),
    made("svg:text", { x: x + (x > width / 2 ? -5 : 5), y: isNg ? 26 : 2 * HALF - 18, "text-anchor": x > width / 2 ? "end" : "start", text: isNg ? "NG" : "REVIEW" }));
    const moveTo = (place) => move(from(within(place, 0, 1)));
    line.onpointerdown = (event) => {
      event.preventDefault();
      line.focus();
      const follow = (one) => {
        const box = this.chart.getBoundingClientRect();
        moveTo((one.clientX - box.left) / box.width);
      };
      const end = () => {
        window.removeEventListener("pointermove", follow);
        for (const kind of ["pointerup", "pointercancel"]) window.removeEventListener(kind, end);
      };
      window.addEventListener("pointermove", follow);
      for (const kind of ["pointerup", "pointercancel"]) window.addEventListener(kind, end);
    };
    line.onkeydown = (event) => {
      const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
      const end = { Home: 0, End: 1 }[event.key];
      if (steps === undefined && end === undefined) return;
      event.preventDefault();
      moveTo(end ?? to(score) + steps / 200);
    };
    return line;
  }

  tell() {
    const found = tradeoff(this.tuned, this.threshold, this.reviewFrom, Number(this.confidence.value));
    for (const label of ["defective", "good"]) {
      for (const name of OUTCOMES) this.cells[`${label} ${name}`].textContent = found[label][name];
    }
    const sure = `at ${percent(Number(this.confidence.value))} confidence`;
    const counted = ({ events, of }) => `${events} of ${of}`;
    const lines = [];
    if (found.not_ng.of) {
      const how = this.unit === "parts" ? ` by ${this.tuned.part_escapes} of their images` : "";
      lines.push(`Defective ${this.unit} that are not NG${how}: ${counted(found.not_ng)}; of further ones at most ${percent(found.not_ng.at_most)}, ${sure}.`);
      if (this.reviewFrom !== null) {
        lines.push(`Where a person finds all that is REVIEW: ${counted(found.passed)}; of further ones at most ${percent(found.passed.at_most)}, ${sure}.`);
      }
    } else lines.push("Nothing is promised about escapes: no tune image is defective.");
    if (found.overkill.of) {
      lines.push(`Good ${this.unit} that are NG: ${counted(found.overkill)}; of further ones at most ${percent(found.overkill.at_most)}, ${sure}.`);
    }
    if (this.tuned.further_thresholds && found.not_ng.of) {
      lines.push(`A stage before has a threshold of its own, chosen on the same images: a bound of escapes counts ${this.tuned.further_thresholds} more.`);
    }
    const isDecided = (place) => { const bounds = this.tuned.bounds[place]; return bounds && bounds[0] === bounds[1]; };
    const fixed = this.tuned.scores.filter((_, place) => isDecided(place)).length;
    if (fixed) lines.push(`Of ${fixed} of ${this.tuned.scores.length} images no threshold changes the outcome.`);
    const pixel = this.threshold === this.tuned.threshold ? this.tuned.pixel_threshold : pixelThreshold(this.tuned, this.threshold);
    if (pixel !== null && pixel !== this.tuned.mask_threshold) {
      lines.push(`The command makes ${pixel.toPrecision(3)} the pixel threshold, but it was ${this.tuned.mask_threshold.toPrecision(3)} when these scores were measured: regions have other sizes then, and scores may differ. Measure with inspection evaluate.`);
    }
    this.said.replaceChildren(...lines.map((text) => made("li", { text })));
    this.code.textContent = command(this.tuned, this.threshold, this.band);
    this.copied.textContent = "";
    this.open(this.opened ?? "");
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.code.textContent);
      this.copied.textContent = "Copied.";
    } catch { // no secure address: mark it, so that it can be copied by hand
      const range = document.createRange();
      range.selectNodeContents(this.code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      this.copied.textContent = "Marked: copy it with the keyboard.";
    }
  }

  /** Show the images of a cell, such as "good NG"; none: "". */
  open(cell) {
    this.opened = cell;
    for (const [name, button] of Object.entries(this.cells)) button.setAttribute("aria-expanded", String(name === cell));
    const [label, outcome] = cell.split(" ");
    const decided = cell ? outcomes(this.tuned, this.threshold, this.reviewFrom) : [];
    const chosen = decided.map((one, place) => [one, place])
      .filter(([one, place]) => OUTCOMES[one] === outcome && this.tuned.is_defect[place] === (label === "defective"))
      .map(([, place]) => place);
    const away = (place) => Math.abs((this.tuned.scores[place] ?? this.threshold) - this.threshold);
    chosen.sort((one, other) => away(one) - away(other));
    const shown = chosen.slice(0, MOST_SHOWN);
    const key = shown.join(" ");
    if (key === this.shown) return;
    this.shown = key;
    this.list.replaceChildren(...shown.map((place) => this.image(place)),
      ...(chosen.length > shown.length ? [made("p", { text: `and ${chosen.length - shown.length} more, further from the threshold` })] : []));
  }

  image(place) {
    const score = this.tuned.scores[place];
    const name = this.tuned.ids[place];
    const text = made("figcaption", { text: `${name}: ${score === null ? "no finite score" : Number(score.toPrecision(4))}` });
    const figure = made("figure", {}, text);
    if (!this.pictures.has(place)) this.pictures.set(place, Promise.resolve(this.picture?.(place)));
    this.pictures.get(place).then((source) => {
      if (source) figure.prepend(made("img", { src: source, alt: `Tune image ${name}`, loading: "lazy" }));
    }, () => undefined);
    return figure;
  }
}

/** Build the panel in an element. `picture` gives the address of a tune image by its place, or a promise of one. */
export function build(element, tuned, picture) {
  return new Panel(element, tuned, picture);
}

/** For anywidget. */
export default {
  render({ model, el }) {
    const pictures = model.get("pictures") ?? {};
    build(el, model.get("tuned"), (place) => pictures[place]);
  },
};
