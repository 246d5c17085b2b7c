/* Interactive curves over the SVG of the server: zoom, log scale, epochs or time, values under the pointer or
   the arrow keys. Plotly is loaded here, so that pages without curves never ask for it. live.js renews the rest
   of the page while a job runs, and says so; then the epochs since the last one are fetched and drawn. */

const SLOTS = 8;
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "8px,3px,2px,3px,2px,3px", "2px,5px"];
const UNITS = [[180, "s", 1], [10800, "min", 60], [259200, "h", 3600], [Infinity, "days", 86400]];
const SAY_EVERY_MS = 10000;

const data = new Map(); // address → what it answered

function loadPlotly(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("Plotly did not load"));
    document.body.append(script); // not in the head, where live.js looks for another version of the pages
  });
}

async function load(address) {
  const known = data.get(address);
  const from = known && known.epochs.length ? known.epochs.at(-1) + 1 : 0;
  const answer = await fetch(from ? `${address}?first=${from}` : address, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  const fresh = await answer.json();
  if (!from) data.set(address, fresh);
  else if (fresh.attempts !== known.attempts || fresh.first_event_at !== known.first_event_at) {
    data.delete(address);
    return load(address);
  } else data.set(address, joined(known, fresh));
  return data.get(address);
}

function joined(known, fresh) {
  const values = {};
  for (const key of new Set([...Object.keys(known.values), ...Object.keys(fresh.values)])) {
    const before = known.values[key] ?? known.epochs.map(() => null);
    values[key] = before.concat(fresh.values[key] ?? fresh.epochs.map(() => null));
  }
  return { ...fresh, values, epochs: known.epochs.concat(fresh.epochs), seconds: known.seconds.concat(fresh.seconds) };
}

// --- what is drawn --------------------------------------------------------------------------

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function chosen(root) {
  const form = root.querySelector(".curve-form");
  return { log: form.elements.log.checked, byTime: form.elements.axis.value === "time" };
}

function seriesOf(root) {
  return [...root.querySelectorAll("[data-epochs]")].map((item) => ({
    address: item.dataset.epochs, name: item.dataset.name, slot: Number(item.dataset.slot),
  }));
}

function unitOf(root) {
  const longest = Math.max(0, ...seriesOf(root).map((item) => data.get(item.address)?.seconds.at(-1) ?? 0));
  return UNITS.find(([limit]) => longest <= limit);
}

function slotOfKey(key, place) {
  return { val_loss: 1, train_loss: 2 }[key] ?? (place + 2) % SLOTS + 1;
}

function tracesOf(root, figure) {
  const { byTime } = chosen(root), [, , size] = unitOf(root), keys = JSON.parse(figure.dataset.keys);
  const series = seriesOf(root), own = series.filter((item) => item.slot), grey = series.filter((item) => !item.slot);
  const trace = (item, key, slot, name) => {
    const found = data.get(item.address);
    if (!found?.values[key]) return null;
    const behind = slot === 0;
    return {
      x: byTime ? found.seconds.map((s) => s / size) : found.epochs,
      y: found.values[key].map((v) => (typeof v === "number" ? v : null)),
      name, mode: found.epochs.length > 1 ? "lines" : "markers", type: "scatter", connectgaps: false,
      line: { color: colour(behind ? "--behind" : `--c${slot}`), width: behind ? 1 : 2, dash: behind ? "solid" : DASHES[slot - 1] },
      marker: { color: colour(behind ? "--behind" : `--c${slot}`) },
      hoverinfo: behind ? "skip" : undefined, opacity: behind ? 0.7 : 1,
      hovertemplate: behind ? undefined : "%{y:.5g}<extra>%{fullData.name}</extra>",
    };
  };
  return [
    ...grey.map((item) => trace(item, figure.dataset.behind, 0, item.name)),
    ...own.flatMap((item) => keys.map((key, place) => own.length > 1
      ? trace(item, key, item.slot, item.name)
      : trace(item, key, slotOfKey(key, place), key))),
  ].filter(Boolean);
}

function layoutOf(root, figure) {
  const { log, byTime } = chosen(root), [, unit] = unitOf(root);
  const text = colour("--text"), muted = colour("--muted"), line = colour("--line");
  const axis = { gridcolor: line, zeroline: false, linecolor: line, tickcolor: line, automargin: true, showspikes: true,
    spikemode: "across", spikethickness: 1, spikedash: "dot", spikecolor: muted, spikesnap: "hovered data" };
  return {
    autosize: true, height: 300, margin: { l: 56, r: 14, t: 10, b: 42 }, showlegend: false,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: muted },
    hovermode: "x unified", dragmode: "zoom", uirevision: `${byTime} ${log}`, separators: ".,",
    hoverlabel: { bgcolor: colour("--page"), bordercolor: line, font: { color: text } },
    xaxis: { ...axis, title: { text: byTime ? `${unit} since the start` : "epoch", standoff: 8 },
      unifiedhovertitle: { text: byTime ? `%{x:.2f} ${unit}` : "epoch %{x}" },
      ...(byTime ? {} : { tickformat: ",d" }) },
    // exponents as superscripts would need a style attribute, which the policy forbids
    yaxis: { ...axis, showspikes: false, type: log ? "log" : "linear", exponentformat: "e" },
  };
}

