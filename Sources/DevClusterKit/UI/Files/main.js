// Puts the page together: one stream of events tells every part what it shows.

import { $, keyed, make, notice, order, setText } from "./tools.js";
import { showMembers } from "./members.js";
import { showLinks } from "./links.js";
import { addEvents, addSample, noteStatus } from "./timeline.js";
import { beginKeys, keysChanged } from "./keys.js";
import { addLines, beginLogs, logMembers } from "./logs.js";
import { showScenario } from "./scenario.js";

// The token is in a cookie now: it need not stand in the history of the browser.
history.replaceState(null, "", location.pathname);

let sample = { members: {}, links: {} };
let status;
let stream;

/** One sentence that says whether the cluster does its work. */
function sentence(now) {
  const { voters, healthy, needed, held } = now.quorum;
  const verb = healthy === 1 ? "is" : "are";
  const count = `${healthy} of ${voters} ${voters === 1 ? "voter" : "voters"} ${verb} healthy`;
  if (now.phase === "starting") return ["wait", `Starting: ${count}`];
  if (now.phase === "stopping") return ["wait", "The cluster is ending"];
  if (!held) return ["bad", `No quorum: ${count}, ${needed} are needed; nothing can be written`];
  if (!now.leader) return ["poor", `${count}, and no member leads at the moment`];
  const tail = `${now.leader} leads in term ${now.term}; writes work`;
  const spare = healthy === needed ? "no other may fail" : `${healthy - needed} more may fail`;
  if (healthy < voters) return ["poor", `${count}; ${tail}, and ${spare}`];
  return ["good", `${count}; ${tail}`];
}

function showHead(now) {
  const [state, text] = sentence(now);
  $("head").dataset.state = state;
  setText($("quorum"), text);
  document.title = `${state === "good" ? "" : "⚠ "}devcluster: ${now.quorum.healthy} of ${now.quorum.voters}`;
  $("faults-bar").hidden = now.faults.length === 0;
  keyed($("faults"), now.faults, (fault) => String(fault.id), () => make("li"), (node, fault) => {
    const left = fault.endsInMilliseconds;
    setText(node, left == null ? fault.text : `${fault.text}, ${Math.ceil(left / 1000)} s left`);
  });
}

function show() {
  if (!status) return;
  showHead(status);
  showMembers(status, sample);
  showLinks(status, sample);
  logMembers(status.members.map((member) => member.name));
}

const handlers = {
  hello(data) {
    setText($("place"), data.directory);
    setText($("export"), data.export);
  },
  status(data) {
    status = data;
    noteStatus(data);
    show();
  },
  sample(data) {
    sample = data;
    addSample(data);
    show();
  },
  scenario: showScenario,
  events: addEvents,
  logs: addLines,
  keys: keysChanged,
};

const wishes = new URLSearchParams();

/** Opens the stream anew with what the parts want to hear of. */
function connect(changes) {
  for (const [name, value] of Object.entries(changes)) wishes.set(name, value);
  if (!wishes.has("level") || !wishes.has("watch")) return;
  stream?.close();
  const opened = new EventSource(`/api/v1/stream?${wishes}`);
  stream = opened;
  for (const [name, handle] of Object.entries(handlers)) {
    opened.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  }
  opened.onopen = () => setLive("live", "live");
  opened.onerror = () => {
    if (opened.readyState === EventSource.CLOSED) {
      setLive("gone", "closed");
      setText($("quorum"), "This page is not let in any more: run devcluster open");
    } else {
      setLive("gone", "connecting again");
      setText($("quorum"), "The supervisor does not answer; this page tries again");
    }
    $("head").dataset.state = "wait";
  };
}

function setLive(state, text) {
  $("live").dataset.state = state;
  setText($("live"), text);
}

$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("export").textContent);
    notice("Copied");
  } catch {
    getSelection().selectAllChildren($("export"));
    notice("Selected; copy it with the keyboard");
  }
});
$("heal").addEventListener("click", () => order({ command: "heal", who: [] }, "Heal all"));

beginLogs(connect);
beginKeys(connect);
