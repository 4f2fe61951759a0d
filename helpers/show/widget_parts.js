// What the scripts of widgets share: Python puts this file in front of each (widget_script.py).
//
// In this order: small things, sound, looks.

// An element with attributes; children that are texts stay texts, whatever is in them.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function button(text, act, key = "", label = "") {
  const element = make("button", { type: "button" }, text);
  if (key) element.append(make("kbd", { class: "keys" }, key.toUpperCase()));
  if (key) element.setAttribute("aria-keyshortcuts", key);
  if (label) element.setAttribute("aria-label", label);
  element.addEventListener("click", act);
  return element;
}

function slider(min, max, value, label, act) {
  const element = make("input", { type: "range", min, max, value, "aria-label": label });
  element.addEventListener("input", act);
  return element;
}

// A name that may go on in the next line after such a sign.
const breakable = (name) =>
  (name.match(/[^_\-./]+[_\-./]*|[_\-./]+/g) ?? []).flatMap((part) => [part, make("wbr")]);

// Change a text only if it is another: a screen reader reads each change.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const heading = (text) => make("h3", {}, text);
const press = (element, isOn) => element.setAttribute("aria-pressed", isOn);
const isPressed = (element) => element.getAttribute("aria-pressed") === "true";

const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

const N_HUES = 16;

// Give an element the colour of a class.
function tint(element, label, nClasses) {
  element.style.setProperty("--hue", hueOf(label, nClasses));
}

const hueOf = (label, nClasses) => 25 + (360 * (label % N_HUES)) / Math.min(N_HUES, nClasses);

// ---- Sound ----

// Plays sounds through one limiter.
class Speakers {
  constructor() {
    if (navigator.audioSession) navigator.audioSession.type = "playback"; // despite a mute switch
    this.context = new AudioContext({ latencyHint: "interactive" });
    const limiter = new DynamicsCompressorNode(this.context, LIMITER);
    this.out = new GainNode(this.context, { gain: 0.8 }); // the limiter raises all by as much
    this.out.connect(limiter).connect(this.context.destination);
  }
  wake() {
    if (this.context.state !== "running") this.context.resume();
  }
  // A sound file (ArrayBuffer) as a promise of a buffer; of null if the browser cannot read it.
  decode(file) {
    return this.context.decodeAudioData(file).catch(() => null);
  }
  // Start a buffer, and return its voice.
  begin(buffer, velocity = 1, when = this.context.currentTime) {
    const source = new AudioBufferSourceNode(this.context, { buffer });
    const gain = new GainNode(this.context, { gain: velocity ** 2 });
    source.connect(gain).connect(this.out);
    source.start(when);
    return { source, gain };
  }
  fade(voice, when = this.context.currentTime) {
    voice?.gain.gain.setTargetAtTime(0, when, FADE_S / 4);
    voice?.source.stop(when + 2 * FADE_S);
  }
  close() {
    this.context.close();
  }
}

const FADE_S = 0.02;
const LIMITER = { threshold: -3, knee: 0, ratio: 20, attack: 0.001, release: 0.1 };

// ---- Looks ----

// The panel paints its own paper and ink: JupyterLab's where they are, else those of the system.
const BASE_LOOKS = `
:host { display: block; container-type: inline-size; max-width: 1180px;
  --paper: var(--jp-layout-color1, #fff); --ink: var(--jp-ui-font-color1, #23262d);
  font: 14px/1.4 system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  :host { --paper: var(--jp-layout-color1, #17191e); --ink: var(--jp-ui-font-color1, #e6e7ea); } }
* { box-sizing: border-box; margin: 0; font: inherit; color: inherit; }
[hidden] { display: none !important; }
.panel { --faint: color-mix(in srgb, var(--ink) 7%, var(--paper));
  --edge: color-mix(in srgb, var(--ink) 16%, var(--paper));
  --quiet: color-mix(in srgb, var(--ink) 68%, var(--paper));
  --hue: 250; background: var(--paper); color: var(--ink); padding: 16px; outline: none;
  border: 1px solid var(--edge); border-radius: 16px; display: grid; gap: 24px; }
.panel *, .panel { --tone: oklch(0.68 0.13 var(--hue)); }
.column { display: grid; gap: 16px; align-content: start; min-width: 0; }
section { display: grid; gap: 10px; min-width: 0; }
h3 { font-weight: 600; }
.hint, .note, output { color: var(--quiet); }
.note { grid-column: 1 / -1; }
.row { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
.grow { flex: 1 1 120px; flex-wrap: nowrap; }
output { min-width: 4.5em; font-variant-numeric: tabular-nums; }

button, select { background: var(--faint); border: 1px solid var(--edge); border-radius: 10px;
  padding: 0 12px; min-height: 40px; cursor: pointer; touch-action: manipulation;
  -webkit-tap-highlight-color: transparent; user-select: none; -webkit-user-select: none; }
select { max-width: 12em; }
option { background: var(--paper); color: var(--ink); }
button:hover:enabled { border-color: var(--quiet); }
button:disabled { opacity: 0.45; cursor: default; }
button[aria-pressed="true"] { background: color-mix(in oklab, var(--tone) 40%, var(--paper));
  border-color: var(--tone); }
:focus-visible { outline: 3px solid color-mix(in oklab, oklch(0.6 0.17 255) 75%, var(--ink));
  outline-offset: 2px; }
.panel:focus-visible { outline: none; }
kbd { font-size: 11px; line-height: 18px; min-width: 20px; padding: 0 5px; text-align: center;
  border: 1px solid var(--edge); border-radius: 5px; background: var(--paper); color: var(--quiet);
  display: inline-block; }
button > kbd { margin-inline-start: 8px; }
@media (hover: none), (pointer: coarse) { .keys { display: none; } }

input[type="range"] { -webkit-appearance: none; appearance: none; flex: 1; min-width: 60px;
  height: 40px; background: transparent; cursor: pointer; }
input::-webkit-slider-runnable-track { height: 6px; border-radius: 3px; background: var(--edge); }
input::-moz-range-track { height: 6px; border-radius: 3px; background: var(--edge); }
input::-webkit-slider-thumb { -webkit-appearance: none; width: 24px; height: 24px;
  margin-top: -9px; border-radius: 50%; background: var(--tone); border: 3px solid var(--paper);
  box-shadow: 0 0 0 1px var(--edge); }
input::-moz-range-thumb { width: 20px; height: 20px; border-radius: 50%; background: var(--tone);
  border: 3px solid var(--paper); box-shadow: 0 0 0 1px var(--edge); }
`;
