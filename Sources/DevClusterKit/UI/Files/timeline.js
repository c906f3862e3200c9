// One axis of time: faults, what members did, elections, puts a second and the slowest member's p99.

import { $, draw, make, milliseconds, setText } from "./tools.js";

const kept = 15 * 60 * 1000;
const eventsShown = 60;
let samples = [];
let events = [];
/** Faults with their beginnings and ends, by ID. */
const faults = new Map();
/** What each member was, from when on. */
const lives = new Map();
/** By how much the supervisor's clock is ahead of this one's. */
let ahead = 0;

const now = () => Date.now() + ahead;

export function addSample(sample) {
  ahead = sample.time - Date.now();
  samples.push(sample);
  samples = samples.filter((one) => one.time > sample.time - kept);
  render();
}

export function noteStatus(status) {
  const time = now();
  const known = new Set(status.faults.map((fault) => fault.id));
  for (const fault of status.faults) {
    if (faults.has(fault.id)) continue;
    const told = events.findLast((event) => event.kind === "fault" && event.text === fault.text);
    faults.set(fault.id, { begin: told ? Date.parse(told.time) : time, end: null, text: fault.text });
  }
  for (const [id, fault] of faults) {
    if (fault.end == null && !known.has(id)) fault.end = time;
    if (fault.end != null && fault.end < time - kept) faults.delete(id);
  }
  for (const member of status.members) {
    const life = lives.get(member.name) ?? [];
    const what = member.state === "healthy" && member.leader ? "leads" : member.state;
    if (life.at(-1)?.what !== what) life.push({ begin: time, what });
    while (life.length > 1 && life[1].begin < time - kept) life.shift();
    lives.set(member.name, life);
  }
  for (const name of [...lives.keys()]) {
    if (!status.members.some((member) => member.name === name)) lives.delete(name);
  }
  render();
}

/** What was before this page was opened, as far as the events tell. */
function readPast(list) {
  const open = new Map([...faults.values()].map((fault) => [fault.text, fault]));
  const past = new Map();
  const tell = (name, time, what) => past.set(name, [...(past.get(name) ?? []), { begin: time, what }]);
  let leader;
  for (const { time: text, kind, member, text: words } of list) {
    const time = Date.parse(text);
    if (kind === "fault" && open.has(words)) open.get(words).begin = time;
    else if (kind === "fault") faults.set(text, { begin: time, end: time, text: words });
    for (const fault of faults.values()) {
      if (kind === "heal" && words === healing(fault.text, words) && fault.end != null) fault.end = time;
    }
    if (kind === "leader") {
      if (leader !== member) tell(leader, time, "healthy");
      leader = member;
      tell(member, time, "leads");
    }
    const becomes = { spawn: "healthy", exit: "exited", stop: "stopped", kill: "stopped", pause: "paused", resume: "healthy" };
    if (member && becomes[kind]) tell(member, time, becomes[kind]);
    if (kind === "exit" && past.get(member)?.at(-2)?.what === "stopped") past.get(member).pop();
  }
  for (const [name, life] of lives) {
    const before = (past.get(name) ?? []).filter((part) => part.begin < life[0].begin);
    lives.set(name, [...before, ...life]);
  }
}

/** How the end of a fault is told. */
const healing = (fault, words) => {
  const [place, kind] = words.split(" healed of: ");
  return fault === `${place} ${kind}` ? words : "";
};

export function addEvents(list) {
  if (events.length === 0) readPast(list);
  const known = new Set(events.map((event) => event.time + event.text));
  const fresh = list.filter((event) => !known.has(event.time + event.text));
  events = [...events, ...fresh].slice(-500);
  const shown = $("events");
  for (const event of fresh) {
    const clock = new Date(event.time).toLocaleTimeString([], { hour12: false });
    shown.prepend(make("li", { "data-kind": event.kind }, make("time", {}, clock), ` ${event.text}`));
  }
  while (shown.children.length > eventsShown) shown.lastElementChild.remove();
  render();
}

// MARK: the drawing

const lane = 16;
const side = 58;
const putsHeight = 74;
const p99Height = 54;
let wanted = false;

function render() {
  if (wanted || document.hidden) return;
  wanted = true;
  requestAnimationFrame(() => {
    wanted = false;
    paint();
  });
}

/** Rows for faults so that none covers another. */
function packed(from, to) {
  const rows = [];
  const placed = [];
  for (const fault of [...faults.values()].sort((a, b) => a.begin - b.begin)) {
    const end = fault.end ?? to;
    if (end < from) continue;
    let row = rows.findIndex((last) => last < fault.begin);
    if (row < 0) row = rows.length;
    rows[row] = end;
    placed.push({ ...fault, end, row });
  }
  return { rows: Math.min(rows.length, 6), placed: placed.filter((fault) => fault.row < 6) };
}

