// Lines that the members print, as they print them.

import { $, keyed, later, make, setText } from "./tools.js";

const linesMax = 500;
let connect;
let isHeld = false;
let held = [];

function wishes() {
  return { who: $("log-who").value, level: $("log-level").value, text: $("log-text").value };
}

const change = later(250, () => {
  $("log-lines").replaceChildren();
  held = [];
  connect(wishes());
});

export function beginLogs(connectWith) {
  connect = connectWith;
  connect(wishes());
}

export function logMembers(names) {
  const options = [{ name: "", text: "all" }, ...names.map((name) => ({ name, text: name }))];
  keyed($("log-who"), options, ({ name }) => name || "all", ({ name }) => make("option", { value: name }),
    (node, { text }) => setText(node, text));
}

export function addLines({ lines, leftOut }) {
  if (leftOut) lines.unshift({ member: "", level: "warn", text: `${leftOut} lines were left out here` });
  if (isHeld) {
    held = [...held, ...lines].slice(-linesMax);
    setText($("log-pause"), `Go on (${held.length})`);
    return;
  }
  const list = $("log-lines");
  const isAtEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 20;
  list.append(...lines.map(({ member, level, text }) => make("li", { "data-level": level },
    make("span", { className: "name" }, member), ` ${text}`)));
  while (list.children.length > linesMax) list.firstElementChild.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

for (const id of ["log-who", "log-level"]) $(id).addEventListener("change", change);
$("log-text").addEventListener("input", change);
$("logs-form").addEventListener("submit", (event) => event.preventDefault());
$("log-pause").addEventListener("click", () => {
  isHeld = !isHeld;
  $("log-pause").setAttribute("aria-pressed", String(isHeld));
  setText($("log-pause"), isHeld ? "Go on" : "Hold");
  if (!isHeld) {
    const lines = held;
    held = [];
    addLines({ lines, leftOut: 0 });
  }
});
