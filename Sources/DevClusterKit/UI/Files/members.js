// The table of members and what can be done to each.

import { $, allow, hold, isAllowed, keyed, later, make, order, release, setText, size, span } from "./tools.js";

const runs = (member) => ["healthy", "unhealthy", "paused"].includes(member.state);

const disks = [
  ["", "disk ok"], ["20", "disk slow, 20 ms"], ["100", "disk slow, 100 ms"],
  ["1000", "disk slow, 1 s"], ["full", "disk full"], ["fail", "disk failing"],
];

/** Members in the order of their columns, with how each is told from a member and a sample. */
const columns = [
  ["State", (member) => member.state + (member.exit ? ` (${member.exit})` : "")],
  ["Role", (member) => member.role],
  ["Term", (member) => member.term ?? "–"],
  ["Lag", (member, { highest }) =>
    member.appliedIndex == null ? "–" : Math.max(0, highest - member.appliedIndex)],
  ["Revision", (member) => member.revision ?? "–"],
  ["Database", (member) => size(member.databaseBytes)],
  ["Memory", (member, { sample }) => size(sample?.memoryBytes)],
  ["Uptime", (member, { sample }) => span(sample?.uptimeSeconds)],
];

function button(label, name, action) {
  const node = make("button", { type: "button", "aria-label": `${label} ${name}` }, label);
  node.addEventListener("click", () => {
    if (!isAllowed(node)) return;
    const command = action ?? node.dataset.command;
    order({ command, who: [name] }, `${command} ${name}`);
  });
  return node;
}

function diskChoice(name) {
  const choice = make("select", { "aria-label": `Disk of ${name}` });
  for (const [value, text] of disks) choice.append(make("option", { value }, text));
  // The keyboard passes by what is not meant.
  const send = later(500, () => {
    const { value } = choice;
    const body = { command: "disk", from: [name], delay: Number(value) * 1e6 || 0 };
    if (["full", "fail"].includes(value)) body.failure = value;
    release(choice, order(body, `${name}: ${choice.selectedOptions[0].textContent}`));
  });
  choice.addEventListener("change", () => {
    hold(choice);
    send();
  });
  return choice;
}

function create(member) {
  const { name } = member;
  const row = make("tr", {}, make("th", { scope: "row" }));
  row.firstChild.append(make("span", { className: "name" }, name), make("span", { className: "quiet address" }));
  for (const [title] of columns) row.append(make("td", { "data-title": title }));
  row.children[1].append(make("span", { className: "state" }));
  const actions = make("div", { className: "actions" });
  actions.append(
    button("Kill", name, "kill"), button("Pause", name), button("Stop", name),
    button("Restart", name, "restart"), diskChoice(name));
  row.append(make("td", {}, actions));
  return row;
}

/** A button that does one thing or its opposite. */
function turn(node, name, command) {
  const label = command[0].toUpperCase() + command.slice(1);
  node.dataset.command = command;
  setText(node, label);
  node.setAttribute("aria-label", `${label} ${name}`);
}

function update(row, member, status, around) {
  const { name } = member;
  const address = member.client.replace(/^https?:\/\//, "");
  setText(row.firstChild.lastChild, member.version ? `${address}, ${member.version}` : address);
  columns.forEach(([title, value], index) => {
    const cell = row.children[index + 1];
    if (title === "State") {
      cell.firstChild.dataset.state = member.state;
      setText(cell.firstChild, value(member, around));
    } else {
      setText(cell, value(member, around));
      if (index > 1) cell.className = "num";
    }
  });
  row.classList.toggle("leads", member.leader);
  const [kill, pause, stop, restart, disk] = row.lastChild.firstChild.children;
  const isRunning = runs(member);
  turn(pause, name, member.state === "paused" ? "resume" : "pause");
  turn(stop, name, isRunning ? "stop" : "start");
  for (const node of [kill, pause, restart]) allow(node, isRunning);
  if (!disk.dataset.changed) {
    let wanted = "";
    for (const fault of status.faults) {
      if (fault.kind === "disk" && fault.members.includes(name)) {
        wanted = fault.failure ?? String(fault.delay / 1e6);
      }
    }
    if (![...disk.options].some((option) => option.value === wanted)) {
      disk.append(make("option", { value: wanted }, `disk slow, ${wanted} ms`));
    }
    if (disk.value !== wanted) disk.value = wanted;
  }
}

export function showMembers(status, sample) {
  const highest = Math.max(0, ...status.members.map((member) => member.raftIndex ?? 0));
  keyed($("member-rows"), status.members, (member) => member.name, create, (row, member) =>
    update(row, member, status, { highest, sample: runs(member) ? sample.members[member.name] : null }));
}
