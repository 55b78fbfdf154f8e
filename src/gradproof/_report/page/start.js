// Puts the pictures into the page, and keeps them in step with the tensor that is chosen.

const numbers = JSON.parse(document.getElementById("numbers").textContent);

const picture = (title, text, paint) => {
  const plot = make("div", { class: "plot" });
  const figure = make("figure", {}, make("figcaption", {}, make("b", {}, title), text), plot);
  figure.paint = () => { plot.replaceChildren(); paint(plot); };
  figure.plot = plot;
  return figure;
};

const counted = (elements) =>
  elements.measured === elements.total
    ? `All ${elements.total.toLocaleString("en")} elements`
    : `${elements.measured.toLocaleString("en")} of ${elements.total.toLocaleString("en")} elements`;

const picturesOf = (tensor, lines) => {
  const found = [];
  const wrong = tensor.verdict === "wrong";
  if (tensor.elements) {
    const elements = tensor.elements;
    const blocks = elements.grid.every((side, k) => side === elements.view[k]) ? "" : " A cell shows the worst of its block.";
    const folded = tensor.shape.length === 1 && elements.view[0] > 1 ? ` Folded into rows of ${elements.view[1]}.` : "";
    const about = `${counted(elements)}; ${elements.known}. Mismatch over limit: the error bar, or an even share of the tolerance.${blocks}${folded}`;
    found.push(picture("Where it is off", about, (plot) => heatChart(plot, tensor)));
    const sample = "Mismatch against size. Line: the tolerance of an element by itself; dashed: its even share. Open: within the error bar.";
    found.push(picture("Residuals", sample, (plot) => residualChart(plot, tensor)));
  }
  if (tensor.line !== null) {
    const line = lines[tensor.line];
    const steps = `Along ${tensor.along}. Error of the central difference by step: rounding (dotted) falls, curvature (dashed) grows. Ring: the result with its error bar.`;
    found.push(picture("Step curve", steps, (plot) => stepsChart(plot, line, tensor.along)));
    const read = line.window ? ` Thick: the longest straight stretch, slope ${line.order.toFixed(2)}.` : "";
    const taylor = `What the linear part leaves of the cost: slope 2 where the claim is right, 1 where it is wrong.${read}${wrong ? " Rings: with the measured derivative." : ""}`;
    found.push(picture("Taylor remainder", taylor, (plot) => taylorChart(plot, line, wrong)));
  }
  return found;
};

const evidence = (content, number) => {
  const section = document.getElementById(`evidence-${number}`);
  if (!content.tensors.length) return;
  section.hidden = false;
  const options = content.tensors.map((tensor, k) => {
    const option = make("option", { value: k });
    option.textContent = `${tensor.short} – ${tensor.verdict}`;
    return option;
  });
  const select = make("select", { id: `choice-${number}` }, ...options);
  const whole = make("p", { class: "whole" });
  const grid = make("div", { class: "pictures" });
  const label = make("label", { for: select.id }, "Tensor");
  section.append(make("h2", {}, "Evidence"), make("div", { class: "choice" }, label, select), whole, grid);
  const rows = [...document.querySelectorAll(`#tensors-${number} tbody tr`)];
  const byRow = new Map();
  let figures = [];
  const choose = (k) => {
    hideTip();
    select.value = String(k);
    const tensor = content.tensors[k];
    whole.textContent = tensor.name;
    whole.hidden = tensor.name === tensor.short;
    figures = picturesOf(tensor, content.lines);
    grid.replaceChildren(...figures);
    figures.forEach((figure) => figure.paint());
    rows.forEach((row) => row.classList.toggle("chosen", byRow.get(row) === k));
  };
  // Rows and tensors come in the same order, wrong ones first; rows without pictures are passed over.
  rows.forEach((row) => {
    const name = row.cells[0].querySelector("span");
    const k = content.tensors.findIndex((tensor) => tensor.row === Number(row.dataset.row));
    if (k < 0) return;
    byRow.set(row, k);
    const button = make("button", { type: "button", title: "Show its evidence" }, name.textContent);
    button.addEventListener("click", () => { choose(k); section.scrollIntoView(); select.focus({ preventScroll: true }); });
    name.replaceChildren(button);
  });
  select.addEventListener("change", () => choose(Number(select.value)));
  choose(0);
  let width = section.clientWidth;
  new ResizeObserver(() => {
    if (!section.clientWidth || section.clientWidth === width) return;
    width = section.clientWidth;
    figures.forEach((figure) => figure.paint());
  }).observe(section);
  themeChanged.addEventListener("change", () => figures.forEach((figure) => figure.plot.repaint?.()));
};

// Of several reports one is shown at a time, the one that was asked for.
const articles = [...document.querySelectorAll("article.report")];
const links = [...document.querySelectorAll("a.stage")];
const show = () => {
  const wanted = articles.findIndex((article) => `#${article.id}` === location.hash);
  const chosen = wanted < 0 ? Math.max(0, articles.findIndex((article) => article.querySelector(".verdict.wrong"))) : wanted;
  articles.forEach((article, k) => { article.hidden = k !== chosen; });
  links.forEach((link, k) => (k === chosen ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
};
numbers.forEach(evidence);
if (articles.length > 1) {
  show();
  addEventListener("hashchange", show);
}
