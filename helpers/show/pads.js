// Pads that play the sounds of each class. anywidget shows them in a notebook; page.py puts this
// file into a page of its own. The model holds, for each class: names, takes and between (sounds in
// base64), kept and rejected (numbers of takes); and sample_rate, first_seed and note.
//
// In this order: the panel and its parts, sound, files, moving by keys, looks. What is not here is
// in widget_parts.js.

const KEYS = [..."12345678qwertyui"];
const N_STEPS = 16;
const SOFT = 0.35; // velocity of a key with Shift; 1 is full
const AHEAD_S = 0.1; // how far ahead the pattern is scheduled
const SHORT_S = 1.2; // sounds up to this length start with a groove, longer ones one after another
const GROOVE = [[4, 12], [0, 2, 4, 6, 8, 10, 12, 14], [7, 11], [0, 3, 8, 10]];
const ONE_AFTER_ANOTHER = [[0], [4], [8], [12]];

function render({ model, el }) {
  const host = make("div", { "data-lm-suppress-shortcuts": "true" }); // JupyterLab's own keys wait
  const player = new Player(model);
  const kit = new Kit(model, player);
  const parts = [padsPart, takePart, keptPart, patternPart, morphPart].map((part) => part(kit));
  const [pads, take, kept, pattern, morph] = parts.map((part) => part.element);
  const left = make("div", { class: "column" }, pads, take, kept);
  const right = make("div", { class: "column" }, pattern, morph);
  const panel = make("div", { class: "panel", tabindex: "-1", role: "group" }, left, right);
  panel.setAttribute("aria-label", "Pads");
  if (model.get("note")) panel.append(make("p", { class: "note" }, model.get("note")));
  host.attachShadow({ mode: "open" }).append(make("style", {}, BASE_LOOKS + LOOKS), panel);
  el.append(host);

  kit.listeners = parts;
  const update = () => kit.tell("update");
  for (const name of ["kept", "rejected"]) model.on(`change:${name}`, update);
  for (const event of ["pointerdown", "pointerup", "keydown", "click"])
    panel.addEventListener(event, () => player.wake(), true);
  panel.addEventListener("keydown", (event) => actOnKey(event, kit));
  player.whenDecoded.then((allRight) => {
    if (!allRight) panel.prepend(make("p", { class: "note", role: "alert" }, CANNOT_DECODE));
    kit.tell("update");
  });
  update();
  return () => {
    for (const name of ["kept", "rejected"]) model.off(`change:${name}`, update);
    kit.tell("stop");
    player.close();
    host.remove();
  };
}

const CANNOT_DECODE =
  "This browser cannot read some of the sounds. Try Firefox, Chrome or Safari.";

// What the parts share: which take of each class is next, which are kept or rejected.
class Kit {
  constructor(model, player) {
    Object.assign(this, { model, player, listeners: [], label: -1, firstShown: 0 });
    this.names = model.get("names");
    this.nTakes = model.get("takes").map((takes) => takes.length);
    this.current = this.names.map(() => -1); // the take that each class played last
  }
  tell(what, ...words) {
    for (const part of this.listeners) part[what]?.(...words);
  }
  shown() {
    const shown = this.names.map((_, label) => label);
    return shown.slice(this.firstShown, this.firstShown + KEYS.length);
  }
  has(list, label, take) {
    return (this.model.get(list)[label] ?? []).includes(take);
  }
  count(list) {
    return this.model.get(list).reduce((sum, takes) => sum + takes.length, 0);
  }
  // The take after the last one that is not rejected; -1: all are.
  next(label) {
    const n = this.nTakes[label];
    const inTurn = Array.from({ length: n }, (_, k) => (this.current[label] + 1 + k + n) % n);
    return inTurn.find((take) => !this.has("rejected", label, take)) ?? -1;
  }
  play(label, velocity = 1, take = this.next(label)) {
    this.label = label;
    if (take >= 0) {
      this.current[label] = take;
      this.player.play(label, take, velocity);
      this.tell("hit", label, velocity);
    }
    this.tell("update");
  }
  // Keep or reject the take played last; again: neither.
  mark(list) {
    const { label, model } = this;
    const take = this.current[label] ?? -1;
    if (take < 0) return;
    const isNew = !this.has(list, label, take);
    for (const name of ["kept", "rejected"]) {
      const lists = model.get(name).map((takes) => [...takes]);
      lists[label] = lists[label].filter((other) => other !== take);
      if (isNew && name === list) lists[label] = [...lists[label], take].sort((a, b) => a - b);
      model.set(name, lists);
    }
    model.save_changes();
    this.tell("update");
  }
}

