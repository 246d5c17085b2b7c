/* A leaderboard, or a matrix, under the hands: keys for what links and buttons do as well, Shift-click on a header, the
   column chooser without a round trip, and words for those who do not see a new row arrive.

   Keys act on the row that has the focus, so the browser itself keeps the place when rows move. They are
   silent while somebody types, together with Ctrl, Alt or Meta, and where the help page has turned them off. */

const MOST_THEN = 5;
const MOST_COMPARED = 8;
const OFF = "argus-keys-off";

const find = (selector, inside = document) => inside.querySelector(selector);
const findAll = (selector, inside = document) => [...inside.querySelectorAll(selector)];

// --- rows --------------------------------------------------------------------------------------

const rows = () => findAll("table[data-keys] tbody tr");
const handle = (row) => find("input[name=job], th a, a", row);
const currentRow = () => document.activeElement?.closest("table[data-keys] tbody tr");
const boxes = () => findAll("table.board input[name=job]:checked");

function inSight() {
  return rows().find((row) => row.getBoundingClientRect().top >= 0) ?? rows().at(-1);
}

function step(places) {
  const all = rows();
  const here = all.indexOf(currentRow());
  const next = here < 0 ? inSight() : all[Math.min(all.length - 1, Math.max(0, here + places))];
  if (!next) return;
  handle(next)?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function open() {
  find("td.job a, td.n a, th a", currentRow())?.click();
}

// --- what is selected --------------------------------------------------------------------------

function select() {
  const box = currentRow() && find("input[name=job]", currentRow());
  box?.click();
}

function countSelected() {
  const form = document.getElementById("compare");
  if (!form) return;
  const count = boxes().length;
  find("button", form).textContent = count ? `Compare ${count} selected` : "Compare selected";
  form.toggleAttribute("data-js-ready", count >= 2 && count <= MOST_COMPARED);
}

function compare(event) {
  const count = boxes().length;
  if (count >= 2 && count <= MOST_COMPARED) {
    if (!event) document.getElementById("compare")?.submit();
    return;
  }
  event?.preventDefault();
  say(`Select 2 to ${MOST_COMPARED} jobs to compare them; ${count} are selected.`);
}

// --- keys --------------------------------------------------------------------------------------

const KEYS = {
  "/": search,
  j: () => step(1),
  k: () => step(-1),
  o: open,
  x: select,
  c: () => compare(),
  "?": () => document.getElementById("keys")?.togglePopover(),
};

/* On a phone the controls are folded. */
function search() {
  const field = document.getElementById("search");
  field?.closest("details.controls")?.setAttribute("open", "");
  field?.focus();
}

function isTyping(target) {
  return target.closest("input:not([type=checkbox]), select, textarea, [contenteditable]") !== null;
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
  if (event.key === "Escape" && event.target.id === "search") event.target.blur();
  const act = KEYS[event.key];
  if (!act || isTyping(event.target) || (localStorage.getItem(OFF) && event.key !== "?")) return;
  event.preventDefault();
  act();
}

function offerSwitch() {
  const place = find("#keys [data-js-switch]");
  if (!place) return;
  const box = find("input", place);
  place.hidden = false;
  box.checked = !localStorage.getItem(OFF);
  box.addEventListener("change", () => {
    if (box.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  });
}

// --- order -------------------------------------------------------------------------------------

/* Shift-click: this column decides among rows that are equal so far, or is turned round if it does. */
function sortFurther(event) {
  const link = event.target.closest("thead a[data-then]");
  if (!link || !event.shiftKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const { sort, order } = find("table.board").dataset;
  const column = new URL(link.href).searchParams.get("sort");
  const query = new URLSearchParams(location.search);
  const then = query.getAll("then");
  if (column === sort) {
    query.set("order", order === "desc" ? "asc" : "desc");
  } else {
    const best = link.dataset.then;
    const known = [column, `-${column}`, `metric:${column}`, best];
    const place = then.findIndex((text) => known.includes(text));
    if (place < 0 && then.length >= MOST_THEN) return say(`${MOST_THEN} columns decide further already.`);
    if (place < 0) then.push(best);
    else then[place] = then[place].startsWith("-") ? best.replace(/^-/, "") : `-${column}`;
    query.set("order", order);
  }
  query.set("sort", sort);
  for (const name of ["then", "page", "after"]) query.delete(name);
  for (const text of then) query.append("then", text);
  location.search = query;
}

// --- columns -----------------------------------------------------------------------------------

function moveColumn(event) {
  const button = event.target.closest("#shown-columns button");
  if (!button) return;
  event.preventDefault();
  const item = button.closest("li");
  if (button.name === "left") item.previousElementSibling.before(item);
  else item.nextElementSibling.after(item);
  const movable = findAll("#shown-columns li:has(button)");
  for (const each of movable) {
    find("[name=left]", each).disabled = each === movable[0];
    find("[name=right]", each).disabled = each === movable.at(-1);
  }
  (button.disabled ? find("button:not(:disabled)", item) : button)?.focus();
}

// --- what is said ------------------------------------------------------------------------------

function say(text) {
  const voice = document.getElementById("news");
  if (voice) voice.textContent = text;
}

const told = new WeakSet();
const total = () => Number(document.getElementById("foot")?.dataset.total ?? 0);
let before = total();

function describe(row) {
  const label = find("input[name=job]", row)?.getAttribute("aria-label");
  const name = label
    ? label.replace(/^Select /, "")
    : row.dataset.row.split("/").map(decodeURIComponent).join(" on ");
  const sorted = find("td.by", row);
  const unit = find("thead th[aria-sort] .unit i")?.textContent ?? "";
  return sorted ? `${name}, ${sorted.dataset.key} ${sorted.textContent.trim()} ${unit}`.trim() : name;
}

function tellNews() {
  const fresh = findAll("table.board tr.fresh").filter((row) => !told.has(row));
  fresh.forEach((row) => told.add(row));
  const more = total() - before;
  before = total();
  countSelected();
  const count = Math.max(more, 0);
  if (!count) return;
  const words = count === 1 ? "1 new result" : `${count} new results`;
  const shown = fresh.slice(0, 3).map(describe).join("; ");
  say(shown ? `${words}: ${shown}` : `${words}, on another page`);
}

document.addEventListener("keydown", onKey);
document.addEventListener("click", sortFurther);
document.addEventListener("click", moveColumn);
document.addEventListener("change", countSelected);
document.addEventListener("live:renewed", tellNews);
document.getElementById("compare")?.addEventListener("submit", compare);
offerSwitch();
countSelected();
