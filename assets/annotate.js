// The annotator's desk in the browser: keys that Streamlit's buttons have none for, what is left of the lease,
// and word to the server when nobody is there. It listens while the page is shown and draws only the lease.

const EDITABLE = "input, textarea, select, [contenteditable=true]";
const SCROLL = { ArrowDown: 60, ArrowUp: -60 };
const TWICE_MS = 250;
const ONCE = [..."asdxnz"];

const desk = { turn: null, send: () => {}, active: true, touched: Date.now(), pressed: {} };

const editing = () => document.activeElement?.matches(EDITABLE);
const dialog = () => document.querySelector("[role=dialog]");
const panes = () => ["left", "right"].flatMap((side) => [...document.querySelectorAll(`.st-key-${side}`)]);

function pick(group, index) {
  const options = document.querySelectorAll(`.st-key-${group} [role=radio]`);
  options[index]?.click();
  return options.length > index;
}

function pickNext(index) {
  const aspect = document.querySelectorAll(".st-key-aspects [role=radiogroup]")[index];
  if (!aspect) return;
  const options = [...aspect.querySelectorAll("[role=radio]")];
  const chosen = options.findIndex((option) => option.ariaChecked === "true");
  options[Math.min(chosen + 1, options.length - 1)].click();
}

function scroll(pixels) {
  panes().forEach((pane) => pane.scrollBy({ top: pixels }));
}

function handle(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const digit = event.code.startsWith("Digit") ? Number(event.code.slice(5)) : 0;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const page = (panes()[0]?.clientHeight ?? 0) * 0.85;
  if (key === "?") document.querySelector(".st-key-keys button")?.click();
  else if (digit >= 1 && digit <= 5 && !event.shiftKey) return pick("confidence", digit - 1);
  else if (digit && event.shiftKey) pickNext(digit - 1);
  else if ("qwe".includes(key)) return pick("strength", "qwe".indexOf(key));
  else if (key === "t") document.querySelector(".st-key-reason textarea")?.focus();
  else if (key in SCROLL) scroll(SCROLL[key]);
  else if (key === "PageDown") scroll(page);
  else if (key === "PageUp") scroll(-page);
  else if (key === " " && !document.activeElement?.closest("button, a, summary, [role=button]")) {
    scroll(event.shiftKey ? -page : page);
  } else return false;
  return true;
}

function stop(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}

function onKey(event) {
  touch();
  if (editing()) {
    if (event.key === "Escape") document.activeElement.blur();
    return;
  }
  if (dialog()) {
    if (event.key.length === 1 && event.key !== "?") stop(event);
    return;
  }
  const key = event.key.toLowerCase();
  const scrolls = key === " " || event.key in SCROLL || key.startsWith("page");
  const slip = ONCE.includes(key) && event.timeStamp - (desk.pressed[key] ?? -Infinity) < TWICE_MS;
  desk.pressed[key] = event.timeStamp;
  if ((event.repeat && key.length === 1 && !scrolls) || slip || handle(event)) stop(event);
}

function onClick(event) {
  touch();
  if (event.detail > 1 && event.target.closest?.(".st-key-choices")) stop(event);
}

function touch() {
  desk.touched = Date.now();
  if (!desk.active && !document.hidden) report(true);
}

function report(active, idle = 0) {
  desk.active = active;
  desk.send("activity", { active, idle, at: Date.now() });
}

function onVisible() {
  if (document.hidden && desk.active) report(false);
  else if (!document.hidden) touch();
}

function tick() {
  const idle = (Date.now() - desk.touched) / 1000;
  if (desk.active && idle >= desk.idleAfter) report(false, idle);
  const left = Math.max(0, desk.expires - Date.now()) / 1000;
  const due = left === 0 ? "lapsed" : desk.active && left < desk.lease / 2 ? "renew" : null;
  if (due && desk.due !== `${due} ${desk.until}`) {
    desk.due = `${due} ${desk.until}`;
    desk.send("due", desk.due);
  }
  if (!desk.label?.isConnected) return;
  const minutes = Math.floor(left / 60);
  const clock = `${minutes}:${String(Math.floor(left % 60)).padStart(2, "0")}`;
  desk.label.textContent = left > 0 ? `Held for you ${clock}` : "No longer held for you";
  desk.label.classList.toggle("soon", left < 60);
}

const listeners = [
  [window, "keydown", onKey],
  [window, "click", onClick],
  [window, "mousemove", touch],
  [window, "wheel", touch],
  [window, "touchstart", touch],
  [document, "visibilitychange", onVisible],
];

function listen() {
  if (desk.timer) return;
  desk.active = true;
  for (const [target, name, listener] of listeners) target.addEventListener(name, listener, true);
  desk.timer = setInterval(tick, 1000);
}

function leave() {
  for (const [target, name, listener] of listeners) target.removeEventListener(name, listener, true);
  clearInterval(desk.timer);
  desk.timer = desk.turn = null;
}

export default function ({ data, parentElement, setStateValue }) {
  desk.send = setStateValue;
  desk.label = parentElement.querySelector(".lease");
  desk.expires = Date.now() + data.left * 1000;
  desk.until = data.until;
  desk.lease = data.lease;
  desk.idleAfter = data.idle;
  listen();
  if (desk.turn !== data.turn) {
    desk.turn = data.turn;
    desk.touched = Date.now();
    panes().forEach((pane) => (pane.scrollTop = 0));
    requestAnimationFrame(() => {
      for (const pane of document.querySelectorAll(".st-key-earlier")) pane.scrollTop = pane.scrollHeight;
      for (const pane of document.querySelectorAll(".st-key-prompt")) pane.scrollTop = 0;
    });
  }
  tick();
  return leave;
}