const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "reset", displaylogo: false, showTips: false };

async function draw(root) {
  for (const figure of root.querySelectorAll(".figure")) {
    const plot = figure.querySelector(".plot");
    const traces = tracesOf(root, figure);
    if (!traces.length) continue;
    if (!plot.classList.contains("js-plotly-plot")) prepare(root, figure, plot);
    await window.Plotly.react(plot, traces, layoutOf(root, figure), CONFIG);
    if (!plot.dataset.jsWhole) plot.on("plotly_relayout", () => wholeEpochs(root, plot));
    plot.dataset.jsWhole = "yes";
    await wholeEpochs(root, plot);
    plot.dataset.jsPoints = Math.max(...traces.map((item) => item.x.length));
    showLast(root, figure);
  }
}

/* There is no epoch 0.5: where Plotly would have ticks between epochs, each has one. */
function wholeEpochs(root, plot) {
  const [low, high] = plot._fullLayout.xaxis.range;
  const step = !chosen(root).byTime && high - low < 7 ? 1 : null;
  return step === (plot.layout.xaxis.dtick ?? null) ? null : window.Plotly.relayout(plot, { "xaxis.dtick": step });
}

function prepare(root, figure, plot) {
  plot.replaceChildren();
  plot.tabIndex = 0;
  plot.setAttribute("role", "group");
  plot.setAttribute("aria-label", `${figure.dataset.title}, interactive chart: arrow keys read values, plus and minus zoom, 0 resets`);
  const tools = figure.querySelector(".tools");
  for (const [label, title, act] of [["+", "Zoom in", () => zoom(plot, 0.5)], ["−", "Zoom out", () => zoom(plot, 2)],
    ["Reset", "Reset the zoom", () => reset(plot)]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.title = title;
    button.setAttribute("aria-label", `${title}: ${figure.dataset.title}`);
    button.addEventListener("click", act);
    tools.append(button);
  }
  const readout = document.createElement("output");
  readout.className = "readout";
  tools.append(readout);
  plot.addEventListener("keydown", (event) => onKey(event, plot, readout));
}

function showLast(root, figure) {
  const { address } = seriesOf(root).find((item) => item.slot) ?? {};
  for (const item of figure.querySelectorAll("[data-curve]")) {
    const values = data.get(address)?.values[item.dataset.curve]?.filter((v) => typeof v === "number");
    if (values?.length) item.querySelector("b").textContent = values.at(-1).toPrecision(4).replace(/\.?0+$/, "");
  }
}

// --- zoom and values by keyboard ------------------------------------------------------------

function zoom(plot, factor, shift = 0) {
  const change = {};
  for (const name of shift ? ["xaxis"] : ["xaxis", "yaxis"]) {
    const [low, high] = plot._fullLayout[name].range, middle = (low + high) / 2, half = (high - low) / 2 * factor;
    change[`${name}.range`] = [middle - half + shift * (high - low), middle + half + shift * (high - low)];
  }
  return window.Plotly.relayout(plot, change);
}

function reset(plot) {
  return window.Plotly.relayout(plot, { "xaxis.autorange": true, "yaxis.autorange": true });
}

function onKey(event, plot, readout) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
  if (event.shiftKey && event.key in steps) zoom(plot, 1, Math.sign(steps[event.key]) * 0.2);
  else if (event.key in steps) read(plot, readout, steps[event.key]);
  else if (event.key === "+" || event.key === "=") zoom(plot, 0.5);
  else if (event.key === "-") zoom(plot, 2);
  else if (event.key === "0") reset(plot);
  else return;
  event.preventDefault();
}