function actOnKey(event, kit) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const element = event.composedPath()[0];
  const letter = event.key.toLowerCase();
  const place = event.code.replace(/^(Key|Digit)/, "").toLowerCase(); // on a keyboard without a-z
  const key = /^[a-z]$/.test(letter) ? letter : place;
  const actions = { k: () => kit.mark("kept"), x: () => kit.mark("rejected") };
  actions.n = () => kit.label >= 0 && kit.play(kit.label);
  const label = KEYS.includes(key) ? kit.shown()[KEYS.indexOf(key)] : undefined;
  if (label !== undefined)
    actions[key] = () => {
      if (element.matches(".pad")) kit.tell("focus", label);
      kit.play(label, event.shiftKey ? SOFT : 1);
    };
  if (!actions[key] || element.tagName === "SELECT") return; // a list is searched by letters
  event.preventDefault();
  event.stopPropagation();
  actions[key]();
}

// One pad for each class; pages of pads where there are more than keys.
function padsPart(kit) {
  const grid = make("div", { class: "pads" });
  const pages = make("div", { class: "row pages" });
  const hint = make("p", { class: "hint" }, "Press a pad: each press plays another take. ");
  hint.append("High on a pad is loud, low is soft. ");
  hint.append(make("span", { class: "keys" }, "Or press its key; with Shift it is soft."));
  const pads = new Map();
  const fill = (first) => {
    kit.firstShown = first;
    pads.clear();
    kit.shown().forEach((label, place) => pads.set(label, makePad(kit, label, KEYS[place])));
    grid.replaceChildren(...[...pads.values()].map((pad) => pad.element));
    grid.style.setProperty("--columns", Math.min(4, pads.size));
    kit.tell("fill");
    kit.tell("update");
  };
  for (let first = 0; first < kit.names.length; first += KEYS.length) {
    const last = Math.min(first + KEYS.length, kit.names.length);
    pages.append(button(`${first + 1} to ${last}`, () => fill(first)));
  }
  if (pages.children.length < 2) pages.hidden = true;
  fill(0);
  return {
    element: make("section", { "aria-label": "Pads" }, hint, pages, grid),
    hit: (label, velocity) => pads.get(label)?.flash(velocity),
    focus: (label) => pads.get(label)?.element.focus({ preventScroll: true }),
    update() {
      for (const pad of pads.values()) pad.update();
      [...pages.children].forEach((page, number) => {
        page.setAttribute("aria-pressed", number * KEYS.length === kit.firstShown);
      });
    },
  };
}

function makePad(kit, label, key) {
  const dots = Array.from({ length: kit.nTakes[label] }, () => make("i"));
  const name = make("span", { class: "name", dir: "auto" }, ...breakable(kit.names[label]));
  const top = make("span", { class: "row" }, make("kbd", { class: "keys" }, key.toUpperCase()));
  const element = make("button", { class: "pad", type: "button", title: kit.names[label] });
  element.append(top, name, make("span", { class: "dots" }, ...dots));
  const count = make("span", { class: "count" });
  top.append(count);
  element.setAttribute("aria-label", `Play ${kit.names[label]}`);
  element.setAttribute("aria-keyshortcuts", key);
  tint(element, label, kit.names.length);
  element.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    element.focus({ preventScroll: true });
    const { top, height } = element.getBoundingClientRect();
    kit.play(label, velocityAt((event.clientY - top) / height));
  });
  element.addEventListener("click", (event) => {
    if (!event.detail) kit.play(label); // by Enter or Space; a pointer has played it already
  });
  return {
    element,
    flash: (velocity) => flash(element, velocity),
    update() {
      const n = (kit.model.get("kept")[label] ?? []).length;
      count.textContent = n ? `♥ ${n}` : "";
      element.toggleAttribute("data-last", label === kit.label);
      dots.forEach((dot, take) => {
        dot.toggleAttribute("data-now", take === kit.current[label]);
        dot.toggleAttribute("data-kept", kit.has("kept", label, take));
        dot.toggleAttribute("data-rejected", kit.has("rejected", label, take));
      });
    },
  };
}

// The upper third of a pad is full, its lower edge the softest.
const velocityAt = (height) => Math.min(1, Math.max(0.15, 1 - 1.3 * (height - 1 / 3)));

