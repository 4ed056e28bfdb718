// Listens to the demonstration and hands every view to the parts of the page that draw it.

import { showCrowd, showLog, showParts } from "./crowd.js";
import { showLanes } from "./lane.js";
import { showPark } from "./park.js";
import { showPool } from "./pool.js";
import { showHolds } from "./ticket.js";
import { say, write } from "./words.js";
import { showCameras } from "./webcam.js";

// Longer than the server's pause between two views: silence means that the connection is gone, whatever the socket says.
const SILENCE_MAX_MS = 12_000;
const SAY_EVERY_MS = 10_000;
const LOOK_EVERY_MS = 1000;

const lost = document.getElementById("lost");
const said = document.getElementById("said");
const link = document.getElementById("controller-link");
let source = null;
let heardMs = Date.now();
let saidMs = 0;
let latest = null;
let drawing = false;

function draw() {
  drawing = false;
  const view = latest;
  showPool(view);
  showLanes(view.lanes);
  showPark(view.park, view.controller);
  showHolds(view.lanes);
  showCameras(view.lanes);
  showCrowd(view.crowd);
  showParts(view.parts);
  showLog(view.log);
  if (link.getAttribute("href") !== view.controller.url) {
    link.href = view.controller.url;
  }
}

function missing(key = "lost") {
  write(lost, say(key));
  lost.hidden = false;
  document.body.classList.add("stale");
}

function connect() {
  source?.close();
  source = new EventSource("/events");
  source.addEventListener("view", (event) => {
    heardMs = Date.now();
    lost.hidden = true;
    document.body.classList.remove("stale");
    latest = JSON.parse(event.data);
    if (!drawing) {
      drawing = true;
      requestAnimationFrame(draw);
    }
  });
  source.addEventListener("full", () => missing("watchers_full"));
  source.addEventListener("error", () => missing());
}

setInterval(() => {
  const now = Date.now();
  if (now - heardMs > SILENCE_MAX_MS) {
    heardMs = now;
    missing();
    connect();
  }
  // A busy pool must not talk without pause to those who listen.
  if (latest && now - saidMs > SAY_EVERY_MS) {
    saidMs = now;
    const { pool, crowd } = latest;
    write(said, say("said", { name: pool.name, inside: pool.inside, cap: pool.cap, waiting: crowd.waiting }));
  }
}, LOOK_EVERY_MS);

addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", (event) => event.persisted && connect());

connect();