function paint() {
  const box = $("chart");
  const width = Math.max(240, box.clientWidth);
  const seconds = Number($("window").value);
  const to = now();
  // As long as less is known, no more than half a minute of nothing.
  const first = Math.min(samples[0]?.time ?? to, events.length ? Date.parse(events[0].time) : to);
  const from = Math.max(to - seconds * 1000, Math.min(first, to - 30_000));
  const x = (time) => side + Math.max(0, (time - from) / (to - from)) * (width - side - 2);
  const svg = draw("svg", { width: "100%", role: "img" });
  let y = 14;
  const { rows, placed } = packed(from, to);
  svg.append(draw("text", { x: 0, y: y + 11, class: "title" }, "faults"));
  for (const fault of placed) {
    const top = y + fault.row * lane;
    const group = draw("g", { class: "fault" });
    const left = x(fault.begin);
    const length = Math.max(3, x(fault.end) - left);
    group.append(
      draw("title", {}, fault.text),
      draw("rect", { x: left, y: top + 1, width: length, height: lane - 3, rx: 3 }));
    if (length > 40) {
      const letters = Math.floor(length / 6.2);
      const words = fault.text.length > letters ? `${fault.text.slice(0, letters - 1)}…` : fault.text;
      group.append(draw("text", { x: left + 5, y: top + 11 }, words));
    }
    svg.append(group);
  }
  y += Math.max(1, rows) * lane + 6;
  for (const [name, life] of lives) {
    svg.append(draw("text", { x: 0, y: y + 10, class: "title" }, name));
    life.forEach((part, index) => {
      const end = life[index + 1]?.begin ?? to;
      if (end < from) return;
      const left = x(part.begin);
      const rect = draw("rect", {
        x: left, y: y + 2, width: Math.max(1, x(end) - left), height: lane - 5, class: `life ${part.what}`,
      });
      rect.append(draw("title", {}, `${name}: ${part.what}`));
      svg.append(rect);
    });
    y += lane;
  }
  y += 8;
  const shown = samples.filter((sample) => sample.time >= from - 2000);
  const last = shown.at(-1);
  const top = y;
  curve(svg, shown, "puts", x, y, putsHeight, "puts/s", last?.puts == null ? "–" : String(Math.round(last.puts)),
    (value) => String(Math.round(value)));
  y += putsHeight + 10;
  const what = last?.p99Of === "put" ? "p99 put" : "p99 sync";
  curve(svg, shown, "p99", x, y, p99Height, what, last?.p99 == null ? "–" : milliseconds(last.p99), milliseconds);
  y += p99Height;
  elections(svg, from, x, y, top);
  axis(svg, (to - from) / 1000, x, y, from, to);
  svg.setAttribute("height", String(y + 18));
  svg.setAttribute("aria-label", summary(last, placed, what));
  box.replaceChildren(svg);
}

function summary(last, placed, what) {
  const puts = last?.puts == null ? "no puts known" : `${Math.round(last.puts)} puts a second`;
  const p99 = last?.p99 == null ? "" : `, ${what} ${milliseconds(last.p99)}`;
  return `Timeline: ${puts}${p99}, ${placed.length} faults in view. The events below say the same in words.`;
}

/** A line, and the area below it, with its highest value at the left. */
function curve(svg, shown, name, x, y, height, title, value, unit) {
  const highest = Math.max(name === "puts" ? 10 : 0.001, ...shown.map((sample) => sample[name] ?? 0));
  const place = (amount) => y + height - (amount / highest) * (height - 12);
  svg.append(
    draw("line", { x1: side, x2: "100%", y1: y + height, y2: y + height, class: "grid" }),
    draw("text", { x: 0, y: y + 10, class: "title" }, title),
    draw("text", { x: 0, y: y + 26, class: "value" }, value),
    draw("text", { x: side + 2, y: y + 10, class: "scale" }, unit(highest)));
  let parts = [];
  const flush = () => {
    if (parts.length > 1) {
      const line = parts.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join(" L");
      const base = y + height;
      svg.append(
        draw("path", { d: `M${parts[0][0].toFixed(1)},${base} L${line} L${parts.at(-1)[0].toFixed(1)},${base}Z`, class: `area ${name}` }),
        draw("path", { d: `M${line}`, class: `line ${name}` }));
    } else if (parts.length === 1) {
      svg.append(draw("circle", { cx: parts[0][0], cy: parts[0][1], r: 1.5, class: `dot ${name}` }));
    }
    parts = [];
  };
  for (const sample of shown) {
    if (sample[name] == null) flush();
    else parts.push([x(sample.time), place(sample[name])]);
  }
  flush();
}

function elections(svg, from, x, bottom) {
  for (const event of events) {
    const time = Date.parse(event.time);
    if (time < from || !["leader", "no-leader"].includes(event.kind)) continue;
    const left = x(time);
    const line = draw("g", { class: `election ${event.kind}` });
    line.append(
      draw("title", {}, event.text),
      draw("line", { x1: left, x2: left, y1: 10, y2: bottom }),
      draw("text", { x: left, y: 9, "text-anchor": "middle" }, event.kind === "leader" ? event.member : ""));
    svg.append(line);
  }
}

function axis(svg, seconds, x, y, from, to) {
  const step = seconds <= 45 ? 10 : seconds <= 75 ? 15 : seconds <= 150 ? 30 : seconds <= 300 ? 60 : 180;
  for (let time = Math.ceil(from / 1000 / step) * step * 1000; time < to; time += step * 1000) {
    const left = x(time);
    if (left < side + 20) continue;
    svg.append(
      draw("line", { x1: left, x2: left, y1: 12, y2: y, class: "grid" }),
      draw("text", { x: left, y: y + 13, "text-anchor": "middle", class: "scale" },
        new Date(time).toLocaleTimeString([], { hour12: false })));
  }
}

$("window").addEventListener("change", render);
new ResizeObserver(render).observe($("chart"));
document.addEventListener("visibilitychange", render);
setText($("chart"), "");
