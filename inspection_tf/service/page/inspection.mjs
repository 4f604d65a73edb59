// The page of a service: inspects what is dropped, pasted, picked or photographed, and shows what was found.

import { build as buildPanel, made } from "./threshold_panel.mjs";

const SHAPES = {
  OK: '<circle cx="8" cy="8" r="6"/>',
  NG: '<rect x="2" y="2" width="12" height="12"/>',
  REVIEW: '<polygon points="8,1 15,15 1,15"/>',
};
const EVERY_MS = 2000;
const find = (id) => document.getElementById(id);

/** Ask the service; returns status and what it said. A missing token is asked for. */
async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = { ...(options.headers ?? {}), ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    return { status: 0, said: { error: "The service does not answer. Check that it runs." } };
  }
  find("token").hidden = answer.status !== 401;
  const kind = answer.headers.get("content-type") ?? "";
  const said = kind.startsWith("application/json") ? await answer.json()
    : kind.startsWith("image/") ? await answer.blob() : await answer.text();
  return { status: answer.status, said };
}

/** The shape of an outcome: it is told by word and shape, not by colour alone. */
function shape(outcome) {
  const svg = made("svg:svg", { viewBox: "0 0 16 16", "aria-hidden": "true", fill: "currentColor" });
  svg.innerHTML = SHAPES[outcome] ?? "";
  return svg;
}

const number = (value, digits = 3) => (value === null || value === undefined ? "none" : Number(value).toFixed(digits));

// Inspect

let latest = 0; // number of what is shown: an answer that comes late changes nothing

async function inspect(blob) {
  const mine = ++latest;
  tell("Inspecting …");
  problem("");
  find("verdict").hidden = true;
  const name = find("model").value;
  const { status, said } = await ask(`inspect?model=${encodeURIComponent(name)}`, {
    method: "POST", body: blob, headers: { "Content-Type": "application/octet-stream" },
  });
  if (mine !== latest) return;
  tell("");
  if (status === 200) await show(said, mine);
  else problem(`No decision. ${said.error ?? "The service failed."}`);
}

function tell(text) { find("state").textContent = text; }

function problem(text) {
  find("problem").hidden = !text;
  find("problem").textContent = text;
}

async function show(verdict, mine) {
  find("verdict").hidden = false;
  const outcome = find("outcome");
  outcome.className = verdict.outcome;
  outcome.replaceChildren(shape(verdict.outcome), document.createTextNode(verdict.outcome));
  find("reasons").replaceChildren(...verdict.reasons.map((text) => made("li", { text })));
  const spent = Object.values(verdict.ms ?? {}).reduce((sum, one) => sum + one, 0);
  find("numbers").textContent = `Score ${number(verdict.score)}, threshold ${number(verdict.threshold)}; `
    + `${verdict.defect_count} ${verdict.defect_count === 1 ? "defect" : "defects"}; ${verdict.model} ${verdict.version}; `
    + `${spent.toFixed(0)} ms.${verdict.promise ? ` Promise: ${verdict.promise}.` : ""}`;
  const links = verdict.links ?? {};
  const names = Object.keys(links).filter((name) => name !== "image");
  find("picture").replaceChildren(...names.map((name) => made("option", { text: name })));
  find("look").hidden = names.length === 0;
  find("viewer").hidden = !links.image && names.length === 0;
  find("marks").replaceChildren();
  list(verdict);
  offerCorrection(verdict);
  if (find("viewer").hidden) return;
  const [height, width] = verdict.image_size;
  find("marks").setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const image of [find("base"), find("top")]) image.removeAttribute("src");
  if (links.image) await load(find("base"), links.image, mine);
  if (names.length === 0) return;
  find("picture").onchange = () => load(find("top"), links[find("picture").value], mine);
  await find("picture").onchange();
}

async function load(image, link, mine) {
  const { status, said } = await ask(link);
  if (mine !== latest) return;
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  if (status !== 200) { image.removeAttribute("src"); return; }
  image.src = URL.createObjectURL(said);
  await image.decode().catch(() => undefined);
}

