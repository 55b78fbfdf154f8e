// Tables that can be sorted by their columns and sieved by a word.

const keyOf = (row, column, kind) => {
  const cell = row.cells[column];
  const key = cell.dataset.key ?? cell.textContent;
  return kind === "number" ? (key === "" ? NaN : Number(key)) : key;
};

const order = (a, b) => {
  if (typeof a === "string") return a.localeCompare(b, undefined, { numeric: true });
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b) || 0;
  return a - b;
};

const sortable = (table) => {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const kind = head.dataset.sort;
    if (!kind) return;
    const button = make("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      // Numbers are looked at from the largest, words from the first.
      const first = kind === "number" ? "descending" : "ascending";
      const other = first === "descending" ? "ascending" : "descending";
      const way = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", way);
      const sign = way === "ascending" ? 1 : -1;
      const keyed = [...table.tBodies[0].rows].map((row) => [keyOf(row, column, kind), row]);
      keyed.sort(([a], [b]) => sign * order(a, b));
      table.tBodies[0].append(...keyed.map(([, row]) => row));
    });
  });
};

const sieve = (table, what) => {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 6) return;
  const input = make("input", { type: "search", placeholder: `Filter ${what}`, "aria-label": `Filter ${what}`, spellcheck: "false" });
  const output = make("output", { "aria-live": "polite" });
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    output.textContent = words.length ? `${shown} of ${rows.length}` : "";
  };
  input.addEventListener("input", apply);
  table.parentElement.before(make("div", { class: "sieve" }, input, output));
};

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll("section.tensors table").forEach((table) => sieve(table, "tensors"));
document.querySelectorAll("section.components table").forEach((table) => sieve(table, "components"));
document.querySelectorAll("section.tensors thead th:last-child").forEach((head) => {
  head.removeAttribute("data-sort");
  const ticks = ["1e-16", "1e-12", "1e-8", "1e-4", "1"].map((tick) => make("span", {}, tick));
  head.append(make("span", { class: "ticks", "aria-hidden": "true" }, ...ticks));
});
