// A scenario on a cluster of its own, and its verdict.

import { $, keyed, make, notice, post, setText } from "./tools.js";

async function send(body) {
  try {
    await post("/api/v1/scenario", body);
  } catch (error) {
    notice(error.message, true);
  }
}

/** The line that judges, as the command line prints it. */
function verdict(state) {
  if (state.running || state.status == null) return "";
  return state.lines.find((line) => /^(ok|VIOLATED|UNDECIDED): /.test(line)) ??
    state.lines.at(-1) ?? "";
}

export function showScenario(state) {
  keyed($("scenario-file"), state.files, (name) => name, (name) => make("option", { value: name }, name), () => {});
  $("scenario-run").hidden = state.running || state.files.length === 0;
  $("scenario-stop").hidden = !state.running;
  setText($("scenario-note"), state.files.length === 0
    ? `There are none in ${state.folder}`
    : state.running ? `${state.file} runs on a cluster of its own` : "It gets a cluster of its own");
  const lines = $("scenario-lines");
  lines.hidden = state.lines.length === 0;
  setText(lines, state.lines.join("\n"));
  lines.scrollTop = lines.scrollHeight;
  const text = verdict(state);
  const node = $("verdict");
  node.hidden = !text;
  node.dataset.state = state.status === 0 ? "good" : "bad";
  if (node.dataset.text !== text) {
    node.dataset.text = text;
    node.replaceChildren(text);
    if (state.hasPage) {
      node.append(" ", make("a", { href: "/history.html", target: "_blank", rel: "noopener" }, "What happened, as a picture"));
    }
  }
}

$("scenario-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const body = { run: $("scenario-file").value };
  const seed = $("scenario-seed").value;
  if (seed) body.seed = Number(seed);
  send(body);
});
$("scenario-stop").addEventListener("click", () => send({ stop: true }));
