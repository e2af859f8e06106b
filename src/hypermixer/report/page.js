"use strict";
// Tables sort by their heads: numbers as numbers, then texts, what is missing last in both directions.
function key(row, column) {
  const data = row.cells[column].dataset;
  return "number" in data ? Number(data.number) : "text" in data ? data.text : null;
}
const rank = (value) => (value === null ? 2 : typeof value === "string" ? 1 : 0);
function order(a, b, sign) {
  if (rank(a) === 2 || rank(b) === 2) return rank(a) - rank(b);
  if (rank(a) !== rank(b)) return sign * (rank(a) - rank(b));
  return sign * (rank(a) === 0 ? a - b : a.localeCompare(b, "en", { numeric: true, sensitivity: "base" }));
}
function sort(table, head) {
  const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => [key(row, head.cellIndex), row]);
  rows.sort((a, b) => order(a[0], b[0], sign));
  body.append(...rows.map((pair) => pair[1]));
}
for (const table of document.querySelectorAll("table")) {
  if (table.tBodies[0].rows.length < 2) continue;
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", "Sort by " + head.textContent);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    head.addEventListener("click", () => sort(table, head));
  }
}