function flash(element, velocity) {
  const share = 40 + 40 * velocity;
  const lit = { background: `color-mix(in oklab, var(--tone) ${share}%, var(--paper))` };
  element.animate([lit, {}], { duration: 150 + 250 * velocity, easing: "ease-out" });
}

// The take played last: keep it, reject it, hear the next, or choose one.
function takePart(kit) {
  const what = make("p", { class: "what", role: "status" });
  const takes = make("div", { class: "row takes", role: "group", "aria-label": "Takes" });
  const keep = button("♥ Keep", () => kit.mark("kept"), "k", "Keep");
  const reject = button("✕ Reject", () => kit.mark("rejected"), "x", "Reject");
  const next = button("Next take", () => kit.play(kit.label), "n", "Next take");
  let shown = -1;
  const fill = (label) => {
    shown = label;
    takes.replaceChildren(
      ...Array.from({ length: kit.nTakes[label] ?? 0 }, (_, take) =>
        button(`${take + 1}`, () => kit.play(label, 1, take)),
      ),
    );
  };
  const row = make("div", { class: "row" }, keep, reject, next);
  const element = make("section", { class: "take", "aria-label": "Take" }, what, takes, row);
  return {
    element,
    update() {
      const { label } = kit;
      const take = kit.current[label] ?? -1;
      if (label !== shown) fill(label);
      if (label >= 0) tint(element, label, kit.names.length);
      for (const each of [keep, reject]) each.disabled = take < 0;
      next.disabled = label < 0 || kit.next(label) < 0;
      keep.setAttribute("aria-pressed", take >= 0 && kit.has("kept", label, take));
      reject.setAttribute("aria-pressed", take >= 0 && kit.has("rejected", label, take));
      [...takes.children].forEach((each, number) => {
        const state = ["kept", "rejected"].find((list) => kit.has(list, label, number)) ?? "";
        each.dataset.state = state;
        each.setAttribute("aria-label", `Take ${number + 1}${state && `, ${state}`}`);
        each.setAttribute("aria-pressed", number === take);
      });
      say(what, inWords(kit, label, take));
    },
  };
}

function inWords(kit, label, take) {
  if (label < 0) return "Press a pad. Then keep what you like.";
  if (kit.next(label) < 0)
    return `All takes of ${kit.names[label]} are rejected. Press Reject again to bring one back.`;
  const state = ["kept", "rejected"].find((list) => kit.has(list, label, take));
  const number = take < 0 ? "" : `, take ${take + 1} of ${kit.nTakes[label]}`;
  return `${kit.names[label]}${number}${state ? `: ${state}` : ""}`;
}

// How many sounds are kept, and their files.
function keptPart(kit) {
  const words = make("p", { class: "what", role: "status" });
  const save = button("Download kept sounds", async () => {
    const files = await Promise.all(keptFiles(kit));
    download(zip(files), "kept_sounds.zip");
  });
  const element = make("section", { class: "row kept", "aria-label": "Kept sounds" }, words, save);
  return {
    element,
    update() {
      const n = kit.count("kept");
      save.disabled = !n;
      say(words, n ? `♥ ${n} ${n > 1 ? "sounds" : "sound"} kept` : "No sound kept yet");
    },
  };
}

