/* Keeps an open page up to date: hears that its project has changed, fetches the same URL again, and
   puts what is new in its place, without moving the scroll position or the focus.

   How a page opts in (base.html does the first two for every page of a project):

   - The body says where to listen: data-live-url is the address of the server-sent events, data-live-seq
     the version that the page shows. A page that belongs to no one project has data-live-poll instead:
     after so many seconds it looks again. A page that waits for a project to come into being names it
     in data-live-awaits.
   - [data-live-state] is a hidden element; it gets the connection's state as its attribute's value and
     as words, and is shown.
   - Every region that may change has an id and the attribute data-live. Put filters and other forms
     outside: what somebody is about to choose is theirs. If a page has other regions than before, as
     after the first event, all of its <main> is renewed.
   - Rows have data-row="…", a name of their own among their siblings; so they stay the same nodes, keep
     focus and selection, and can move. Elements with an id or data-key are known by it likewise. A new
     row gets the class "fresh", for as long as its animation lasts.
   - data-live-keep: this element is drawn by a script and is left alone. Attributes data-js-… are a
     script's own and stay. The state of <details> and of form fields is the reader's and stays.
   - data-live-summary="…" on any one element is said aloud, in #live-said, when it changes.
   - <time data-ago datetime="…"> shows how long ago, and grows older by itself.
   - After each renewal, document gets the event "live:renewed"; scripts with work to do listen for it.

   Without JavaScript nothing of this happens and the page is as it was when it came. */

const body = document.body;
const { liveUrl, livePoll, liveAwaits } = body.dataset;

const FIRST_WAIT_MS = 2000;
const LONGEST_WAIT_MS = 60000;
const LOOK_AGAIN_MS = 60000; // estimates and silences change without an event
const APART_MS = 200;
const SPEAK_APART_MS = 5000;
const GRACE_MS = 4000; // a stream ends now and then and begins again: no reason to worry anybody
const AT_THE_TOP_PX = 8;

let seq = body.dataset.liveSeq ?? "";
let source = null;
let waitMs = FIRST_WAIT_MS;
let retryTimer = 0;
let graceTimer = 0;
let lookedAt = Date.now();
let isOver = false;

// --- the connection ----------------------------------------------------------------------------

const WORDS = {
  on: "live",
  waiting: "reconnecting…",
  off: "not live: reload the page",
};

function show(state) {
  calm();
  for (const element of document.querySelectorAll("[data-live-state]")) {
    element.dataset.liveState = state;
    element.textContent = WORDS[state];
    element.hidden = false;
  }
}

function worry() {
  graceTimer ||= setTimeout(show, GRACE_MS, "waiting");
}

function calm() {
  clearTimeout(graceTimer);
  graceTimer = 0;
}

function end() {
  isOver = true;
  hush();
  show("off");
}

function hush() {
  clearTimeout(retryTimer);
  calm();
  source?.close();
  source = null;
}

function listen() {
  if (isOver || source || document.hidden || !liveUrl) return;
  const stream = new EventSource(`${liveUrl}?seq=${encodeURIComponent(seq)}`);
  source = stream;
  stream.addEventListener("open", () => {
    waitMs = FIRST_WAIT_MS;
    show("on");
  });
  stream.addEventListener("change", renew);
  stream.addEventListener("error", () => {
    worry();
    if (stream !== source || stream.readyState !== EventSource.CLOSED) return; // the browser comes again
    hush();
    worry();
    retryTimer = setTimeout(comeAgain, waitMs * (1 + Math.random()));
    waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2);
  });
}

function comeAgain() {
  renew(); // a server that has no place for another listener still shows its pages
  listen();
}

// --- fetching ----------------------------------------------------------------------------------

let isFetching = false;
let isWanted = false;
let restUntil = 0;

async function renew() {
  isWanted = true;
  if (isFetching || isOver) return;
  isFetching = true;
  while (isWanted && !isOver) {
    await new Promise((go) => setTimeout(go, Math.max(0, restUntil - Date.now())));
    isWanted = false;
    const began = Date.now();
    await fetchPage().catch(worry);
    lookedAt = Date.now();
    restUntil = lookedAt + Math.max(APART_MS, 2 * (lookedAt - began)); // a slow server gets a rest
  }
  isFetching = false;
}

async function fetchPage() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-cache" });
  if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) return end();
  if (!answer.ok) return worry();
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (assets(fresh) !== assets(document)) return location.reload(); // the server has been upgraded
  if (livePoll) show("on");
  if (answer.headers.has("Date")) aheadMs = Date.parse(answer.headers.get("Date")) - Date.now();
  seq = fresh.body.dataset.liveSeq ?? seq;
  holdPlace(() => apply(fresh));
  speak(summary(fresh));
  return document.dispatchEvent(new CustomEvent("live:renewed"));
}

async function lookForProject() {
  const answer = await fetch("/api/projects", { cache: "no-cache" });
  if (!answer.ok) return;
  const { projects } = await answer.json();
  if (projects.some((item) => item.project === liveAwaits)) location.reload();
}

function assets(page) {
  const found = page.querySelectorAll("head link[href], head script[src]");
  return [...found].map((item) => item.getAttribute("href") ?? item.getAttribute("src")).join(" ");
}

// --- putting it in place -----------------------------------------------------------------------

function regions(page) {
  return [...page.querySelectorAll("[data-live][id]")];
}

