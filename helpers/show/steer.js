// A panel that steers a generator by hand. The model holds names, directions, limits, first, clip_s
// and kept. A request {view, number, what, state} goes to Python; what is "move", "new" (other
// corners) or "like" (corners near this sound). It answers {view, number, state} with two buffers,
// a sound and a picture (PNG), or {view, number, error}. What is not here is in widget_parts.js.
//
// In this order: the panel, requests, its parts, looks.

const STEP = 0.05; // of an arrow key in the square; with Shift it goes FAST times as far
const FAST = 4;
const SLOW_MS = 3000; // then Python has something else to do
const MOST_UNDO = 200;

function render({ model, el }) {
  const host = make("div", { "data-lm-suppress-shortcuts": "true" }); // JupyterLab's own keys wait
  const speakers = new Speakers();
  const course = new Course(model, speakers);
  const makers = [squarePart, soundPart, classPart, slidersPart, keptPart];
  const parts = makers.map((part) => part(course));
  const [square, sound, classes, sliders, kept] = parts.map((part) => part.element);
  const steering = make("div", { class: "column" }, sound, classes, sliders);
  const panel = make("div", { class: "panel", tabindex: "-1", role: "group" });
  panel.append(square, steering, kept);
  panel.setAttribute("aria-label", "Steer");
  host.attachShadow({ mode: "open" }).append(make("style", {}, BASE_LOOKS + LOOKS), panel);
  el.append(host);

  course.listeners = parts;
  const receive = (answer, buffers) => course.receive(answer, buffers);
  const update = () => course.tell("update");
  model.on("msg:custom", receive);
  model.on("change:kept", update);
  for (const event of ["pointerdown", "pointerup", "keydown", "click"])
    panel.addEventListener(event, () => speakers.wake(), true);
  panel.addEventListener("keydown", (event) => actOnKey(event, course));
  course.ask("move", course.state, false);
  return () => {
    model.off("msg:custom", receive);
    model.off("change:kept", update);
    course.close();
    host.remove();
  };
}

function actOnKey(event, course) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const act = course.keys[event.key.toLowerCase()];
  if (!act || event.composedPath()[0].tagName === "SELECT") return; // a list is searched by letters
  event.preventDefault();
  event.stopPropagation();
  act();
}

// ---- Requests ----