// A pattern of 16 steps. Each class plays its last take, or another at each step.
function patternPart(kit) {
  const { player } = kit;
  const isOn = kit.names.map(() => new Array(N_STEPS).fill(false));
  const cells = new Map(); // of the classes that are shown
  const grid = make("div", { class: "grid", role: "group", "aria-label": "Steps" });
  const play = button("▶ Play", () => (timer ? stop() : start()));
  const vary = button("Vary takes", () => press(vary, !isPressed(vary)));
  const clear = button("Clear", () => set(() => false));
  const tempo = slider(60, 200, 110, "Tempo", () => showTempo());
  const bpm = make("output", {});
  let [timer, step, nextTime, queue] = [0, 0, 0, []];

  const showTempo = () => {
    bpm.textContent = `${tempo.value} bpm`;
    tempo.setAttribute("aria-valuetext", bpm.textContent);
  };
  const update = () => {
    for (const [label, row] of cells) row.forEach((cell, k) => press(cell, isOn[label][k]));
  };
  const set = (value) => {
    isOn.forEach((row, label) => row.forEach((_, k) => (row[k] = value(label, k))));
    update();
  };
  const fill = () => {
    cells.clear();
    grid.replaceChildren();
    kit.shown().forEach((label) => {
      const toggle = (k) => press(row[k], (isOn[label][k] = !isOn[label][k]));
      const words = (k) => `${kit.names[label]}, step ${k + 1}`;
      const row = isOn[label].map((_, k) => button("", () => toggle(k), "", words(k)));
      const about = { class: "name", dir: "auto", title: kit.names[label] };
      const name = make("span", about, kit.names[label]);
      const line = make("div", { class: "line" }, name, make("div", { class: "steps" }, ...row));
      tint(line, label, kit.names.length);
      cells.set(label, row);
      grid.append(line);
    });
    moveByArrows(grid, [...cells.values()]);
    update();
  };
  const schedule = () => {
    const now = player.context.currentTime;
    if (nextTime < now) nextTime = now; // a hidden page has slow timers
    for (; nextTime < now + AHEAD_S; nextTime += 60 / tempo.value / 4) {
      const labels = kit.names.map((_, label) => label).filter((label) => isOn[label][step]);
      for (const label of labels) playStep(label, nextTime);
      queue.push({ time: nextTime, step, labels });
      step = (step + 1) % N_STEPS;
    }
  };
  const playStep = (label, time) => {
    const last = kit.current[label];
    const isFit = last >= 0 && !kit.has("rejected", label, last);
    const take = isFit && !isPressed(vary) ? last : kit.next(label);
    if (take < 0) return;
    kit.current[label] = take;
    player.play(label, take, 0.9, time);
  };
  const draw = () => {
    if (!timer) return;
    while (queue.length && queue[0].time <= player.context.currentTime) {
      const now = queue.shift();
      for (const row of cells.values())
        row.forEach((cell, k) => cell.toggleAttribute("data-now", k === now.step));
      for (const label of now.labels) kit.tell("hit", label, 0.6);
      kit.tell("update");
    }
    requestAnimationFrame(draw);
  };
  const start = () => {
    [step, queue, nextTime] = [0, [], player.context.currentTime + 0.05];
    timer = setInterval(schedule, 25);
    play.textContent = "■ Stop";
    draw();
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶ Play";
    player.silence();
    for (const row of cells.values()) for (const cell of row) cell.removeAttribute("data-now");
  };
  player.whenDecoded.then(() => {
    const isShort = player.meanDuration() < SHORT_S;
    set((label, k) => ((isShort ? GROOVE : ONE_AFTER_ANOTHER)[label] ?? []).includes(k));
  });
  press(vary, false);
  showTempo();
  fill();
  const tempoRow = make("label", { class: "row grow" }, "Tempo", tempo, bpm);
  const controls = make("div", { class: "row" }, play, tempoRow, vary, clear);
  const element = make("section", { "aria-label": "Pattern" }, heading("Pattern"), controls, grid);
  return { element, fill, stop };
}

// From the first take of a class to its second, in steps; each place of the slider is a sound.
function morphPart(kit) {
  const { player } = kit;
  const nSteps = (label) => player.between[label].length + 2;
  const choice = make("select", { "aria-label": "Class to morph" });
  for (const label of kit.names.keys())
    choice.append(make("option", { value: label }, kit.names[label]));
  const place = slider(1, nSteps(0), 1, "From take 1 to take 2", () => play());
  const play = () => {
    const [label, number] = [Number(choice.value), Number(place.value)];
    place.setAttribute("aria-valuetext", `step ${number} of ${nSteps(label)}`);
    player.playBetween(label, number - 1);
    kit.tell("hit", label, 0.7);
  };
  const choose = (label) => {
    choice.value = label;
    place.max = nSteps(label);
    tint(element, label, kit.names.length);
  };
  const ends = make("label", { class: "row grow" }, "take 1", place, "take 2");
  const row = make("div", { class: "row" }, choice, ends);
  const hint = make("p", { class: "hint" }, "Slide from one sound to another.");
  const element = make("section", { "aria-label": "Morph" }, heading("Morph"), hint, row);
  element.hidden = !player.between.some((steps) => steps.length);
  choice.addEventListener("change", () => choose(Number(choice.value)));
  choose(0);
  let followed = -1; // the pad that was pressed last
  const update = () => {
    if (kit.label !== followed) choose((followed = kit.label));
  };
  return { element, update };
}

// ---- Sound ----

