// How many people come, which parts run, and the last events in words.

import { doing, post } from "./ask.js";
import { pull } from "./lane.js";
import { language, make, match, pieces, say, write } from "./words.js";

const SETTLE_MS = 300;

const crowd = pieces(document.getElementById("crowd"));
const slider = document.getElementById("arrivals");
const parts = pieces(document.getElementById("parts"));
const log = pieces(document.getElementById("log"));
let running = false;
let setting = 0;
let newest = "";

function set(wanted, button) {
  return doing(button, () => post("/api/crowd", { running: wanted, arrivals_a_minute: Number(slider.value) }));
}

crowd.switch.addEventListener("click", () => void set(!running, crowd.switch));

slider.addEventListener("input", () => {
  write(crowd["arrivals-text"], slider.value);
  clearTimeout(setting);
  setting = setTimeout(async () => {
    await set(running);
    setting = 0;
  }, SETTLE_MS);
});

export function showCrowd(view) {
  running = view.running;
  crowd.switch.setAttribute("aria-pressed", String(running));
  write(crowd.switch, say(running ? "crowd_stop" : "crowd_start"));
  if (!setting) {
    slider.value = String(view.arrivals_a_minute);
    write(crowd["arrivals-text"], Math.round(view.arrivals_a_minute));
  }
  write(crowd.figures, `${view.came} ${say("came")} · ${view.went_home} ${say("went_home")}`);
}

export function showParts(view) {
  match(
    parts.list,
    view,
    () => {
      const row = make("li");
      const button = make("button", say("pull"), { type: "button" });
      button.addEventListener("click", () => pull(row.dataset.name, button));
      const state = make("p");
      state.append(make("span", "", { className: "state" }), " ", make("span", "", { className: "quiet" }));
      row.append(make("b"), state, button);
      return row;
    },
    (row, part) => {
      row.dataset.name = part.name;
      write(row.children[0], part.name);
      const [state, starts] = row.children[1].children;
      state.dataset.up = String(part.up);
      write(state, say(part.up ? "part_up" : "part_down"));
      write(starts, say("starts", { n: part.starts }));
      row.children[2].setAttribute("aria-label", say("pull_of", { name: part.name }));
    },
  );
}

export function showLog(entries) {
  const last = entries.at(-1);
  const mark = last ? `${entries.length} ${last.at} ${last.text_en}` : "";
  log.none.hidden = entries.length > 0;
  log.list.hidden = entries.length === 0;
  if (mark === newest) {
    return;
  }
  newest = mark;
  match(
    log.list,
    [...entries].reverse(),
    () => {
      const row = make("li");
      row.append(make("time"), make("span"));
      return row;
    },
    (row, entry) => {
      write(row.children[0], clock(entry.at));
      write(row.children[1], language === "de" ? entry.text_de : entry.text_en);
    },
  );
}

/** A time of day as it is, or Unix seconds as one. */
function clock(at) {
  return typeof at === "number" ? new Date(at * 1000).toLocaleTimeString(language, { hour12: false }) : at;
}
