// Keeps the board up to date. Without this file the page shows the same figures and reloads itself.
"use strict";

const board = document.getElementById("board");
const lost = document.getElementById("lost");
const said = document.getElementById("said");

// Longer than the server's pause between two messages: silence means that the connection is gone, whatever the socket says.
const SILENCE_MAX_MS = 15000;
const SAY_EVERY_MS = 5000;

let lastHeardMs = Date.now();
let saidMs = 0;
let waiting = "";
let source = null;

function showLost() {
  const asOf = document.getElementById("as-of");
  lost.textContent = lost.dataset.words.replace("{time}", asOf ? asOf.textContent : "?");
  lost.hidden = false;
}

function heard() {
  lastHeardMs = Date.now();
  lost.hidden = true;
}

function connect() {
  if (source) {
    source.close();
  }
  source = new EventSource(board.dataset.live);
  source.addEventListener("board", (event) => {
    heard();
    board.innerHTML = event.data;
  });
  source.addEventListener("said", (event) => {
    waiting = JSON.parse(event.data);
  });
  source.addEventListener("error", showLost);
}

setInterval(() => {
  const now = Date.now();
  if (now - lastHeardMs > SILENCE_MAX_MS) {
    showLost();
    lastHeardMs = now;
    connect();
  }
  // A busy entrance must not talk without pause to those who listen.
  if (waiting && waiting !== said.textContent && now - saidMs > SAY_EVERY_MS) {
    said.textContent = waiting;
    saidMs = now;
  }
}, 1000);

connect();