class Player extends Speakers {
  constructor(model) {
    super();
    this.model = model;
    this.voices = new Map(); // what each class plays now
    const decode = (sounds) => sounds.map((sound) => this.decode(bytesOf(sound).buffer));
    this.takes = model.get("takes").map(decode); // promises
    this.between = model.get("between").map(decode);
    this.whenDecoded = Promise.all(this.takes.flat()).then((buffers) => {
      this.durations = buffers.filter(Boolean).map((buffer) => buffer.duration);
      return buffers.every(Boolean);
    });
  }
  meanDuration() {
    return this.durations.reduce((sum, each) => sum + each, 0) / this.durations.length;
  }
  play(label, take, velocity, time) {
    return this.start(label, this.takes[label][take], velocity, time);
  }
  // A place on the way from the first take to the second, which are its ends.
  playBetween(label, place) {
    const takes = this.takes[label];
    const way = [takes[0], ...this.between[label], takes[1]];
    return this.start(label, way[place], 1);
  }
  // Start a sound; what the class played before fades out.
  async start(label, sound, velocity, time = 0) {
    const buffer = await sound;
    if (!buffer) return;
    const when = Math.max(time, this.context.currentTime);
    this.fade(this.voices.get(label), when);
    this.voices.set(label, this.begin(buffer, velocity, when));
  }
  silence() {
    for (const voice of this.voices.values()) this.fade(voice);
    this.voices.clear();
  }
}

// ---- Files ----

// Promises of the kept takes as WAV files {name, bytes}, in a folder for each class.
function keptFiles(kit) {
  const { model } = kit;
  const folders = kit.names.map((name) => name.replace(/[\p{C}\\/:*?"<>|]/gu, "_").trim());
  const isTwice = (folder) => folders.filter((f) => f.toLowerCase() === folder.toLowerCase())[1];
  return model.get("kept").flatMap((takes, label) =>
    takes.map(async (take) => {
      const folder = isTwice(folders[label]) ? `${folders[label]}_${label + 1}` : folders[label];
      const name = `${folder}/seed${model.get("first_seed") + take}.wav`;
      return { name, bytes: await wav(model.get("takes")[label][take], model.get("sample_rate")) };
    }),
  );
}

// A sound in base64 as a WAV file of 16 bits at a sample rate (hertz).
async function wav(sound, rate) {
  const atItsRate = new OfflineAudioContext(1, 1, rate); // the context that plays has another
  const samples = (await atItsRate.decodeAudioData(bytesOf(sound).buffer)).getChannelData(0);
  const n = 2 * samples.length;
  const view = new DataView(new ArrayBuffer(44 + n));
  const words = { 0: "RIFF", 8: "WAVEfmt ", 36: "data" };
  for (const [at, word] of Object.entries(words))
    [...word].forEach((c, k) => view.setUint8(Number(at) + k, c.charCodeAt(0)));
  for (const [at, value] of [[4, 36 + n], [16, 16], [24, rate], [28, 2 * rate], [40, n]])
    view.setUint32(at, value, true);
  for (const [at, value] of [[20, 1], [22, 1], [32, 2], [34, 16]]) view.setUint16(at, value, true);
  // Browsers divide a sample of 16 bits by 32768, or by 32767 if it is positive: Chromium does
  const isWhole = samples.every((x) => Math.abs(32768 * x - Math.round(32768 * x)) < 0.01);
  const top = isWhole ? 32768 : 32767;
  samples.forEach((sample, k) => {
    const value = Math.round(sample * (sample > 0 ? top : 32768));
    view.setInt16(44 + 2 * k, Math.max(-32768, Math.min(32767, value)), true);
  });
  return new Uint8Array(view.buffer);
}

// Files {name, bytes} as one zip file, not compressed.
function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, bytes } of files) {
    const path = new TextEncoder().encode(name);
    const size = bytes.length;
    // UTF-8 names, stored, 1 January 1980, checksum, size twice, length of the name
    const about = [[20, 2], [0x800, 2], [0, 2], [0, 2], [33, 2], [crc32(bytes), 4]];
    about.push([size, 4], [size, 4], [path.length, 2], [0, 2]);
    const head = [little([[0x04034b50, 4], ...about]), path, bytes];
    directory.push(little([[0x02014b50, 4], [20, 2], ...about, [0, 6], [0, 4], [offset, 4]]), path);
    parts.push(...head);
    offset += head.reduce((sum, part) => sum + part.length, 0);
  }
  const length = directory.reduce((sum, part) => sum + part.length, 0);
  const n = files.length;
  const end = [[0x06054b50, 4], [0, 4], [n, 2], [n, 2], [length, 4], [offset, 4], [0, 2]];
  return new Blob([...parts, ...directory, little(end)], { type: "application/zip" });
}

