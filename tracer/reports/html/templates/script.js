"use strict";
// Sorting, filtering, and the flame graphs' zoom. The page says all it has to say without it.

// "1,234", "36.9%" and "16 KiB" are numbers; n/a and nothing are below all of them.
function numberIn(text) {
  const value = parseFloat(text.replace(/,/g, ""));
  const unit = {K: 1024, M: 1024 ** 2, G: 1024 ** 3}[(text.match(/([KMG])iB/) || [])[1]] || 1;
  return Number.isNaN(value) ? -Infinity : value * unit;
}

function sortBy(table, column, heading) {
  const descending = heading.getAttribute("aria-sort") !== "descending" && heading.classList.contains("n")
    || heading.getAttribute("aria-sort") === "ascending";
  for (const other of heading.parentNode.children) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const isNumber = heading.classList.contains("n");
  const keys = new Map(Array.from(table.tBodies[0].rows, (row) => {
    const text = row.cells[column].textContent;
    return [row, isNumber ? numberIn(text) : text.toLowerCase()];
  }));
  const order = (one, other) => {
    if (one.classList.contains("rest") !== other.classList.contains("rest")) return one.classList.contains("rest") ? 1 : -1;
    const [left, right] = [keys.get(one), keys.get(other)];
    const sign = left < right ? -1 : left > right ? 1 : 0;
    return descending ? -sign : sign;
  };
  table.tBodies[0].append(...Array.from(keys.keys()).sort(order));
}

for (const table of document.querySelectorAll("table")) {
  Array.from(table.tHead.rows[0].cells).forEach((heading, column) => {
    heading.firstElementChild.addEventListener("click", () => sortBy(table, column, heading));
  });
}

for (const field of document.querySelectorAll("[data-filter]")) {
  const rows = Array.from(document.getElementById(field.dataset.filter).tBodies[0].rows);
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const told = document.getElementById(field.id.replace("filter", "shown"));
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    let shown = 0;
    rows.forEach((row, at) => {
      row.hidden = !words.every((word) => texts[at].includes(word));
      shown += !row.hidden;
    });
    told.textContent = field.value ? `${shown} of ${rows.length} rows` : "";
  });
}

function flameGraph(figure) {
  const area = figure.querySelector(".boxes");
  const told = figure.querySelector(".told");
  const boxes = Array.from(area.firstElementChild.children, (element) => ({
    element,
    left: parseFloat(element.getAttribute("x")),
    width: parseFloat(element.getAttribute("width")),
    depth: Math.round(parseFloat(element.getAttribute("y")) / 18),
    name: element.textContent.trim(),
    value: Number(element.dataset.v),
  }));
  const root = boxes[0];
  let picked = root;

  function pick(box) {
    picked.element.classList.remove("picked");
    picked = box;
    box.element.classList.add("picked");
    told.textContent = `${box.name}: ${box.value.toLocaleString("en")}, ${(100 * box.value / root.value).toFixed(1)} %`;
  }

  function zoom(to) {
    for (const box of boxes) {
      const inside = box.left >= to.left - 1e-3 && box.left + box.width <= to.left + to.width + 1e-3;
      const below = box.depth < to.depth && box.left <= to.left + 1e-3 && box.left + box.width >= to.left + to.width - 1e-3;
      box.element.style.display = inside || below ? "" : "none";
      box.element.setAttribute("x", below ? "0%" : `${100 * (box.left - to.left) / to.width}%`);
      box.element.setAttribute("width", below ? "100%" : `${100 * box.width / to.width}%`);
    }
    pick(to);
  }

  const holds = (outer, inner) => inner.left >= outer.left - 1e-3 && inner.left + inner.width <= outer.left + outer.width + 1e-3;
  const level = (depth) => boxes.filter((box) => box.depth === depth && box.element.style.display !== "none");
  const moves = {
    ArrowDown: () => level(picked.depth + 1).find((box) => holds(picked, box)),
    ArrowUp: () => level(picked.depth - 1).find((box) => holds(box, picked)),
    ArrowLeft: () => level(picked.depth).filter((box) => box.left < picked.left - 1e-3).pop(),
    ArrowRight: () => level(picked.depth).find((box) => box.left > picked.left + 1e-3),
  };
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter") zoom(picked);
    else if (event.key === "Escape") zoom(root);
    else if (moves[event.key]) pick(moves[event.key]() || picked);
    else return;
    event.preventDefault();
  });
  area.addEventListener("focus", () => pick(picked));
  for (const box of boxes) {
    box.element.addEventListener("click", () => zoom(box));
    box.element.addEventListener("mouseenter", () => pick(box));
  }
}

document.querySelectorAll("[data-flame]").forEach(flameGraph);

document.getElementById("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([document.getElementById("document").textContent], {type: "application/json"}));
  link.download = "nettrace.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
