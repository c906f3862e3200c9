// The matrix of links: who sends in rows, who is sent to in columns.

import { $, hold, keyed, later, make, order, release, setText, size } from "./tools.js";

/** What a slider's places stand for, in milliseconds. */
const delays = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
let latest;

const isBothWays = (event) => $("both-ways").checked || event.shiftKey;

function cut(from, to, isCut, bothWays) {
  const arrow = bothWays ? "<->" : "->";
  if (isCut) {
    order({ command: "heal", who: [`${from}${arrow}${to}`] }, `Heal ${from} ${arrow} ${to}`);
  } else {
    order(
      { command: "cut", from: [from], to: [to], oneWay: !bothWays, mode: $("cut-mode").value },
      `Cut ${from} ${arrow} ${to}`);
  }
}

function createCell({ from, to }) {
  if (from === to) return make("td", { className: "self" });
  const button = make("button", { type: "button", "aria-label": `Cut ${from} to ${to}` });
  button.append(make("span", { className: "word" }), make("span", { className: "rate" }));
  button.addEventListener("click", (event) =>
    cut(from, to, button.getAttribute("aria-pressed") === "true", isBothWays(event)));
  const slider = make("input", {
    type: "range", min: "0", max: String(delays.length - 1), step: "1", value: "0",
    "aria-label": `Delay ${from} to ${to}`,
  });
  const send = later(350, () => {
    const bothWays = $("both-ways").checked;
    const time = delays[slider.value];
    release(slider, order(
      { command: "slow", from: [from], to: [to], oneWay: !bothWays, delay: time * 1e6, jitter: 0 },
      `Delay ${from} ${bothWays ? "<->" : "->"} ${to} by ${time} ms`));
  });
  slider.addEventListener("input", () => {
    hold(slider);
    showDelay(slider, button, delays[slider.value]);
    send();
  });
  return make("td", {}, make("div", { className: "link" }, button, slider));
}

/** A delay at the slider, and in words unless the link is cut. */
function showDelay(slider, button, time) {
  slider.setAttribute("aria-valuetext", `${time} ms`);
  if (button.getAttribute("aria-pressed") === "true") return;
  const others = button.dataset.others ? [button.dataset.others] : [];
  setText(button.firstChild, [...(time ? [`${time} ms`] : []), ...others].join(", ") || "open");
  button.classList.toggle("faulty", Boolean(time || others.length));
}

function updateCell(cell, { from, to }) {
  if (from === to) return;
  const link = `${from}->${to}`;
  const [button, slider] = cell.firstChild.children;
  let mode = "";
  let time = 0;
  const others = [];
  for (const fault of latest.status.faults) {
    if (!fault.links.includes(link)) continue;
    if (fault.kind === "cut") mode = fault.mode;
    else if (fault.kind === "slow") time = fault.delay / 1e6;
    else others.push(fault.kind);
  }
  button.setAttribute("aria-pressed", String(mode !== ""));
  button.dataset.others = others.join(", ");
  if (mode) setText(button.firstChild, mode === "hold" ? "cut" : `cut, ${mode}`);
  const rate = latest.sample.links[link];
  setText(button.lastChild, rate == null ? "" : `${size(rate)}/s`);
  if (slider.dataset.changed) return;
  const place = delays.findIndex((known) => known >= time);
  slider.value = String(place < 0 ? delays.length - 1 : place);
  showDelay(slider, button, time);
}

export function showLinks(status, sample) {
  latest = { status, sample };
  const names = status.members.map((member) => member.name);
  document.querySelector("main").classList.toggle("many", names.length > 5);
  const rows = [null, ...names];
  keyed($("links"), rows.map((from) => ({ from })), ({ from }) => from ?? "top",
    () => make("tr"), (row, { from }) => {
      const cells = [null, ...names].map((to) => ({ from, to }));
      keyed(row, cells, ({ to }) => to ?? "side", (cell) => {
        if (cell.from && cell.to) return createCell(cell);
        if (!cell.from && !cell.to) return make("td", { className: "corner" }, "from ↓ to →");
        return make("th", { scope: cell.from ? "row" : "col" }, cell.from ?? cell.to);
      }, (node, cell) => { if (cell.from && cell.to) updateCell(node, cell); });
    });
}

$("isolate").addEventListener("click", () => order(
  { command: "cut", from: ["leader"], to: [], oneWay: false, mode: $("cut-mode").value },
  "Isolate the leader"));

$("split").addEventListener("click", () => {
  const voters = latest?.status.members.filter((member) => !member.learner) ?? [];
  // The leader stays with the majority, so that nothing has to be elected.
  const names = voters.sort((a, b) => a.leader - b.leader).map((member) => member.name);
  const count = Math.floor((names.length - 1) / 2);
  if (count === 0) return order({ command: "cut", from: ["minority"], to: [] }, "Split");
  return order(
    { command: "cut", from: names.slice(0, count), to: names.slice(count), oneWay: false, mode: $("cut-mode").value },
    `Split ${names.slice(0, count).join(", ")} off`);
});