// Pairs of a number and its size in bytes, the lowest byte first.
function little(pairs) {
  const bytes = pairs.flatMap(([value, size]) =>
    Array.from({ length: size }, (_, k) => (k < 4 ? (value >>> (8 * k)) & 255 : 0)),
  );
  return Uint8Array.from(bytes);
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function download(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

// ---- Moving by keys ----

// Rows of buttons are one stop of the Tab key; the arrow keys go from one to the next.
function moveByArrows(grid, rows) {
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const stopAt = (cell) => {
    for (const each of rows.flat()) each.tabIndex = each === cell ? 0 : -1;
  };
  stopAt(rows[0]?.[0]);
  grid.onfocusin = (event) => stopAt(event.target);
  grid.onkeydown = (event) => {
    const place = rows.findIndex((row) => row.includes(event.target));
    const move = moves[event.key];
    if (!move || place < 0) return;
    event.preventDefault();
    const row = rows[Math.max(0, Math.min(rows.length - 1, place + move[0]))];
    row[Math.max(0, Math.min(N_STEPS - 1, rows[place].indexOf(event.target) + move[1]))].focus();
  };
}

// ---- Looks ----

const LOOKS = `
.panel:focus-within .pad kbd { border-color: var(--tone); color: var(--ink); }
.pads { display: grid; gap: 10px; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); }
.pad { display: grid; grid-template-rows: 20px 1fr auto; gap: 4px; padding: 9px; height: 112px;
  text-align: start; border-radius: 14px; border: 1.5px solid transparent; overflow: hidden;
  background: color-mix(in oklab, var(--tone) 24%, var(--paper)); }
.pad:hover:enabled { background: color-mix(in oklab, var(--tone) 32%, var(--paper));
  border-color: transparent; }
.pad[data-last], .pad[data-last]:hover { border-color: var(--tone); }
.pad .row { justify-content: space-between; flex-wrap: nowrap; }
.pad .name { align-self: center; font-weight: 600; overflow-wrap: anywhere; line-height: 1.2;
  display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow: hidden; }
.pad .count { margin-inline-start: auto; font-size: 12px; }
.dots { display: flex; gap: 3px; }
.dots i { flex: 1; height: 4px; border-radius: 2px; max-width: 14px;
  background: color-mix(in oklab, var(--tone) 45%, var(--paper)); }
.dots i[data-kept] { background: var(--tone); }
.dots i[data-rejected] { opacity: 0.25; }
.dots i[data-now] { background: var(--ink); opacity: 1; }

.take { border: 1px solid var(--edge); border-radius: 14px; padding: 12px; }
.what { font-weight: 600; overflow-wrap: anywhere; min-height: 1.4em; }
.takes { display: grid; grid-template-columns: repeat(auto-fill, minmax(34px, 1fr)); gap: 6px;
  min-height: 40px; }
.takes button { padding: 0; }
.takes button[data-state="kept"]::after { content: "♥"; font-size: 11px; }
.takes button[data-state="rejected"] { text-decoration: line-through; opacity: 0.6; }

.grid { display: grid; gap: 4px; }
.line { display: grid; grid-template-columns: 92px minmax(0, 1fr); gap: 8px; align-items: center; }
.line .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-size: 13px; }
.steps { display: grid; grid-template-columns: repeat(16, minmax(0, 1fr)); gap: 3px; }
.steps button { min-height: 0; height: 28px; padding: 0; border-radius: 5px; border: 0; }
.steps button:nth-child(8n + 1), .steps button:nth-child(8n + 2), .steps button:nth-child(8n + 3),
.steps button:nth-child(8n + 4) { background: color-mix(in srgb, var(--ink) 13%, var(--paper)); }
.steps button[aria-pressed="true"] { background: var(--tone); }
.steps button[data-now] { box-shadow: inset 0 0 0 2px var(--quiet); }
.kept { justify-content: space-between; }
.kept .what { min-height: 0; }

@container (min-width: 900px) {
  .panel { grid-template-columns: minmax(0, 9fr) minmax(0, 11fr); gap: 24px 32px; padding: 20px; }
  .pad { height: 124px; } }
@container (max-width: 520px) {
  .panel { padding: 12px; }
  .pads { gap: 8px; }
  .takes { gap: 4px; }
  .take .row:last-child button { padding: 0 7px; }
  .take kbd { margin-inline-start: 4px; }
  .pad { height: 96px; padding: 7px; font-size: 13px; }
  .line { grid-template-columns: minmax(0, 1fr); gap: 2px; }
  .steps button { height: 34px; } }
`;

export default { render };
