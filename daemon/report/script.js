"use strict";
// Sorting and filtering of the row tables; everything else of the page works without it.

const keyOf = (row, index) => row.cells[index].dataset.key;

function compare(a, b) {
  if (a === "" || b === "") return (a === "") - (b === ""); // what is unknown comes last
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
}

function sort(table, header, index) {
  const down = header.getAttribute("aria-sort") === "ascending";
  for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [keyOf(a, index), keyOf(b, index)];
    return x === "" || y === "" ? compare(x, y) : down ? compare(y, x) : compare(x, y);
  });
  body.append(...rows);
}

function sortable(table) {
  [...table.tHead.rows[0].cells].forEach((header, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () => sort(table, header, index));
    header.replaceChildren(button);
  });
}

function filterable(table) {
  const label = document.createElement("label");
  const field = document.createElement("input");
  const told = document.createElement("output");
  field.type = "search";
  label.append("Filter ", field);
  label.className = "filter";
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    let left = 0;
    for (const row of table.tBodies[0].rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      left += row.hidden ? 0 : 1;
    }
    told.textContent = wanted ? `${left} of ${table.tBodies[0].rows.length} rows` : "";
  });
  label.append(" ", told);
  table.before(label);
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  sortable(table);
  filterable(table);
}

// Paper cannot be unfolded.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const each of opened) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of opened) each.open = false;
});
