// What all parts of the page use. Text from members, keys and logs becomes text nodes, never HTML.

export const $ = (id) => document.getElementById(id);

/** An element with properties, attributes (names with a dash, role, scope) and children. */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const svgSpace = "http://www.w3.org/2000/svg";

/** An element of a drawing. */
export function draw(tag, attributes = {}, text = "") {
  const node = document.createElementNS(svgSpace, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}

/** Sets a text only when it is another one: what has the focus or is read aloud stays in peace. */
export function setText(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

/** Makes the children of a node those of a list, keeping the elements of items that stay. */
export function keyed(parent, items, key, create, update) {
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let node = old.get(name);
    if (node) {
      old.delete(name);
    } else {
      node = create(item);
      node.dataset.key = name;
    }
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
    update(node, item);
  }
  for (const node of old.values()) node.remove();
}

/** A button whose state shows without taking the focus away, as `disabled` would. */
export function allow(button, isAllowed) {
  button.setAttribute("aria-disabled", String(!isAllowed));
}

export const isAllowed = (button) => button.getAttribute("aria-disabled") !== "true";

let noticeTimer;

/** Tells what became of an order. */
export function notice(text, isError = false) {
  const node = $("notice");
  node.hidden = false;
  node.classList.toggle("bad", isError);
  setText(node, text);
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { node.hidden = true; }, isError ? 12000 : 4000);
}

/** Sends JSON; throws an error with the supervisor's reason. */
export async function post(path, body) {
  const response = await fetch(path, { method: "POST", body: JSON.stringify(body) });
  const answer = await response.json().catch(() => ({ error: response.statusText }));
  if (answer.error) throw new Error(answer.error);
  return answer;
}

/** An order as the command line gives it; what becomes of it is told. */
export async function order(body, what) {
  notice(`${what} …`);
  try {
    const answer = await post("/api/v1/orders", body);
    notice(answer.note ? `${what}: ${answer.note}` : `${what}: done`, Boolean(answer.note));
  } catch (error) {
    notice(`${what}: ${error.message}`, true);
  }
}

let lastChange = 0;

/** A control that somebody changes stays as it is until the cluster has become so. */
export function hold(node) {
  lastChange += 1;
  node.dataset.changed = String(lastChange);
}

/** Lets a control show the cluster's state again, a moment after an order was done. */
export async function release(node, done) {
  const mine = node.dataset.changed;
  await done;
  setTimeout(() => {
    if (node.dataset.changed === mine) node.dataset.changed = "";
  }, 500);
}

/** Calls a function once nothing has called it for a while. */
export function later(milliseconds, body) {
  let timer;
  return (...words) => {
    clearTimeout(timer);
    timer = setTimeout(() => body(...words), milliseconds);
  };
}

export function size(bytes) {
  if (bytes == null) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${unit === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}

export function span(seconds) {
  if (seconds == null) return "–";
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export function milliseconds(seconds) {
  const value = seconds * 1000;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

/** The bytes that base64 stands for, one character each: they compare as etcd orders keys. */
export const raw = (base64) => atob(base64.slice(0, base64.length - (base64.length % 4)));

export function encode(text) {
  let bytes = "";
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return btoa(bytes);
}

/** Bytes for people: as UTF-8, or with what is none written out. */
export function readable(bytes) {
  const list = Uint8Array.from(bytes, (character) => character.charCodeAt(0));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(list);
  } catch {
    return bytes.replace(/[^\x20-\x7e]/g, (character) =>
      `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
  }
}