function read(plot, readout, step) {
  const traces = plot.data.filter((item) => item.hoverinfo !== "skip");
  const xs = [...new Set(traces.flatMap((item) => [...item.x]))].sort((a, b) => a - b);
  const before = plot.dataset.jsAt === undefined ? (step > 0 ? -1 : xs.length) : xs.findIndex((x) => x >= Number(plot.dataset.jsAt));
  const place = Math.max(0, Math.min(xs.length - 1, before + step));
  const x = xs[place];
  plot.dataset.jsAt = x;
  const words = traces.map((item) => [item.name, item.y[item.x.indexOf(x)]]).filter(([, y]) => typeof y === "number");
  const title = plot.layout.xaxis.title.text;
  readout.textContent = `${title === "epoch" ? `epoch ${x}` : `${x.toPrecision(3)} ${title.split(" ")[0]}`}: `
    + words.map(([name, y]) => `${name} ${y.toPrecision(5)}`).join(", ");
  const points = plot.data.flatMap((item, curveNumber) => {
    const pointNumber = item.hoverinfo === "skip" ? -1 : item.x.indexOf(x);
    return pointNumber < 0 ? [] : [{ curveNumber, pointNumber }];
  });
  window.Plotly.Fx.hover(plot, points);
}

// --- the form -------------------------------------------------------------------------------

function listen(root) {
  const form = root.querySelector(".curve-form");
  form.addEventListener("change", async (event) => {
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    const address = `${form.getAttribute("action")}?${query}`;
    history.replaceState(null, "", address);
    if (event.target.name === "curve") await swap(root, address);
    await draw(root);
  });
}

async function page(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}

async function swap(root, address) {
  const found = (await page(address))?.querySelector(".figures");
  if (!found) return;
  for (const plot of root.querySelectorAll(".js-plotly-plot")) window.Plotly.purge(plot);
  root.querySelector(".figures").replaceWith(found);
}

// --- while a job runs -----------------------------------------------------------------------

let saidAt = 0;

function say() {
  const voice = document.getElementById("job-said");
  const now = document.querySelector("[data-job-said]")?.dataset.jobSaid;
  const status = document.querySelector("[data-job-status]")?.dataset.jobStatus;
  if (!voice || !now || voice.dataset.jsLast === now) return;
  const isNew = voice.dataset.jsStatus !== undefined && voice.dataset.jsStatus !== status;
  if (!isNew && Date.now() - saidAt < SAY_EVERY_MS) return;
  if (voice.dataset.jsLast !== undefined) voice.textContent = now;
  voice.dataset.jsLast = now;
  voice.dataset.jsStatus = status;
  saidAt = Date.now();
}

async function grow(root) {
  const asked = [...root.querySelectorAll("[data-epochs]")].filter(
    (item) => item.hasAttribute("data-running") || data.get(item.dataset.epochs)?.status === "running"
      || !data.has(item.dataset.epochs));
  await Promise.all(asked.map((item) => load(item.dataset.epochs)));
  if (asked.length) await draw(root);
}

async function start(root) {
  const [plotly] = await Promise.all([
    window.Plotly ?? loadPlotly(root.dataset.plotly),
    ...seriesOf(root).map((item) => load(item.address)),
  ]);
  if (!plotly) return;
  listen(root);
  await draw(root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(root));
  let last = Promise.resolve();
  document.addEventListener("live:renewed", () => {
    last = last.then(() => grow(root)).catch((error) => console.warn(error.message));
  });
  root.dataset.jsReady = "";
}

say();
document.addEventListener("live:renewed", say);
for (const root of document.querySelectorAll(".curves[data-plotly]")) {
  start(root).catch((error) => console.warn(error.message)); // the SVG of the server is still there
}
