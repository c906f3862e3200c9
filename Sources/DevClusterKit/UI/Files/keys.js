// The key browser: a page of keys, and a watch that keeps it as the cluster has it.

import { $, encode, later, make, notice, post, raw, readable, setText, size } from "./tools.js";

const rowsMax = 500;
/** Rows by the bytes of their keys. */
const rows = new Map();
let connect;
let hasMore = false;
let count = 0;
let asked = 0;

async function read(after) {
  const prefix = $("prefix").value;
  const query = new URLSearchParams({ prefix });
  if (after != null) query.set("after", after);
  asked += 1;
  const mine = asked;
  let page;
  try {
    // Keys may be any bytes: what follows is named by them, percent for percent.
    const tail = after == null ? "" : `&after=${percent(after)}`;
    const response = await fetch(`/api/v1/keys?prefix=${encodeURIComponent(prefix)}${tail}`);
    page = await response.json();
  } catch (error) {
    page = { error: error.message };
  }
  if (mine !== asked) return;
  if (page.error) {
    note(page.error);
    if (after == null) connect({ watch: prefix, from: "0" });
    return;
  }
  note(page.keysOnly ? "Values are too large to be shown together" : "");
  if (after == null) {
    rows.clear();
    $("key-rows").replaceChildren();
    count = Number(page.count);
  }
  hasMore = page.more;
  for (const key of page.keys) place(key, false);
  showCount();
  if (after == null) connect({ watch: prefix, from: String(Number(page.revision) + 1) });
}

const percent = (bytes) =>
  [...bytes].map((character) => `%${character.charCodeAt(0).toString(16).padStart(2, "0")}`).join("");

function note(text) {
  $("keys-note").hidden = !text;
  setText($("keys-note"), text);
}

function showCount() {
  setText($("keys-count"), count === rows.size ? `${count} keys` : `${rows.size} of ${count} keys`);
  $("more").hidden = !hasMore || rows.size >= rowsMax;
}

function create(key, name) {
  const remove = make("button", { type: "button", "aria-label": `Delete ${readable(name)}` }, "Delete");
  remove.addEventListener("click", () => change({ delete: { key: key.key } }, `Delete ${readable(name)}`));
  const row = make("tr", {}, make("th", { scope: "row" }, short(name)), make("td", { className: "value" }),
    make("td", { className: "num" }), make("td", {}, remove));
  return row;
}

const short = (bytes) => {
  const text = readable(bytes);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
};

/** Shows a key where it belongs. */
function place(key, isNew) {
  const name = raw(key.key);
  let row = rows.get(name);
  if (row && Number(row.dataset.revision) >= Number(key.modRevision)) return;
  if (!row) {
    row = create(key, name);
    const next = [...rows.keys()].filter((other) => other > name).sort()[0];
    $("key-rows").insertBefore(row, next == null ? null : rows.get(next));
    rows.set(name, row);
  }
  row.dataset.revision = key.modRevision;
  const value = raw(key.value);
  const cell = row.children[1];
  setText(cell, readable(value));
  if (key.valueBytes > value.length) {
    cell.append(make("span", { className: "quiet" }, ` … ${size(key.valueBytes)} in all`));
  }
  setText(row.children[2], key.modRevision);
  row.title = `version ${key.version}${key.lease ? `, lease ${BigInt(key.lease).toString(16)}` : ""}`;
  row.classList.remove("changed");
  if (isNew) {
    // Once more from its beginning, if it is running.
    void row.offsetWidth;
    row.classList.add("changed");
  }
}

const readAgain = later(200, () => read());

export function keysChanged({ changes, lost, note: text }) {
  if (text != null) note(text && `The watch does not work at the moment: ${text}`);
  if (lost) return readAgain();
  for (const change of changes) {
    const name = raw(change.key);
    const row = rows.get(name);
    if (change.deleted) {
      if (row) {
        row.remove();
        rows.delete(name);
      }
      count = Math.max(rows.size, count - 1);
    } else if (row || isInView(name)) {
      if (!row) count += 1;
      place(change, true);
    } else if (Number(change.version) === 1) {
      count += 1;
    }
  }
  showCount();
}

/** Whether a new key belongs among those that are shown. */
function isInView(name) {
  if (rows.size >= rowsMax) return false;
  return !hasMore || [...rows.keys()].some((other) => other > name);
}

async function change(body, what) {
  try {
    await post("/api/v1/keys", body);
    notice(`${what}: done`);
  } catch (error) {
    notice(`${what}: ${error.message}`, true);
  }
}

export function beginKeys(connectWith) {
  connect = connectWith;
  read();
}

$("prefix").addEventListener("input", readAgain);
$("keys-form").addEventListener("submit", (event) => {
  event.preventDefault();
  read();
});
$("more").addEventListener("click", () => read([...rows.keys()].sort().at(-1)));
$("put-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = $("put-key").value;
  await change({ put: { key: encode(key), value: encode($("put-value").value) } }, `Put ${key}`);
});
