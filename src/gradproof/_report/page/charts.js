// The step curve, the Taylor remainders and the residuals of one tensor.

const word = (axes, x, y, text, className = "", anchor = "start") =>
  draw("text", { class: `word ${className}`, x, y, "text-anchor": anchor }, axes.svg, text);

const stepsChart = (plot, line, along) => {
  const positive = line.steps.map((step, k) => [step, line.off[k], k]).filter(([, off]) => off > 0);
  const x = decades(line.steps);
  const y = decades([...positive.map(([, off]) => off), ...line.noise, line.bar].map((value) => value ?? NaN));
  const label = `Step curve along ${along}.`;
  const axes = frame(plot, { x, y, xTitle: "step, relative to the parameters", yTitle: "error of the slope, relative", label });
  const k = line.steps.length - 1;
  powerLaw(axes, x, line.steps[k], line.noise[k], -1, "noise");
  if (line.truncation[k] > 0) powerLaw(axes, x, line.steps[k], line.truncation[k], 2, "bent");
  if (line.step) {
    const at = axes.X(line.step);
    draw("line", { class: "chosen", x1: at, x2: at, y1: axes.top, y2: axes.bottom }, axes.inside);
    const end = at > (axes.left + axes.right) / 2 ? "end" : "start";
    word(axes, at + (end === "end" ? -6 : 6), axes.top + 14, "chosen step", "", end);
  }
  const points = positive.map(([step, off, at]) => {
    const place = { x: axes.X(step), y: axes.Y(off) };
    draw("circle", { class: "seen", cx: place.x, cy: place.y, r: 3.5 }, axes.inside);
    const rows = [["step", short(step)], ["off the result", short(off)], ["rounding", `up to ${short(line.noise[at])}`]];
    return { ...place, content: () => ({ title: "central difference", rows }) };
  });
  if (line.step && line.bar > 0) {
    const place = { x: axes.X(line.step), y: axes.Y(line.bar) };
    draw("circle", { class: "ring", cx: place.x, cy: place.y, r: 4.5 }, axes.inside);
    const rows = [["step", short(line.step)], ["error bar", short(line.bar)]];
    points.push({ ...place, content: () => ({ title: "the result", rows }) });
  }
  readable(plot, axes.svg, points.sort((a, b) => a.x - b.x), label);
};

const taylorChart = (plot, line, wrong) => {
  const x = decades(line.steps);
  const all = [...line.claimed, ...line.measured].map((value) => value ?? NaN);
  const y = decades([...all, line.floor]);
  const label = "Taylor remainders.";
  const axes = frame(plot, { x, y, xTitle: "step, relative to the parameters", yTitle: "remainder of the cost", label });
  const last = line.steps.length - 1;
  // Guides run beside the points, not through them: half a decade above with slope 1, below with slope 2.
  const guides = [[1, 3 * line.claimed[last]], [2, (line.measured[last] || line.claimed[last]) / 3]];
  for (const [exponent, value] of guides) if (value > 0) powerLaw(axes, x, line.steps[last], value, exponent, "guide");
  powerLaw(axes, x, 1, line.floor, 0, "noise");
  word(axes, axes.right - 6, axes.Y(line.floor) - 5, "rounding", "noise-word", "end");
  const off = wrong ? " off" : "";
  pathThrough(axes, line.steps, line.claimed, `path${off}`);
  if (line.window) {
    const [from, to] = line.window;
    pathThrough(axes, line.steps.slice(from, to + 1), line.claimed.slice(from, to + 1), `thick${off}`);
  }
  const points = [];
  line.steps.forEach((step, k) => {
    const rows = [["step", short(step)], ["with the claim", short(line.claimed[k] ?? 0)], ["with the reference", short(line.measured[k] ?? 0)]];
    const mark = (value, attributes, title) => {
      if (!(value > 0)) return;
      const place = { x: axes.X(step), y: axes.Y(value) };
      draw("circle", { cx: place.x, cy: place.y, r: 3.5, ...attributes }, axes.inside);
      points.push({ ...place, content: () => ({ title, rows }) });
    };
    if (wrong) mark(line.measured[k], { class: "ring" }, "remainder with the reference");
    mark(line.claimed[k], { class: `seen${off}` }, "remainder with the claim");
  });
  for (const [exponent, value] of guides) {
    // From the right, the first place where the name of a guide finds room.
    const shares = [0.75, 0.6, 0.45, 0.3, 0.15].map((share) => 10 ** (x[0] + (x[1] - x[0]) * share));
    const at = shares.find((step) => {
      const place = axes.Y(value * (step / line.steps[last]) ** exponent);
      return place > axes.top + 16 && place < axes.bottom - 14;
    });
    if (!(value > 0 && at)) continue;
    const [dx, dy, anchor] = exponent === 1 ? [-6, -8, "end"] : [8, 14, "start"];
    const place = axes.Y(value * (at / line.steps[last]) ** exponent);
    word(axes, axes.X(at) + dx, place + dy, `slope ${exponent}`, "", anchor);
  }
  readable(plot, axes.svg, points, label);
};

const residualChart = (plot, tensor) => {
  const elements = tensor.elements;
  const points = unpacked(elements.sample, elements.unit);
  const places = [];
  for (let k = 0; k < points.length; k += 1) {
    const off = size(points.mismatch(k));
    const magnitude = Math.max(size(points.reference(k)), size(points.claimed(k)));
    if (off > 0 && magnitude > 0) places.push({ k, off, magnitude, clear: !(off <= points.bar(k)) });
  }
  const x = decades(places.map((place) => place.magnitude));
  const y = decades([...places.map((place) => place.off), elements.allowed]);
  const label = `Mismatch of ${places.length} elements against their size.`;
  const axes = frame(plot, { x, y, xTitle: "size of the derivative", yTitle: "|claimed − reference|", label });
  powerLaw(axes, x, 1, 2 * tensor.tolerance, 1, "limit");
  if (elements.allowed > 0) powerLaw(axes, x, 1, elements.allowed, 0, "guide");
  for (const place of places) {
    const at = { cx: axes.X(place.magnitude).toFixed(1), cy: axes.Y(place.off).toFixed(1) };
    const limit = Math.max(elements.allowed, points.bar(place.k) || 0);
    const className = place.clear ? `seen${place.off > limit ? " off" : ""}` : "fine";
    draw("circle", { ...at, r: place.clear ? 3 : 2.5, class: className }, axes.inside);
  }
  const shown = places.map((place) => ({
    x: axes.X(place.magnitude), y: axes.Y(place.off), content: () => told(tensor, points, place.k),
  }));
  const end = 10 ** (x[1] - (x[1] - x[0]) * 0.04);
  const limit = axes.Y(2 * tensor.tolerance * end);
  if (limit > axes.top + 16) word(axes, axes.X(end), limit - 7, `tolerance ${short(tensor.tolerance)}`, "", "end");
  readable(plot, axes.svg, shown, label);
};
