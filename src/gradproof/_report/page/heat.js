// The map of one tensor: a cell is an element, or the one of a block that is furthest out of bounds.

const COOL = { light: [[238, 242, 246], [122, 166, 209]], dark: [[35, 42, 51], [62, 116, 172]] };
const HOT = { light: [[246, 184, 88], [170, 18, 20]], dark: [[196, 122, 34], [255, 128, 116]] };
const REACH = 4; // decades on either side of the limit

const between = ([a, b], share) => a.map((part, k) => Math.round(part + (b[k] - part) * share));

// Colour of a level: log10 of mismatch over limit. It changes at 0 all at once, because there the verdict does.
const colour = (level, mode) => {
  const share = Math.min(1, Math.abs(level) / REACH);
  const [r, g, b] = level > 0 ? between(HOT[mode], share) : between(COOL[mode], 1 - share);
  return `rgb(${r},${g},${b})`;
};

const levelsOf = (elements, points) => {
  const levels = [];
  for (let k = 0; k < points.length; k += 1) {
    const limit = Math.max(elements.allowed, points.bar(k) || 0);
    const off = size(points.mismatch(k));
    // A tenth of a decade is finer than the eye tells colours apart.
    levels.push(points.position(k) < 0 ? NaN : Number.isFinite(off) ? Math.round(10 * Math.log10(off / limit)) / 10 : Infinity);
  }
  return levels;
};

const heatChart = (plot, tensor) => {
  const elements = tensor.elements;
  const [rows, columns] = elements.grid;
  const points = unpacked(elements.cells, elements.unit);
  const levels = levelsOf(elements, points);
  const side = Math.max(3, Math.min(26, Math.floor(Math.min((plot.clientWidth - 2) / columns, 264 / rows))));
  const gap = side >= 8 ? 1 : 0;
  const ratio = devicePixelRatio || 1;
  const [width, height] = [columns * side, rows * side];
  const canvas = make("canvas", { width: width * ratio, height: height * ratio });
  canvas.style.cssText = `width:${width}px;height:${height}px`;
  const out = levels.filter((level) => level > 0).length;
  const cells = elements.view[0] === rows && elements.view[1] === columns ? "elements" : "blocks";
  const label = `Heat map of ${tensor.short}, ${rows} by ${columns} ${cells}: ${out} out of bounds.`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  let at = -1;
  const paint = () => {
    const mode = dark() ? "dark" : "light";
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    levels.forEach((level, k) => {
      const [x, y] = [(k % columns) * side, Math.floor(k / columns) * side];
      if (Number.isNaN(level)) {
        if (!(elements.measured < elements.total)) return;
        pen.fillStyle = mode === "dark" ? "#3a404a" : "#d9dce0";
        pen.fillRect(x + side / 2 - 0.75, y + side / 2 - 0.75, 1.5, 1.5);
        return;
      }
      pen.fillStyle = colour(level, mode);
      pen.fillRect(x, y, side - gap, side - gap);
    });
    if (at >= 0) {
      pen.strokeStyle = mode === "dark" ? "#fff" : "#000";
      pen.lineWidth = 2;
      pen.strokeRect((at % columns) * side, Math.floor(at / columns) * side, side - gap, side - gap);
    }
  };
  const block = Math.ceil(elements.view[0] / rows) * Math.ceil(elements.view[1] / columns);
  const extra = block > 1 ? [["shown", `the furthest out of up to ${block} elements`]] : [];
  const show = (k) => {
    at = k;
    paint();
    const box = canvas.getBoundingClientRect();
    const place = [box.left + ((k % columns) + 0.5) * side, box.top + (Math.floor(k / columns) + 0.5) * side];
    if (Number.isNaN(levels[k])) showTip({ title: tensor.short, rows: [["here", "not measured"]] }, ...place);
    else showTip(told(tensor, points, k, extra), ...place);
  };
  const hide = () => { at = -1; paint(); hideTip(); };
  canvas.onmousemove = (event) => {
    const box = canvas.getBoundingClientRect();
    const [column, row] = [Math.floor((event.clientX - box.left) / side), Math.floor((event.clientY - box.top) / side)];
    if (column >= 0 && row >= 0 && column < columns && row < rows) show(row * columns + column);
  };
  canvas.onmouseleave = hide;
  plot.tabIndex = 0;
  plot.setAttribute("role", "application");
  plot.setAttribute("aria-roledescription", "heat map");
  plot.setAttribute("aria-label", `${label} Arrow keys read single cells.`);
  plot.onblur = hide;
  plot.onkeydown = (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (!move) return;
    event.preventDefault();
    const to = at < 0 ? levels.indexOf(Math.max(...levels.filter((level) => !Number.isNaN(level)))) : at + move;
    if (to >= 0 && to < levels.length) show(to);
  };
  plot.append(make("div", { class: "centre" }, canvas), scaleOf());
  plot.repaint = () => { paint(); plot.querySelector(".scale").replaceWith(scaleOf()); };
  paint();
};

// The legend under a map.
const scaleOf = () => {
  const ratio = devicePixelRatio || 1;
  const canvas = make("canvas", { width: 190 * ratio, height: 10 * ratio, "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  for (let x = 0; x < 190 * ratio; x += 1) {
    pen.fillStyle = colour((x / (190 * ratio) - 0.5) * 2 * REACH, dark() ? "dark" : "light");
    pen.fillRect(x, 0, 1, 10 * ratio);
  }
  return make("div", { class: "scale" }, "10⁻⁴ of the limit", canvas, "10⁴ times");
};
