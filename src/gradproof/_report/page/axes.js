// Logarithmic axes, and points that are read by pointer or by keyboard.

const MARGIN = { left: 62, right: 14, top: 8, bottom: 40 };
const HEIGHT = 268;
const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

const power = (exponent) =>
  exponent === 0 ? "1" : `10${[...String(exponent)].map((character) => SUPERSCRIPT[character]).join("")}`;

// The decades that hold all positive values, with a little air.
const decades = (values) => {
  const logs = values.filter((value) => value > 0 && Number.isFinite(value)).map(Math.log10);
  if (!logs.length) return [-1, 1];
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const air = Math.max(0.3, (high - low) * 0.06);
  return [low - air, high + air];
};

// Where an axis gets its marks: whole decades, or 1, 2 and 5 where there are hardly any.
const ticksOf = ([low, high], most) => {
  const found = [];
  if (high - low < 2) {
    for (let exponent = Math.floor(low); exponent <= high; exponent += 1) {
      for (const first of [1, 2, 5]) {
        const log = exponent + Math.log10(first);
        if (log >= low && log <= high) found.push([log, first === 1 ? power(exponent) : `${first}·${power(exponent)}`]);
      }
    }
    return found;
  }
  const every = Math.max(1, Math.ceil((high - low) / most));
  for (let exponent = Math.ceil(low / every) * every; exponent <= high; exponent += every) found.push([exponent, power(exponent)]);
  return found;
};

// A frame with two logarithmic axes; X and Y give the place of a value.
const frame = (host, { x, y, xTitle, yTitle, label }) => {
  const width = Math.max(240, host.clientWidth);
  const svg = draw("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label }, host);
  const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, HEIGHT - MARGIN.bottom];
  const X = (value) => left + ((Math.log10(value) - x[0]) / (x[1] - x[0])) * (right - left);
  const Y = (value) => bottom - ((Math.log10(value) - y[0]) / (y[1] - y[0])) * (bottom - top);
  for (const [log, name] of ticksOf(x, width / 64)) {
    const at = X(10 ** log);
    draw("line", { class: "grid", x1: at, x2: at, y1: top, y2: bottom }, svg);
    draw("text", { x: at, y: bottom + 16, "text-anchor": "middle" }, svg, name);
  }
  for (const [log, name] of ticksOf(y, 6)) {
    const at = Y(10 ** log);
    draw("line", { class: "grid", x1: left, x2: right, y1: at, y2: at }, svg);
    draw("text", { x: left - 8, y: at + 4, "text-anchor": "end" }, svg, name);
  }
  draw("rect", { class: "frame", x: left, y: top, width: right - left, height: bottom - top }, svg);
  draw("text", { x: (left + right) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, svg, xTitle);
  const turned = `rotate(-90 12 ${(top + bottom) / 2})`;
  draw("text", { x: 12, y: (top + bottom) / 2, "text-anchor": "middle", transform: turned }, svg, yTitle);
  const clip = `clip-${(frame.count = (frame.count || 0) + 1)}`;
  draw("rect", { x: left, y: top, width: right - left, height: bottom - top }, draw("clipPath", { id: clip }, svg));
  const inside = draw("g", { "clip-path": `url(#${clip})` }, svg);
  return { svg, inside, X, Y, left, right, top, bottom };
};

// A straight line on logarithmic axes through a point, across the whole frame.
const powerLaw = (axes, range, at, value, exponent, className) => {
  const [from, to] = [10 ** range[0], 10 ** range[1]];
  const y = (x) => axes.Y(value * (x / at) ** exponent);
  return draw("line", { class: className, x1: axes.X(from), y1: y(from), x2: axes.X(to), y2: y(to) }, axes.inside);
};

const pathThrough = (axes, xs, ys, className) => {
  const points = xs.map((x, k) => [x, ys[k]]).filter(([x, y]) => x > 0 && y > 0);
  const d = points.map(([x, y], k) => `${k ? "L" : "M"}${axes.X(x).toFixed(1)} ${axes.Y(y).toFixed(1)}`).join("");
  if (d) draw("path", { class: className, d }, axes.inside);
};

// Points ({x, y, content}, in pixels) that are read by hovering, or one after the other by the arrow keys.
const readable = (plot, svg, points, label) => {
  if (!points.length) return;
  plot.tabIndex = 0;
  plot.setAttribute("role", "application");
  plot.setAttribute("aria-roledescription", "chart");
  plot.setAttribute("aria-label", `${label} Arrow keys read single points.`);
  const ring = draw("circle", { class: "ring", r: 6, visibility: "hidden" }, svg);
  let at = -1;
  const show = (k) => {
    at = k;
    const box = svg.getBoundingClientRect();
    ring.setAttribute("cx", points[k].x);
    ring.setAttribute("cy", points[k].y);
    ring.setAttribute("visibility", "visible");
    showTip(points[k].content(), box.left + points[k].x, box.top + points[k].y);
  };
  const hide = () => { ring.setAttribute("visibility", "hidden"); hideTip(); };
  plot.onmousemove = (event) => {
    const box = svg.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [best, nearest] = [-1, 26 ** 2];
    points.forEach((point, k) => {
      const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (distance < nearest) [best, nearest] = [k, distance];
    });
    if (best >= 0) show(best); else hide();
  };
  plot.onmouseleave = hide;
  plot.onblur = hide;
  plot.onkeydown = (event) => {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!move) return;
    event.preventDefault();
    show((at + move + points.length) % points.length);
  };
};
