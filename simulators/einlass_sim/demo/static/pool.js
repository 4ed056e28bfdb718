// The basin that fills, the truth, and the controller's count beside it.

import { make, match, pieces, say, shown, write } from "./words.js";

const EMPTY_Y = 176;
const CAP_Y = 40;
const LEVEL_MAX = 1.12;
const SWIMMERS_MAX = 120;
const LEFT_X = 26;
const WIDTH = 250;
// Roberts’ R2 sequence: spreads any number of points evenly in two dimensions.
const STEP_ACROSS = 0.7548776662;
const STEP_DOWN = 0.5698402910;
const SVG = "http://www.w3.org/2000/svg";

const card = document.getElementById("pool");
const at = pieces(card);

function swimmers(count, surface) {
  const wanted = Math.min(count, SWIMMERS_MAX);
  while (at.swimmers.children.length < wanted) {
    at.swimmers.append(document.createElementNS(SVG, "circle"));
    at.swimmers.lastChild.setAttribute("r", "4");
  }
  while (at.swimmers.children.length > wanted) {
    at.swimmers.lastChild.remove();
  }
  [...at.swimmers.children].forEach((swimmer, index) => {
    const x = LEFT_X + WIDTH * ((index * STEP_ACROSS + 0.1) % 1);
    const depth = (index * STEP_DOWN + 0.3) % 1;
    const y = surface + 9 + depth * Math.max(0, EMPTY_Y - 12 - surface);
    swimmer.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
  });
}

function headline(inside, cap) {
  const free = cap - inside;
  if (free < 0) {
    return ["over", say("pool_over", { over: -free })];
  }
  if (free === 0) {
    return ["full", say("pool_full")];
  }
  return ["open", free === 1 ? say("pool_free_one") : say("pool_free", { free })];
}

function zoneChips(zone) {
  return zone ? ["reserved", "leased", "free"].map((kind) => ({ kind, n: zone[kind] })) : [];
}

/** The zone that is this pool: the one of its name, else the first. */
function zoneOf(pool, zones) {
  return zones.find((zone) => zone.name === pool.name) ?? zones[0];
}

export function showPool(view) {
  const { pool, controller, crowd, refused } = view;
  const share = Math.min(LEVEL_MAX, pool.cap > 0 ? pool.inside / pool.cap : 0);
  const surface = EMPTY_Y - share * (EMPTY_Y - CAP_Y);
  at.water.style.transform = `translateY(${surface.toFixed(1)}px)`;
  swimmers(pool.inside, surface);

  const [state, words] = headline(pool.inside, pool.cap);
  card.dataset.state = state;
  write(document.getElementById("pool-name"), pool.name);
  write(at.headline, words);
  write(at.inside, pool.inside);
  write(at["of-cap"], say("of_cap", { cap: pool.cap }));
  write(at["cap-text"], `${say("cap")} ${pool.cap}`);

  const zone = zoneOf(pool, controller.zones);
  const difference = zone ? zone.present - pool.inside : 0;
  write(at.present, zone ? zone.present : "–");
  at.verdict.dataset.same = String(difference === 0);
  write(at.verdict, zone ? (difference === 0 ? say("same") : say("differs", { n: signed(difference) })) : "");
  write(at["counted-what"], say(controller.up ? "counted_what" : "counted_down"));
  at["counted-what"].classList.toggle("bad", !controller.up);
  match(
    at.zone,
    zoneChips(zone),
    () => make("li"),
    (chip, row) => {
      chip.className = row.kind;
      write(chip, `${row.n} ${say(row.kind)}`);
    },
  );

  const reasons = Object.entries(refused).sort((a, b) => b[1] - a[1]);
  write(at.admitted, view.admitted);
  write(at.refused, reasons.reduce((sum, [, n]) => sum + n, 0));
  write(at.waiting, crowd.waiting);
  write(at["inside-max"], pool.inside_max);
  at["reasons-box"].hidden = reasons.length === 0;
  match(
    at.reasons,
    reasons,
    () => {
      const row = make("li");
      row.append(make("span"), make("b"));
      return row;
    },
    (row, [code, n]) => {
      write(row.children[0], shown(code));
      row.children[0].title = code;
      write(row.children[1], n);
    },
  );
}

function signed(n) {
  return n > 0 ? `+${n}` : `−${-n}`;
}
