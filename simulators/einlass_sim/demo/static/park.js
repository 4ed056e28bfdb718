// The car park: lanes with their booms, what is parked, what displays say, and money and cars beside the books.

import { language, make, match, pieces, say, write } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const PIXELS_A_MM = 0.018;
const BOOM_X = { entry: 200, exit: 560 };
const CAR_Y = 170;
const CAR_HEIGHT = 24;
const SPACES_A_ROW = 6;
const SPACE = { x: 234, y: 14, across: 42, down: 66, width: 38, height: 62 };
const BOOM_LEFT = 0.12;
const COLOURS = 6;

const card = document.getElementById("park");
const at = pieces(card);
const places = new Map();

const euros = new Intl.NumberFormat(language, { style: "currency", currency: "EUR" });

function money(cents) {
  return euros.format(cents / 100);
}

function drawn(tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  return element;
}

function colour(name) {
  return Number(name.replace(/\D/g, "")) % COLOURS;
}

function spaceAt(number) {
  const x = SPACE.x + (number % SPACES_A_ROW) * SPACE.across;
  const y = SPACE.y + Math.floor(number / SPACES_A_ROW) * SPACE.down;
  return { x, y };
}

/** A car keeps its space while it is parked. */
function spaceOf(name, cap) {
  if (!places.has(name)) {
    const taken = new Set(places.values());
    places.set(name, [...Array(cap).keys()].find((space) => !taken.has(space)) ?? 0);
  }
  return places.get(name);
}

function showParked(names, cap) {
  for (const name of places.keys()) {
    if (!names.includes(name)) {
      places.delete(name);
    }
  }
  match(
    at.parked,
    names,
    () => drawn("rect", { width: 24, height: 46, rx: 7 }),
    (car, name) => {
      const { x, y } = spaceAt(spaceOf(name, cap));
      car.setAttribute("class", `car car-${colour(name)}`);
      car.setAttribute("x", x + 7);
      car.setAttribute("y", y + 8);
    },
  );
}

function showCars(park) {
  const cars = ["entry", "exit"].flatMap((lane) => park[lane].cars.map((car) => ({ ...car, lane })));
  match(
    at.cars,
    cars,
    () => drawn("rect", { y: CAR_Y, height: CAR_HEIGHT, rx: 7 }),
    (shape, car) => {
      shape.setAttribute("class", `car car-${colour(car.name)}`);
      shape.setAttribute("x", (BOOM_X[car.lane] + car.rear * PIXELS_A_MM).toFixed(1));
      shape.setAttribute("width", ((car.front - car.rear) * PIXELS_A_MM).toFixed(1));
    },
  );
}

function showLane(side, lane) {
  const up = 1 - (1 - BOOM_LEFT) * (lane.boom / 1000);
  at[`${side}-boom`].style.transform = `scaleY(${up.toFixed(3)})`;
  at[`${side}-lamp`].setAttribute("class", `lamp-${lane.lamp ?? "dark"}`);
}

function showDevice(name, device) {
  write(at[`${name}-lines`], device.lines.map((line) => line.trimEnd()).join("\n"));
  at[`${name}-state`].dataset.up = String(device.up);
  write(at[`${name}-state`], device.up ? "" : say("node_down"));
}

function verdict(place, same, difference) {
  place.dataset.same = String(same);
  write(place, same ? say("same") : difference);
}

function showBooks(park, zone) {
  const { coins, card: byCard, booked } = park.money;
  write(at.inside, park.inside);
  write(at["of-cap"], say("of_cap", { cap: park.cap }));
  write(at.present, zone ? say("park_counted", { n: zone.present }) : "");
  verdict(at["cars-verdict"], zone?.present === park.inside, "");
  write(at.money, money(coins + byCard));
  write(at["money-kinds"], say("park_kinds", { coins: money(coins), card: money(byCard) }));
  const told = booked ? booked.coins + booked.card : null;
  write(at.booked, told === null ? "" : say("park_booked", { sum: money(told) }));
  verdict(at["money-verdict"], told === coins + byCard, "");
}

export function showPark(park, controller) {
  card.hidden = !park;
  if (!park) {
    return;
  }
  match(
    at.spaces,
    [...Array(park.cap).keys()],
    () => drawn("rect", { class: "space", width: SPACE.width, height: SPACE.height, rx: 3 }),
    (space, number) => {
      const { x, y } = spaceAt(number);
      space.setAttribute("x", x);
      space.setAttribute("y", y);
    },
  );
  showParked(park.parked, park.cap);
  showCars(park);
  showLane("entry", park.entry);
  showLane("exit", park.exit);
  showDevice("entry", park.entry);
  showDevice("exit", park.exit);
  showDevice("sign", park.sign);
  showDevice("till", park.till);
  showBooks(park, controller.zones.find((zone) => zone.name === park.name));
  write(at.drawing, say("park_drawing", { inside: park.inside, cap: park.cap }));
  write(at.came, park.came);
  write(at.left, park.left);
  write(at.lost, park.lost);
  write(at.contract, park.contract);
  const [handed, used] = ["handed_out", "used"].map((kind) => park.shops.reduce((sum, shop) => sum + shop[kind], 0));
  write(at.used, say("park_used_of", { used, handed }));
  match(
    at.shops,
    park.shops,
    () => make("li"),
    (chip, shop) => write(chip, say("park_shop", { name: shop.name, used: shop.used, handed: shop.handed_out })),
  );
}
