// Light, dark, or what the system says.

const themeChanged = new EventTarget();

const dark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

const remembered = (choice) => {
  try {
    if (choice === undefined) return localStorage.getItem("gradproof-theme") || "auto";
    localStorage.setItem("gradproof-theme", choice);
  } catch {
    // A page without storage forgets the choice; it still follows it.
  }
  return "auto";
};

const setTheme = (choice) => {
  if (choice === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  themeChanged.dispatchEvent(new Event("change"));
};

{
  const known = ["light", "auto", "dark"];
  const first = known.includes(remembered()) ? remembered() : "auto";
  const options = known.map((choice) => {
    const input = make("input", { type: "radio", name: "theme", value: choice });
    input.checked = choice === first;
    input.addEventListener("change", () => { remembered(choice); setTheme(choice); });
    return make("label", {}, input, make("span", {}, choice[0].toUpperCase() + choice.slice(1)));
  });
  const legend = make("legend", { class: "unseen" }, "Colours");
  document.getElementById("switch").append(make("fieldset", { class: "switch" }, legend, ...options));
  setTheme(first);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(remembered()));
}