function apply(fresh) {
  if (document.title !== fresh.title) document.title = fresh.title;
  const old = regions(document);
  const names = (found) => found.map((item) => item.id).sort().join(" ");
  const focused = document.activeElement;
  if (names(old) !== names(regions(fresh))) {
    patch(document.querySelector("main"), fresh.querySelector("main"));
  }
  for (const region of regions(document)) {
    const other = fresh.getElementById(region.id);
    if (other) patch(region, other);
  }
  if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
}

function keyOf(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return "";
  return node.id || node.getAttribute("data-row") || node.getAttribute("data-key") || "";
}

function isSame(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
}

function patch(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.hasAttribute("data-live-keep") || old.isEqualNode(fresh)) return;
  patchAttributes(old, fresh);
  patchChildren(old, fresh);
}

const READERS_OWN = { DETAILS: ["open"], INPUT: ["value", "checked"], OPTION: ["selected"] };

function patchAttributes(old, fresh) {
  const own = READERS_OWN[old.nodeName] ?? [];
  const isOurs = (name) => !own.includes(name) && !name.startsWith("data-js-");
  for (const { name } of [...old.attributes]) {
    if (isOurs(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (isOurs(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function patchChildren(old, fresh) {
  const wanted = [...fresh.childNodes];
  const staying = new Set(wanted.map(keyOf));
  const known = new Map();
  for (const child of [...old.children]) {
    const key = keyOf(child);
    if (!key) continue;
    if (staying.has(key)) known.set(key, child);
    else child.remove();
  }
  let place = old.firstChild;
  for (const item of wanted) {
    const key = keyOf(item);
    let match = key ? known.get(key) : place;
    if (!match || !isSame(match, item)) match = null;
    if (!match) {
      const added = document.importNode(item, true);
      if (item.nodeType === Node.ELEMENT_NODE && item.hasAttribute("data-row")) mark(added);
      old.insertBefore(added, place);
    } else {
      if (match === place) place = place.nextSibling;
      else old.insertBefore(match, place);
      patch(match, item);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function mark(row) {
  row.classList.add("fresh");
  setTimeout(() => row.classList.remove("fresh"), 4000);
}

// --- scroll position ---------------------------------------------------------------------------

function holdPlace(change) {
  const anchor = whatIsRead();
  const before = anchor?.getBoundingClientRect().top;
  change();
  if (!anchor?.isConnected) return;
  const moved = anchor.getBoundingClientRect().top - before;
  if (moved) scrollerOf(anchor).scrollBy({ top: moved, behavior: "instant" });
}

function whatIsRead() {
  const rows = document.querySelectorAll("[data-live] [data-row]");
  const inSight = [...rows].find((row) => {
    const box = row.getBoundingClientRect();
    return box.top >= Math.max(0, row.closest(".wrap")?.getBoundingClientRect().top ?? 0);
  });
  // Who is at the top wants to see what arrives there.
  return inSight && scrollerOf(inSight).scrollTop > AT_THE_TOP_PX ? inSight : null;
}

function scrollerOf(element) {
  for (let box = element.parentElement; box && box !== body; box = box.parentElement) {
    const overflow = getComputedStyle(box).overflowY;
    if (box.scrollHeight > box.clientHeight && (overflow === "auto" || overflow === "scroll")) return box;
  }
  return document.scrollingElement;
}

// --- saying it ---------------------------------------------------------------------------------

function summary(page) {
  return page.querySelector("[data-live-summary]")?.dataset.liveSummary ?? "";
}

let told = summary(document);
let speakTimer = 0;
let quietUntil = 0;

function speak(text) {
  if (!text || text === told) return;
  told = text;
  clearTimeout(speakTimer);
  speakTimer = setTimeout(say, Math.max(0, quietUntil - Date.now()));
}

function say() {
  quietUntil = Date.now() + SPEAK_APART_MS;
  const voice = document.getElementById("live-said");
  if (voice) voice.textContent = told;
}

// --- time passes -------------------------------------------------------------------------------

function ago(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s ago`;
  if (seconds < 120) return `${seconds.toFixed(0)} s ago`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min ago`;
  if (seconds < 48 * 3600) return `${(seconds / 3600).toFixed(0)} h ago`;
  return `${Math.round(seconds / 86400).toLocaleString("en")} days ago`;
}

let aheadMs = null; // the server's clock before this computer's, which may be wrong

function age() {
  if (aheadMs === null) return;
  const now = Date.now() + aheadMs;
  for (const time of document.querySelectorAll("time[data-ago][datetime]")) {
    const seconds = (now - Date.parse(time.dateTime)) / 1000;
    if (seconds >= 1 && time.textContent !== ago(seconds)) time.textContent = ago(seconds);
  }
}

// --- begin -------------------------------------------------------------------------------------

function wake() {
  if (document.hidden) hush(); // browsers allow six connections to a server, and tabs are many
  else listen();
  if (!document.hidden && livePoll) renew();
}

if (liveUrl || livePoll) {
  listen();
  document.addEventListener("visibilitychange", wake);
  addEventListener("pagehide", hush);
  addEventListener("pageshow", (event) => (event.persisted ? wake() : null));
  const every = livePoll ? Number(livePoll) * 1000 : LOOK_AGAIN_MS;
  setInterval(() => {
    if (!document.hidden && Date.now() - lookedAt >= every) renew();
  }, Math.min(every, 10000));
  setInterval(() => (document.hidden ? null : age()), 10000);
} else if (liveAwaits) {
  setInterval(() => (document.hidden ? null : lookForProject().catch(() => null)), 3000);
}