// Where one is, where one was, and what Python is asked for: one sound at a time, then the newest.
class Course {
  constructor(model, speakers) {
    Object.assign(this, { model, speakers, listeners: [], past: [], number: 0 });
    this.view = `${Math.random()}`; // a widget may be shown twice
    this.names = model.get("names");
    this.state = model.get("first");
    this.heard = null; // the state of the sound that was made last
    this.sent = this.waiting = null; // requests
    this.trouble = "";
    this.keys = {
      p: () => this.again(),
      u: () => this.undo(),
      n: () => this.ask("new"),
      m: () => this.ask("like"),
      k: () => this.keep(),
    };
  }
  tell(what, ...words) {
    for (const part of this.listeners) part[what]?.(...words);
  }
  // Each move can be undone; those of one drag together. `isNew`: another drag or press begins.
  move(change, isNew = true) {
    const before = this.state;
    const state = { ...before, ...change };
    if (this.isTurning() || JSON.stringify(state) === JSON.stringify(before)) {
      this.tell("update");
      return false;
    }
    if (isNew) this.remember(before);
    this.ask("move", state);
    return true;
  }
  remember(state) {
    this.past = [...this.past, state].slice(-MOST_UNDO);
  }
  undo() {
    if (!this.past.length || this.isTurning()) return;
    this.ask("move", this.past.pop());
  }
  // Whether Python makes new corners: where one goes is not known yet.
  isTurning() {
    return [this.sent, this.waiting].some((request) => request && request.what !== "move");
  }
  ask(what, state = this.state, isLoud = true) {
    if (this.isTurning()) return;
    this.state = state;
    this.waiting = { view: this.view, number: ++this.number, what, state, isLoud };
    this.trouble = "";
    this.sendNewest();
    this.tell("update");
  }
  sendNewest() {
    if (this.sent || !this.waiting) return;
    [this.sent, this.waiting] = [this.waiting, null];
    const { isLoud, ...request } = this.sent;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fail(BUSY), SLOW_MS);
    try {
      Promise.resolve(this.model.send(request)).catch(() => this.fail(NO_PYTHON));
    } catch {
      this.fail(NO_PYTHON);
    }
  }
  fail(words) {
    this.trouble = words;
    clearTimeout(this.timer);
    if (words === NO_PYTHON) this.sent = this.waiting = null;
    this.tell("update");
  }
  async receive(answer, buffers) {
    if (answer.view !== this.view || answer.number !== this.sent?.number) return;
    const request = this.sent;
    this.sent = null;
    clearTimeout(this.timer);
    this.trouble = answer.error ? `There is no sound, because of an error. ${answer.error}` : "";
    if (!answer.error && request.what !== "move") {
      this.remember(request.state);
      this.state = answer.state;
    }
    this.sendNewest();
    this.tell("update");
    if (!answer.error) await this.hear(answer.state, buffers, request.isLoud);
  }
  async hear(state, buffers, isLoud) {
    const [sound, picture] = buffers.map((view) =>
      view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength),
    );
    this.heard = state;
    this.tell("show", picture);
    const buffer = await this.speakers.decode(sound);
    if (this.heard !== state) return; // a newer one was faster
    this.buffer = buffer;
    if (!buffer) this.trouble = CANNOT_DECODE;
    if (isLoud) this.again();
    this.tell("update");
  }
  again() {
    if (!this.buffer) return;
    this.speakers.fade(this.voice);
    this.voice = this.speakers.begin(this.buffer);
    this.tell("play", this.buffer.duration);
  }
  keep() {
    if (!this.heard) return;
    this.setKept([...this.model.get("kept"), this.heard]);
  }
  setKept(states) {
    this.model.set("kept", states);
    this.model.save_changes();
    this.tell("update");
  }
  name({ label, second, share }) {
    if (!share || label === second) return this.names[label];
    const percent = Math.round(100 * share);
    return `${100 - percent} % ${this.names[label]}, ${percent} % ${this.names[second]}`;
  }
  close() {
    clearTimeout(this.timer);
    this.speakers.close();
  }
}

const BUSY = "No sound yet. Python is busy with something else, or this cell must be run again.";
const NO_PYTHON = "No Python answers. Run this cell to steer.";
const CANNOT_DECODE = "This browser cannot read the sound. Try Firefox, Chrome or Safari.";

// ---- Parts ----

