// One turnstile seen from above: the arm turns as it turns in the simulation, people walk where their bodies are.

import { pieces, say, write } from "./words.js";

const LEFT_X = 100;
const MM_A_PIXEL = 6;
const HALF_MM = 600;
const HALF_TURN = 500;
const TURN_DEGREES = 120;
const WALK_Y = 96;
const QUEUE_X = { entry: 82, exit: 318 };
const STEP_X = { entry: -25, exit: 25 };
const FAR_X = { entry: -24, exit: 424 };
const QUEUE_SHOWN = 3;
const LEAVE_MS = 600;
const COLOURS = 5;
const SVG = "http://www.w3.org/2000/svg";

function colourOf(name) {
  return [...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 9973, 7) % COLOURS;
}

function drawPerson(name) {
  const person = document.createElementNS(SVG, "g");
  person.setAttribute("class", `person p${colourOf(name)}`);
  const shoulders = document.createElementNS(SVG, "ellipse");
  shoulders.setAttribute("rx", "10");
  shoulders.setAttribute("ry", "18");
  const head = document.createElementNS(SVG, "circle");
  head.setAttribute("r", "8");
  person.append(shoulders, head);
  return person;
}

function place(person, x) {
  person.style.transform = `translate(${x.toFixed(1)}px, ${WALK_Y}px)`;
}

export class Gate {
  constructor(svg) {
    this.svg = svg;
    this.at = pieces(svg);
    this.people = new Map();
    this.turns = 0;
    this.arm = 0;
    this.bodies = null;
  }

  update(lane) {
    this.turn(lane);
    this.walk(lane);
    for (const side of ["entry", "exit"]) {
      this.at[`pin-${side}`].classList.toggle("free", lane.bolts[side]);
      this.at[`way-${side}`].classList.toggle("free", lane.bolts[side]);
      const more = lane.queues[side].length - QUEUE_SHOWN;
      write(this.at[`more-${side}`], more > 0 ? `+${more}` : "");
    }
    for (const barrier of ["a", "b"]) {
      this.at[`beam-${barrier}`].classList.toggle("blocked", lane.barriers[barrier]);
    }
    this.svg.dataset.colour = lane.powered ? (lane.lamp ?? "dark") : "dark";
    this.svg.setAttribute("aria-label", this.words(lane));
  }

  words(lane) {
    return say("drawing", {
      name: lane.name,
      arm: lane.arm_per_mille,
      n_in: lane.queues.entry.length,
      n_out: lane.queues.exit.length,
    });
  }

  // The view has the arm within one turn; three arms look alike, so a finished turn is one more of a third.
  turn(lane) {
    const now = lane.arm_per_mille;
    const bodies = lane.bodies_in - lane.bodies_out;
    const fell = Math.abs(now) < Math.abs(this.arm) || Math.sign(now) !== Math.sign(this.arm);
    if (Math.abs(this.arm) > HALF_TURN && fell) {
      this.turns += Math.sign(this.arm);
    } else if (this.bodies !== null && bodies !== this.bodies && this.arm === 0 && now === 0) {
      // Somebody was quicker than two looks.
      this.turns += Math.sign(bodies - this.bodies);
    }
    this.bodies = bodies;
    this.arm = now;
    const degrees = this.turns * TURN_DEGREES + (now * TURN_DEGREES) / 1000;
    this.at.rotor.style.transform = `rotate(${degrees.toFixed(1)}deg)`;
  }

  walk(lane) {
    const wanted = new Map();
    for (const side of ["entry", "exit"]) {
      lane.queues[side].slice(0, QUEUE_SHOWN).forEach((name, index) => {
        wanted.set(name, { x: QUEUE_X[side] + index * STEP_X[side], from: FAR_X[side] });
      });
    }
    for (const [name, mm] of Object.entries(lane.passage_mm)) {
      wanted.set(name, { x: LEFT_X + mm / MM_A_PIXEL, from: mm < HALF_MM ? QUEUE_X.entry : QUEUE_X.exit });
    }
    for (const [name, { x, from }] of wanted) {
      let person = this.people.get(name);
      if (!person) {
        person = drawPerson(name);
        place(person, from);
        this.at.people.append(person);
        // The way from there to here is a transition only if the browser has seen "there".
        person.getBoundingClientRect();
        this.people.set(name, person);
      }
      person.dataset.x = String(x);
      place(person, x);
    }
    for (const [name, person] of this.people) {
      if (!wanted.has(name)) {
        this.people.delete(name);
        person.classList.add("leaving");
        place(person, Number(person.dataset.x) < LEFT_X + HALF_MM / MM_A_PIXEL ? FAR_X.entry : FAR_X.exit);
        setTimeout(() => person.remove(), LEAVE_MS);
      }
    }
  }

  /** The reader on this side is reading. */
  reading(side, on) {
    this.at[`reader-${side}`].classList.toggle("reading", on);
  }
}
