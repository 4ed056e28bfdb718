// One card a lane: what its reader, lamp, display, bolts and barriers show, and what one can do there.

import { complain, doing, post, tell } from "./ask.js";
import { Gate } from "./gate.js";
import { hand } from "./hand.js";
import { has, pieces, say, shown, write } from "./words.js";

const template = document.getElementById("lane-template");
const list = document.getElementById("lanes");
const cards = new Map();

const FATES = {
  bodywentin: "fate_in",
  bodywentout: "fate_out",
  turnedback: "fate_back",
  gaveup: "fate_gave_up",
};

function fateInWords(fate, name) {
  const key = FATES[String(fate).replace(/[^a-z]/gi, "").toLowerCase()];
  return key ? say(key, { name }) : `${name}: ${fate}`;
}

/** Holds what is in the hand to a reader; says what the lamp said. */
export function holdTo(lane, side, button) {
  const code = hand();
  if (!code) {
    complain(say("in_hand_none"));
    document.getElementById("hand").focus();
    return;
  }
  const gate = cards.get(lane)?.gate;
  void doing(button, async () => {
    gate?.reading(side, true);
    tell(say("holding", { name: lane }));
    try {
      const { lamp, latency_ms: latency } = await post(`/api/lanes/${encodeURIComponent(lane)}/hold`, { side, ...code });
      const values = {
        name: lane,
        colour: say(`colour_${lamp}`),
        word: say(`lamp_${lamp}`),
        ms: latency === null || latency === undefined ? "" : Math.round(latency),
      };
      tell(lamp ? say(values.ms === "" ? "held" : "held_ms", values) : say("held_dark", values));
    } finally {
      gate?.reading(side, false);
    }
  });
}

class Card {
  constructor(name) {
    this.name = name;
    this.path = `/api/lanes/${encodeURIComponent(name)}`;
    this.node = name;
    this.pressed = false;
    this.root = template.content.firstElementChild.cloneNode(true);
    this.root.dataset.lane = name;
    this.at = pieces(this.root);
    this.gate = new Gate(this.at.gate);
    this.at.name.id = `lane-${name}`;
    this.root.setAttribute("aria-labelledby", this.at.name.id);
    write(this.at.name, say("lane", { name }));
    for (const button of this.root.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => this.act(button));
      if (button.dataset.do === "hold") {
        button.setAttribute("aria-label", say("hold_of", { name, side: say(button.dataset.side) }));
      }
      if (button.dataset.do === "emergency") {
        this.emergency = button;
      }
    }
    this.at.rearm.addEventListener("submit", (event) => {
      event.preventDefault();
      this.rearm();
    });
  }

  act(button) {
    const { do: what, side } = button.dataset;
    if (what === "hold") {
      holdTo(this.name, side, button);
    } else if (what === "emergency") {
      void doing(button, () => post(`${this.path}/emergency`, { pressed: !this.pressed }));
    } else if (what === "pull") {
      pull(this.node, button);
    } else {
      void doing(button, async () => {
        tell(say("going", { name: this.name }));
        const { fate } = await post(`${this.path}/go`, { side, behaviour: what });
        tell(fateInWords(fate, this.name));
      });
    }
  }

  rearm() {
    const { first, second } = this.at.rearm.elements;
    void doing(this.at.rearm.querySelector("button"), async () => {
      await post(`${this.path}/rearm`, { first: first.value, second: second.value });
      this.at.rearm.reset();
      tell(say("rearm_done", { name: this.name }));
    });
  }

  update(lane) {
    const { at } = this;
    this.node = lane.node;
    write(at.kind, has(lane.kind) ? say(lane.kind) : lane.kind);
    at.node.dataset.up = String(lane.node_up);
    write(at.node, say(lane.node_up ? "node_up" : "node_down"));

    const colour = lane.powered ? (lane.lamp ?? "dark") : "dark";
    at.lamp.dataset.colour = colour;
    write(at["lamp-word"], say(`lamp_${colour}`));
    write(at["lamp-colour"], colour === "dark" ? "" : say(`colour_${colour}`));
    at.display.classList.toggle("dark", !lane.powered);
    write(at.shown, lane.powered ? shown(lane.shown) : say("display_dark"));

    for (const side of ["entry", "exit"]) {
      this.signal(`bolt-${side}`, lane.bolts[side] ? "free" : "locked", say(lane.bolts[side] ? "bolt_free" : "bolt_locked"));
    }
    for (const barrier of ["a", "b"]) {
      const blocked = lane.barriers[barrier];
      this.signal(`barrier-${barrier}`, blocked ? "blocked" : "clear", say(blocked ? "barrier_blocked" : "barrier_clear"));
    }
    write(at.bodies, say("bodies", { n_in: lane.bodies_in, n_out: lane.bodies_out }));
    write(at.latency, this.latency(lane.latency_ms));

    if (lane.emergency && !this.pressed) {
      at["emergency-box"].open = true;
    }
    this.pressed = lane.emergency;
    this.emergency.setAttribute("aria-pressed", String(lane.emergency));
    write(this.emergency, say(lane.emergency ? "emergency_release" : "emergency_press"));
    at.alarm.hidden = !(lane.emergency || lane.shown === "emergency");
    this.root.classList.toggle("alarmed", !at.alarm.hidden);
    this.gate.update(lane);
  }

  signal(name, state, text) {
    this.at[name].dataset.state = state;
    write(this.at[name].querySelector("dd"), text);
  }

  latency(latency) {
    if (!latency) {
      return `${say("latency")} –`;
    }
    return `${say("latency")} p50 ${tenths(latency.p50)} · p99 ${tenths(latency.p99)} ms`;
  }
}

const decimals = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1 });

function tenths(ms) {
  return ms === null || ms === undefined ? "–" : decimals.format(ms);
}

/** kill -9 for one part. */
export function pull(part, button) {
  void doing(button, async () => {
    tell(say("pulled", { name: part }));
    await post(`/api/parts/${encodeURIComponent(part)}/pull`);
  });
}

export function showLanes(lanes) {
  document.getElementById("lanes-none").hidden = lanes.length > 0;
  const names = new Set(lanes.map((lane) => lane.name));
  for (const [name, card] of cards) {
    if (!names.has(name)) {
      card.root.remove();
      cards.delete(name);
    }
  }
  for (const lane of lanes) {
    if (!cards.has(lane.name)) {
      const card = new Card(lane.name);
      cards.set(lane.name, card);
      list.append(card.root);
    }
    cards.get(lane.name).update(lane);
  }
}