// A square with a sound in each corner; between them lie all mixtures.
function squarePart(course) {
  const dot = make("i", { class: "dot" });
  const trail = make("div", { class: "trail" });
  const square = make("div", { class: "square", tabindex: "0", role: "slider" });
  square.setAttribute("aria-label", "Place between four sounds. Arrow keys move it");
  square.setAttribute("aria-roledescription", "two-dimensional slider");
  square.append(trail, dot);
  let isDragging = false;
  let isNew = true; // nothing was moved yet in this drag
  const moveTo = (x, y) => {
    const inside = (value) => Math.min(1, Math.max(0, Math.round(1000 * value) / 1000));
    if (course.move({ x: inside(x), y: inside(y) }, isNew)) isNew = false;
  };
  const follow = (event) => {
    const { left, top, width, height } = square.getBoundingClientRect();
    moveTo((event.clientX - left) / width, (event.clientY - top) / height);
  };
  square.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    square.setPointerCapture(event.pointerId);
    square.focus({ preventScroll: true });
    [isDragging, isNew] = [true, true];
    follow(event);
  });
  square.addEventListener("pointermove", (event) => isDragging && follow(event));
  for (const end of ["pointerup", "pointercancel"])
    square.addEventListener(end, () => (isDragging = false));
  square.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const step = STEP * (event.shiftKey ? FAST : 1);
    isNew = true;
    moveTo(course.state.x + step * way[0], course.state.y + step * way[1]);
  });
  const put = (mark, { x, y }) => {
    mark.style.left = `${100 * x}%`;
    mark.style.top = `${100 * y}%`;
    return mark;
  };
  const hint = make("p", { class: "hint" }, "Drag through the square. Each corner is a sound.");
  return {
    element: make("section", { "aria-label": "Between four sounds" }, square, hint),
    update() {
      const { state } = course;
      const [x, y] = [Math.round(100 * state.x), Math.round(100 * state.y)];
      put(dot, state);
      square.setAttribute("aria-valuenow", x);
      square.setAttribute("aria-valuetext", `${x} % across, ${y} % down`);
      square.toggleAttribute("data-busy", Boolean(course.sent));
      tint(square, state.label, course.names.length);
      const n = course.names.length;
      square.style.setProperty("--other-hue", hueOf(state.share ? state.second : state.label, n));
      square.style.setProperty("--share", `${100 * state.share}%`);
      const here = (states) => states.filter((one) => one.corners === state.corners);
      trail.replaceChildren(
        ...here(course.past).map((one) => put(make("i"), one)),
        ...here(course.model.get("kept")).map((one) => put(make("b", {}, "♥"), one)),
      );
    },
  };
}

// The sound one is at: its picture, and what to do with it.
function soundPart(course) {
  const picture = make("img", { alt: "" });
  const line = make("i");
  const frame = make("div", { class: "frame" }, picture, line);
  const words = make("p", { class: "what", role: "status", dir: "auto" });
  const trouble = make("p", { class: "trouble", role: "alert" });
  const again = button("▶ Play again", course.keys.p, "p", "Play again");
  const keep = button("♥ Keep", course.keys.k, "k", "Keep");
  const undo = button("Undo", course.keys.u, "u", "Undo");
  const like = button("More like this", course.keys.m, "m", "More like this");
  const corners = button("New corners", course.keys.n, "n", "New corners");
  const row = make("div", { class: "row" }, again, keep, undo, like, corners);
  let address = "";
  return {
    element: make("section", { "aria-label": "Sound" }, frame, words, trouble, row),
    show(png) {
      URL.revokeObjectURL(address);
      address = URL.createObjectURL(new Blob([png], { type: "image/png" }));
      picture.src = address;
      picture.alt = `spectrogram of ${course.name(course.heard)}`;
    },
    play(seconds) {
      const end = `${(100 * seconds) / course.model.get("clip_s")}%`;
      const frames = [{ left: 0, opacity: 1 }, { left: end, opacity: 1 }];
      line.animate(frames, { duration: 1000 * seconds });
    },
    update() {
      const { sent, state } = course;
      frame.toggleAttribute("data-busy", Boolean(sent));
      frame.setAttribute("aria-busy", Boolean(sent));
      words.toggleAttribute("data-busy", Boolean(sent));
      say(words, course.name(state));
      say(trouble, course.trouble);
      trouble.hidden = !course.trouble;
      again.disabled = !course.buffer;
      keep.disabled = !course.heard;
      undo.disabled = !course.past.length;
      tint(frame, state.label, course.names.length);
    },
  };
}

// One class, or some of a second one mixed in.
function classPart(course) {
  const choose = (what, label) => {
    const list = make("select", { "aria-label": label });
    course.names.forEach((name, number) => list.append(make("option", { value: number }, name)));
    list.addEventListener("change", () => course.move({ [what]: Number(list.value) }));
    return list;
  };
  const first = choose("label", "Class");
  const second = choose("second", "Second class");
  const share = steady(course, { min: 0, max: 1, step: 0.05, label: "Share of the second class" });
  share.set = (value) => ({ share: value });
  const row = make("div", { class: "mix" }, first, share.input, second);
  const element = make("section", { "aria-label": "Classes" }, heading("Class"), row);
  const isOne = course.names.length < 2;
  share.input.hidden = second.hidden = isOne;
  return {
    element,
    update() {
      const { state } = course;
      first.value = state.label;
      second.value = state.second;
      share.show(state.share, `${Math.round(100 * state.share)} % of the second class`);
      share.input.disabled = state.label === state.second;
      tint(element, state.share > 0.5 ? state.second : state.label, course.names.length);
    },
  };
}