/** What a verdict found: column names, and a row with its shape in px of the image for each. */
function rows(verdict) {
  if (verdict.regions?.length) {
    return {
      names: ["class", "area, px", "length, px", "peak"],
      found: verdict.regions.map((one) => {
        const [x0, y0, x1, y1] = one.box_xyxy;
        return [[one.class_name, one.area_px, number(one.length_px, 1), number(one.peak_score)],
          made("svg:rect", { x: x0 - 1, y: y0 - 1, width: x1 - x0 + 2, height: y1 - y0 + 2 })];
      }),
    };
  }
  if (verdict.differences?.length) {
    return {
      names: ["area, px", "depth, mm", "standard deviations"],
      found: verdict.differences.map((one) => [
        [one.area_px, number(one.depth_mm, 2), number(one.significance, 1)],
        made("svg:circle", { cx: one.xy[0] + 0.5, cy: one.xy[1] + 0.5, r: 3 + Math.sqrt(one.area_px) })]),
    };
  }
  if (verdict.corners_xy) {
    const points = verdict.corners_xy.map(([x, y]) => `${x + 0.5},${y + 0.5}`).join(" ");
    return { names: ["field", "confidence"], found: [[["corners", number(verdict.confidence)], made("svg:polygon", { points })]] };
  }
  if (verdict.probabilities) {
    return {
      names: ["class", "probability"],
      found: Object.entries(verdict.probabilities).map(([name, value]) => [[name, number(value)], null]),
    };
  }
  return { names: [], found: [] };
}

function list(verdict) {
  const { names, found } = rows(verdict);
  const table = find("found");
  table.hidden = found.length === 0;
  table.tHead.replaceChildren(made("tr", {}, ...names.map((text) => made("th", { text, scope: "col" })), made("th", { text: "where", scope: "col" })));
  table.tBodies[0].replaceChildren(...found.map(([cells, mark], place) => {
    const row = made("tr", {}, ...cells.map((text) => made("td", { text })));
    const cell = made("td");
    if (mark) {
      const button = made("button", { type: "button", "aria-pressed": "false", text: `show ${place + 1}` });
      button.onclick = () => {
        const isMarked = row.classList.toggle("marked");
        button.setAttribute("aria-pressed", String(isMarked));
        if (isMarked) find("marks").append(mark); else mark.remove();
      };
      row.onclick = (event) => { if (event.target !== button) button.click(); };
      cell.append(button);
    }
    row.append(cell);
    return row;
  }));
}

// Corrections: what a person says of the result that is shown

const SAYS = { OK: "OK", NG: "NG, as it is marked", region: "the region is wrong" };
let corrected = null; // id of the result that the form is about; null where there is none
let sending = null; // id of the one that is on its way
let untold = ""; // that the correction of an earlier result was not kept

/** Show the form for a result, or why it cannot be corrected. */
async function offerCorrection(verdict) {
  const shown = latest;
  corrected = verdict.id;
  find("correction").reset();
  find("corrected").textContent = untold;
  untold = "";
  find("labels").hidden = find("uncorrectable").hidden = true;
  const { status, said } = await ask("status");
  if (shown !== latest) return; // another image is shown by now
  const why = status !== 200 ? said.error ?? "The service does not answer."
    : !said.keeps_labels ? "Corrections are not kept here. Start the service with --labels DIR."
    : corrected === null ? "This result is too large to be kept, so that it cannot be corrected." : "";
  find("labels").hidden = Boolean(why);
  find("uncorrectable").hidden = !why;
  find("uncorrectable").textContent = why;
}

async function correct() {
  if (corrected === null || sending === corrected) return;
  const mine = corrected, shown = latest;
  sending = mine;
  const label = new FormData(find("correction")).get("label");
  find("corrected").textContent = "Sending …";
  const { status, said } = await ask(`results/${mine}/label`, {
    method: "POST", body: JSON.stringify({ label, note: find("note").value }), headers: { "Content-Type": "application/json" },
  });
  if (sending === mine) sending = null;
  const why = said.error ?? "The service failed.";
  if (shown === latest) find("corrected").textContent = status === 200 ? `Kept as ${SAYS[said.label]}.` : `Not kept. ${why}`;
  else if (status !== 200) { // another image came meanwhile: is its verdict shown by now?
    untold = `The correction of an earlier result was not kept. ${why}`;
    if (mine !== corrected) [find("corrected").textContent, untold] = [untold, ""];
  }
}

