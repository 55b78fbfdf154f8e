// How numbers and elements are written, and how pieces of the page are made: text is only ever set as text.

const make = (name, attributes = {}, ...children) => {
  const found = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  found.append(...children);
  return found;
};

const draw = (name, attributes, parent, text) => {
  const found = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  if (text !== undefined) found.textContent = text;
  parent.append(found);
  return found;
};

// Digits that an error bar leaves a number, at most seven: numbers travel in single precision.
const number = (value, bar = 0) => {
  if (!Number.isFinite(value)) return "not finite";
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  let digits = 7;
  if (bar > 0) digits = Math.min(7, Math.max(1, size - Math.floor(Math.log10(bar)) + 1));
  if (size < -4 || size > 5) return value.toExponential(digits - 1).replace("e+", "e");
  return value.toFixed(Math.max(0, digits - 1 - size));
};

const complexNumber = (value, bar) => {
  if (!Array.isArray(value)) return number(value, bar);
  const imaginary = number(value[1], bar);
  return `${number(value[0], bar)}${imaginary.startsWith("-") ? "" : "+"}${imaginary}j`;
};

// One digit, rounded up, so that it still is a bound.
const bound = (value) => {
  const unit = 10 ** Math.floor(Math.log10(value));
  return (Math.ceil(value / unit - 1e-6) * unit).toExponential(0);
};

const short = (value) => {
  if (!Number.isFinite(value)) return "not finite";
  return value === 0 ? "0" : value.toExponential(1).replace("e+", "e");
};

const size = (value) => (Array.isArray(value) ? Math.hypot(value[0], value[1]) : Math.abs(value));

// [4, 7] for a row-major position in a shape.
const indexOf = (position, shape) => {
  const index = [];
  for (let axis = shape.length - 1, rest = position; axis >= 0; axis -= 1) {
    index.unshift(rest % shape[axis]);
    rest = Math.floor(rest / shape[axis]);
  }
  return index.length ? `[${index.join(", ")}]` : "";
};

const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;

// Elements as the page carries them: arrays of claimed, mismatch and error bar.
const unpacked = (packed, unit) => {
  const places = { u2: Uint16Array, u4: Uint32Array, f8: Float64Array }[packed.type];
  const positions = new places(bytes(packed.positions));
  const none = { u2: 65535, u4: 4294967295, f8: -1 }[packed.type];
  const claimed = new Float32Array(bytes(packed.claimed));
  const mismatch = new Float32Array(bytes(packed.mismatch));
  const bars = new Uint16Array(bytes(packed.bars));
  const scaled = (values, k) =>
    packed.complex ? [values[2 * k] * unit, values[2 * k + 1] * unit] : values[k] * unit;
  return {
    length: positions.length,
    position: (k) => (positions[k] === none ? -1 : positions[k]),
    claimed: (k) => scaled(claimed, k),
    mismatch: (k) => scaled(mismatch, k),
    reference: (k) => {
      const [a, b] = [scaled(claimed, k), scaled(mismatch, k)];
      return packed.complex ? [a[0] - b[0], a[1] - b[1]] : a - b;
    },
    bar: (k) => (bars[k] ? unit * 10 ** (bars[k] / 1000 - 40) : NaN),
  };
};

// What is read at one element.
const told = (tensor, points, k, extra = []) => {
  const bar = points.bar(k);
  const off = size(points.mismatch(k));
  const limit = Math.max(tensor.elements.allowed, Number.isNaN(bar) ? 0 : bar);
  const times = off / limit;
  return {
    title: tensor.short + indexOf(points.position(k), tensor.shape),
    rows: [
      ["claimed", complexNumber(points.claimed(k))],
      ["reference", complexNumber(points.reference(k), bar) + (bar > 0 ? ` ± ${bound(bar)}` : "")],
      ["mismatch", off <= bar ? "within the error bar" : short(off)],
      ["limit", `${short(limit)}, ${times > 1 ? `exceeded ${times >= 100 ? short(times) : times.toPrecision(2)} times` : "kept"}`],
      ...extra,
    ],
  };
};

const tip = document.getElementById("tip");

const showTip = (content, x, y) => {
  const rows = content.rows.flatMap(([label, text]) => [make("dt", {}, label), make("dd", {}, text)]);
  tip.replaceChildren(make("b", {}, content.title), make("dl", {}, ...rows));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 14 + width > innerWidth ? x - 14 - width : x + 14;
  const top = y + 14 + height > innerHeight ? y - 14 - height : y + 14;
  tip.style.left = `${Math.max(4, Math.min(left, innerWidth - width - 4))}px`;
  tip.style.top = `${Math.max(4, top)}px`;
};

const hideTip = () => { tip.hidden = true; };
// Not on every scroll: moving to a picture by keyboard scrolls as well, and then it is read.
addEventListener("wheel", hideTip, { passive: true });
addEventListener("touchmove", hideTip, { passive: true });
addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