// Typical to adventurous, and each direction that was found.
function slidersPart(course) {
  const { spread: [least, most], steps } = course.model.get("limits");
  const whole = { min: least, max: most, step: 0.05, label: "Typical to adventurous" };
  const spread = steady(course, whole);
  spread.set = (value) => ({ spread: value });
  const rows = [sliderRow("typical", spread, "adventurous")];
  const ways = course.model.get("directions").map((direction, k) => {
    const label = `${direction.back} to ${direction.along}`;
    const way = steady(course, { min: -steps, max: steps, step: 0.25, label });
    way.set = (value) => ({ amounts: course.state.amounts.with(k, value) });
    rows.push(sliderRow(direction.back, way, direction.along));
    return { show: way.show, direction };
  });
  const element = make("section", { "aria-label": "Character" }, heading("Character"), ...rows);
  return {
    element,
    update() {
      const { state } = course;
      spread.show(state.spread, `${Math.round(100 * state.spread)} % of the usual spread`);
      ways.forEach(({ show, direction }, k) => {
        show(state.amounts[k], inWords(direction, state.amounts[k]));
      });
      tint(element, state.label, course.names.length);
    },
  };
}

// What so many steps change, as it was measured.
function inWords({ change, unit, back, along }, amount) {
  const value = Math.abs(change * amount);
  const digits = value < 10 ? 1 : 0;
  if (!amount) return "as it is";
  return `about ${value.toFixed(digits)} ${unit} ${amount > 0 ? along : back}`;
}

function sliderRow(low, { input }, high) {
  const ends = [make("span", { class: "low" }, low), input, make("span", {}, high)];
  return make("label", { class: "slide" }, ...ends);
}

// A slider whose drag is one move: `set(value)` is to tell the change of the state.
function steady(course, { min, max, step, label }) {
  let isNew = true;
  const input = slider(min, max, min, label, () => {
    if (course.move(self.set(Number(input.value)), isNew)) isNew = false;
  });
  input.step = step;
  input.addEventListener("change", () => (isNew = true));
  const self = {
    input,
    show(value, words) {
      input.value = value;
      input.setAttribute("aria-valuetext", words);
      input.title = words;
    },
  };
  return self;
}

// What was kept: a press goes there again, ✕ takes it off.
function keptPart(course) {
  const words = make("p", { class: "hint", role: "status" });
  const list = make("ul", { role: "list" });
  const item = (state, number, states) => {
    const name = course.name(state);
    const words = `Go to kept sound ${number + 1}, ${name}`;
    const back = button("", () => goBack(state), "", words);
    const count = make("kbd", {}, `${number + 1}`);
    back.append(count, make("span", { dir: "auto" }, ...breakable(name)));
    const off = button("✕", () => course.setKept(states.filter((one) => one !== state)));
    off.setAttribute("aria-label", `Remove kept sound ${number + 1}, ${name}`);
    const element = make("li", {}, back, off);
    tint(element, state.share > 0.5 ? state.second : state.label, course.names.length);
    return element;
  };
  const goBack = (state) => course.move(state) || course.again();
  let shown = null;
  return {
    element: make("section", { "aria-label": "Kept sounds" }, heading("Kept"), words, list),
    update() {
      const states = course.model.get("kept");
      if (states === shown) return;
      shown = states;
      const n = states.length;
      say(words, n ? `${n} ${n > 1 ? "sounds" : "sound"} kept` : "No sound kept yet");
      list.replaceChildren(...states.map(item));
    },
  };
}

// ---- Looks ----

