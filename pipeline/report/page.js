"use strict";
// A phone shows headings, and what is opened by hand or by a link. A printer gets all that is open on a wide screen.
const blocks = [...document.querySelectorAll("details.block")];
const narrow = window.matchMedia("(max-width: 760px)");
const wide = new Map(blocks.map((block) => [block, block.open]));
const first = new Set([...document.querySelectorAll("section")].map((part) => part.querySelector(".group-block")));
if (narrow.matches) for (const block of blocks) block.open &&= first.has(block);
const reveal = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const block = target && target.closest("details.block");
  if (block && !block.open) {
    block.open = true;
    target.scrollIntoView();
  }
};
window.addEventListener("hashchange", reveal);
reveal();
let before = [];
window.addEventListener("beforeprint", () => {
  before = blocks.filter((block) => !block.open && wide.get(block));
  for (const block of before) block.open = true;
});
window.addEventListener("afterprint", () => { for (const block of before) block.open = false; });

// The slider steps all frames of its group to the moment at the same share of training.
for (const slider of document.querySelectorAll(".moment")) {
  const frames = slider.closest(".block").querySelectorAll(".frame");
  const output = slider.parentElement.querySelector("output");
  const show = () => {
    const share = slider.max > 0 ? slider.value / slider.max : 1;
    let text = "";
    for (const frame of frames) {
      const kimg = JSON.parse(frame.dataset.kimg);
      const moment = Math.round(share * (kimg.length - 1));
      frame.style.setProperty("--moment", moment);
      text = `${Number(kimg[moment].toPrecision(5))} kimg`;
      frame.parentElement.querySelector(".at").textContent = `, ${text}`;
    }
    output.textContent = text;
    slider.setAttribute("aria-valuetext", text);
  };
  slider.addEventListener("input", show);
  show();
}

const tableOf = (control) => document.getElementById(control.dataset.table);

for (const fold of document.querySelectorAll(".fold")) {
  const show = () => tableOf(fold).classList.toggle("folded", !fold.checked);
  fold.addEventListener("change", show);
  show();
}

for (const filter of document.querySelectorAll(".filter")) {
  const rows = [...tableOf(filter).tBodies[0].rows];
  const count = filter.closest(".control").querySelector(".count");
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    count.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
  });
}

// Numbers before texts, numbers by size; what is not there stays last either way.
const order = (table, column, down) => {
  const body = table.tBodies[0];
  table.original ??= [...body.rows];
  const value = (row) => row.cells[column].dataset.key;
  const sorted = column === null ? table.original : [...table.original].sort((first, second) => {
    const [a, b] = [value(first), value(second)];
    const [x, y] = [Number(a), Number(b)].map((number, index) => ([a, b][index] === "" ? NaN : number));
    if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;
    return (isNaN(x) ? a.localeCompare(b) : x - y) * (down ? -1 : 1);
  });
  body.append(...sorted);
  [...table.tHead.rows[0].cells].forEach((cell, index) => {
    if (index === column) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  });
};

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const cell = button.parentElement;
    order(cell.closest("table"), cell.cellIndex, cell.getAttribute("aria-sort") === "ascending");
  });
}

for (const choice of document.querySelectorAll(".order")) {
  choice.addEventListener("change", () => order(tableOf(choice), choice.value === "" ? null : Number(choice.value), false));
}