find("correction").onsubmit = (event) => { event.preventDefault(); correct(); };

// The camera

let stream = null;

async function openCamera() {
  problem("");
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (reason) {
    problem(`The camera cannot be used: ${reason?.message ?? "this address is not secure"}.`);
    return;
  }
  find("video").srcObject = stream;
  find("live").hidden = false;
  await find("video").play();
}

function closeCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  find("live").hidden = true;
}

async function shoot() {
  const video = find("video");
  const canvas = made("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  if (blob) await inspect(blob);
}

// History

async function history() {
  const { status, said } = await ask("results");
  if (status !== 200) return;
  const chosen = said.results;
  find("results").replaceChildren(...chosen.map((one) => {
    const button = made("button", { type: "button", class: one.outcome }, document.createTextNode(one.outcome));
    button.onclick = async () => {
      const mine = ++latest;
      const again = await ask(`results/${one.id}`);
      if (mine !== latest) return;
      if (again.status !== 200) { await history(); return; }
      select("inspect");
      await show(again.said, mine);
    };
    return made("tr", {},
      made("td", { text: new Date(one.time).toLocaleString() }), made("td", {}, button),
      made("td", { text: number(one.score) }), made("td", { text: one.model }),
      made("td", { text: one.reasons.join("; ") }));
  }));
  draw([...chosen].reverse().filter((one) => one.score !== null));
}

function draw(results) {
  const x = (place) => 10 + (580 * (place + 0.5)) / Math.max(results.length, 1);
  const y = (score) => 150 - 140 * score;
  find("scores").replaceChildren(...results.flatMap((one, place) => {
    const half = Math.max(290 / results.length, 1);
    const line = made("svg:line", { x1: x(place) - half, x2: x(place) + half, y1: y(one.threshold), y2: y(one.threshold), stroke: "currentColor" });
    const spot = made("svg:svg", { x: x(place) - 5, y: y(one.score) - 5, width: 10, height: 10, viewBox: "0 0 16 16", class: one.outcome, fill: "currentColor" });
    spot.innerHTML = SHAPES[one.outcome];
    return [line, spot];
  }));
}

// Threshold

let panelOf = ""; // model and version whose panel is shown

async function threshold() {
  const name = find("model").value;
  const address = `models/${encodeURIComponent(name)}/tune`;
  const { status, said } = await ask(address);
  if (name !== find("model").value) return;
  find("no-panel").hidden = status === 200;
  find("panel").hidden = status !== 200;
  if (status !== 200) { find("no-panel").textContent = said.error ?? "The service failed."; return; }
  const key = `${name} ${said.version}`;
  if (key === panelOf) return; // what is dragged stays while other views are looked at
  panelOf = key;
  buildPanel(find("panel"), said, async (place) => {
    const picture = await ask(`${address}/${place}.png?version=${said.version}`);
    return picture.status === 200 ? URL.createObjectURL(picture.said) : null;
  });
}

// Model and health

function terms(list, pairs) {
  find(list).replaceChildren(...pairs.flatMap(([name, value]) => [made("dt", { text: name }), made("dd", { text: String(value) })]));
}

async function about() {
  const { status, said } = await ask("status");
  if (status !== 200) return;
  const model = said.models.find((one) => one.name === find("model").value);
  if (!model) return;
  terms("facts", [["Model", model.name], ["Version", model.version], ["Id", model.model_id], ["Task", model.task],
    ["Engine", model.engine], ["Further engines", Object.entries(model.engines).map(([name, state]) => `${name}: ${state}`).join(", ") || "none"],
    ["Gate of the export", gate(model.parity)], ["Classes", model.classes.join(", ")], ["Threshold", number(model.threshold)],
    ["Promise", model.promise || "none"]]);
  find("metrics-of-model").tBodies[0].replaceChildren(...Object.entries(model.metrics).map(([metric, one]) => made("tr", {},
    ...[metric, number(one.value), number(one.low), number(one.high)].map((text) => made("td", { text })))));
  const card = await ask(`models/${encodeURIComponent(model.name)}/card`);
  find("card").textContent = card.status === 200 ? card.said : "";
}

function gate(parity) {
  if (parity.images === undefined) return "not recorded";
  return `${parity.images} images, ${parity.changed_verdicts.length} changed verdicts, scores within ${parity.max_score_difference.toExponential(1)}`;
}

async function check() {
  find("check").disabled = true;
  find("checked").textContent = "Checking …";
  const { status, said } = await ask(`models/${encodeURIComponent(find("model").value)}/check`, { method: "POST" });
  find("checked").textContent = status === 200 ? `${said.passed ? "Passed" : "Failed"}: ${said.said}` : said.error ?? "The service failed.";
  find("check").disabled = false;
}

async function health() {
  const { status, said } = await ask("status");
  if (status !== 200) { terms("numbers-of-health", [["Service", "does not answer"]]); return; }
  terms("numbers-of-health", [["Takes requests", said.is_ready ? "yes" : "no"],
    ["Requests now", `${said.requests} of ${said.limit}`], ["Images that wait", said.waiting],
    ["One image takes", `${number(1000 * said.service_s, 1)} ms`],
    ["Latency of the last images", Object.entries(said.latency_ms).map(([name, ms]) => `${name} ${number(ms, 1)} ms`).join(", ") || "none yet"],
    ...said.models.map((one) => [`Decided by ${one.name}`, ["OK", "REVIEW", "NG"].map((name) => `${one.counts[name] ?? 0} ${name}`).join(", ")]),
    ...said.models.map((one) => [`Drift of the scores of ${one.name}`, one.drift]),
    ["Refused", Object.entries(said.refused).map(([reason, count]) => `${count} ${reason}`).join(", ") || "none"]]);
}

async function models() {
  const { status, said } = await ask("status");
  if (status !== 200) { if (status !== 401) problem(said.error ?? ""); return; }
  find("model").replaceChildren(...said.models.map((one) => made("option", { text: one.name })));
}

// Views

const VIEWS = { inspect: () => undefined, history, threshold, about, health };

function select(name) {
  for (const one of Object.keys(VIEWS)) {
    const isChosen = one === name;
    find(one).hidden = !isChosen;
    find(`tab-${one}`).setAttribute("aria-selected", String(isChosen));
    find(`tab-${one}`).tabIndex = isChosen ? 0 : -1;
  }
  VIEWS[name]();
}

const chosen = () => Object.keys(VIEWS).find((name) => !find(name).hidden);

function start() {
  const names = Object.keys(VIEWS);
  for (const [place, name] of names.entries()) {
    const tab = find(`tab-${name}`);
    tab.onclick = () => select(name);
    tab.onkeydown = (event) => {
      const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: names.length - 1 }[event.key];
      if (to === undefined) return;
      const next = names[(to + names.length) % names.length];
      select(next);
      find(`tab-${next}`).focus();
      event.preventDefault();
    };
  }
  find("file").onchange = (event) => { if (event.target.files[0]) inspect(event.target.files[0]); event.target.value = ""; };
  const drop = find("drop");
  for (const kind of ["dragover", "dragenter"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files[0]) inspect(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => { if (event.clipboardData.files[0]) inspect(event.clipboardData.files[0]); });
  find("check").onclick = check;
  find("camera").onclick = openCamera;
  find("stop").onclick = closeCamera;
  find("shoot").onclick = shoot;
  find("opacity").oninput = (event) => { find("top").style.opacity = event.target.value / 100; };
  find("zoom").oninput = (event) => { find("stack").style.setProperty("--zoom", event.target.value / 100); };
  find("model").onchange = () => VIEWS[chosen()]();
  find("token").onsubmit = async (event) => {
    event.preventDefault();
    sessionStorage.setItem("token", find("word").value);
    find("word").value = "";
    await models();
  };
  setInterval(() => { if (chosen() === "health" && !document.hidden) health(); }, EVERY_MS);
  models();
}

start();