const LOOKS = `
.square { --other: oklch(0.68 0.13 var(--other-hue)); position: relative; aspect-ratio: 1;
  width: 100%; max-width: 520px; border-radius: 16px; cursor: crosshair; touch-action: none;
  overflow: hidden; user-select: none; -webkit-user-select: none;
  --mixed: color-mix(in oklab, var(--other) var(--share), var(--tone));
  --a: color-mix(in oklab, var(--mixed) 80%, transparent);
  --b: oklch(from var(--mixed) calc(l + 0.12) c calc(h + 50) / 60%);
  --c: oklch(from var(--mixed) l c calc(h - 50) / 60%);
  --d: oklch(from var(--mixed) calc(l - 0.15) c h / 70%);
  background: radial-gradient(circle at 0 0, var(--a), transparent 80%),
    radial-gradient(circle at 100% 0, var(--b), transparent 80%),
    radial-gradient(circle at 0 100%, var(--c), transparent 80%),
    radial-gradient(circle at 100% 100%, var(--d), transparent 80%), var(--faint); }
.square i, .square b { position: absolute; border-radius: 50%; pointer-events: none;
  transform: translate(-50%, -50%); }
.dot { width: 28px; height: 28px; background: var(--paper); border: 4px solid var(--ink);
  box-shadow: 0 1px 8px rgb(0 0 0 / 30%); }
.trail i { width: 6px; height: 6px; background: var(--ink); opacity: 0.28; }
.trail b { color: var(--ink); font-size: 14px; line-height: 1; opacity: 0.75; }
.square[data-busy] .dot { animation: wait 0.7s ease-in-out infinite alternate; }
@keyframes wait { to { border-color: var(--tone); } }

.frame { position: relative; height: 112px; border-radius: 12px; overflow: hidden;
  background: #000004; border: 2px solid transparent; }
.frame img { display: block; width: 100%; height: 100%; }
.frame img:not([src]) { visibility: hidden; }
.frame[data-busy] { border-color: var(--tone); }
.frame i { position: absolute; top: 0; bottom: 0; width: 2px; background: #fff; opacity: 0; }
.what { font-weight: 600; overflow-wrap: anywhere; min-height: 1.4em; }
.what[data-busy]::after { content: " …"; color: var(--quiet); }
.trouble { overflow-wrap: anywhere; padding: 8px 12px; border-radius: 10px;
  background: color-mix(in oklab, oklch(0.65 0.18 30) 18%, var(--paper)); }

.mix { display: grid; gap: 8px; align-items: center;
  grid-template-columns: minmax(0, 1fr) minmax(60px, 1.2fr) minmax(0, 1fr); }
.mix select { max-width: none; width: 100%; }
.slide { display: grid; gap: 10px; align-items: center;
  grid-template-columns: 64px minmax(0, 1fr) 96px; }
.slide .low { text-align: end; }
.slide input, .mix input { width: 100%; min-width: 0; }
input:disabled { opacity: 0.4; cursor: default; }
ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 8px; }
li { display: flex; max-width: 100%; border-radius: 10px;
  background: color-mix(in oklab, var(--tone) 24%, var(--paper)); }
li button { background: none; border-color: transparent; overflow-wrap: anywhere; min-width: 0;
  display: flex; align-items: center; gap: 8px; text-align: start; }
li kbd { margin: 0; }
li button:last-child { padding: 0 10px; color: var(--quiet); }
@media (prefers-reduced-motion: reduce) {
  .frame i { display: none; }
  .square[data-busy] .dot { animation: none; border-color: var(--tone); } }
@container (min-width: 760px) {
  .panel { grid-template-columns: minmax(0, 9fr) minmax(0, 11fr); gap: 24px 32px; padding: 20px;
    grid-template-rows: auto 1fr; }
  .panel > .column { grid-area: 1 / 2 / span 2; } }
@container (max-width: 520px) {
  .panel { padding: 12px; }
  .row button { padding: 0 8px; }
  .row kbd { margin-inline-start: 4px; } }
`;

export default { render };
