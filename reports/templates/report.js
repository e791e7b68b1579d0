// The catalogue works without this: it only adds a filter.
(() => {
  const bar = document.getElementById("filter");
  if (!bar) return;
  const words = bar.querySelector("input");
  const state = bar.querySelector("select");
  const count = bar.querySelector("output");
  const rows = [...document.querySelectorAll("#catalogue tbody tr")];
  const apply = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const hit = wanted.every((word) => text.includes(word)) && (!state.value || row.dataset.state === state.value);
      row.hidden = !hit;
      shown += hit;
    }
    count.textContent = `${shown} of ${rows.length} shown`;
  };
  bar.hidden = false;
  words.addEventListener("input", apply);
  state.addEventListener("change", apply);
  apply();
})();
