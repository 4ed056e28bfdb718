// The visitor's own ticket, and whatever else they hold in their hand.

import { doing, post } from "./ask.js";
import { hand, onHand, take } from "./hand.js";
import { holdTo } from "./lane.js";
import { make, match, pieces, say, write } from "./words.js";

const KEPT = "einlass-ticket";
const LONG_BYTES = 10_240;
// Neither the start of a code nor UTF-8: a lead byte without its second, a lone continuation, a zero.
const NO_TEXT_HEX = "45313ac3288000fffe";

const card = document.getElementById("ticket");
const at = pieces(card);
let ticket = null;

function note() {
  const held = hand();
  if (held?.code_hex) {
    write(at.note, say("bytes_in_hand", { n: held.code_hex.length / 2 }));
  } else {
    write(at.note, ticket && held && held.code !== ticket.code ? say("own_code") : "");
  }
  at.ticket.classList.toggle("away", Boolean(at.note.textContent));
}

function show(fresh) {
  ticket = fresh;
  at.empty.hidden = true;
  at.ticket.hidden = false;
  // As a picture, so that nothing in it can run.
  at.qr.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(fresh.svg)}`;
  write(at.typed, fresh.typed);
  write(at["ticket-for"], say("ticket_for", { n: fresh.persons }));
  take(fresh.code);
}

/** The ticket outlives a change of language, not the tab. */
function restore() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    if (kept?.code && kept.svg) {
      show(kept);
    }
  } catch {
    sessionStorage.removeItem(KEPT);
  }
}

const NONSENSE = {
  nonsense: () => take(`?${Math.random().toString(36).slice(2)}-€`),
  long: () => take("A".repeat(LONG_BYTES)),
  bytes: () => take("", NO_TEXT_HEX),
};

at.order.addEventListener("submit", (event) => {
  event.preventDefault();
  const persons = Number(document.getElementById("persons").value);
  void doing(at.order.querySelector("button"), async () => {
    const fresh = { ...(await post("/api/tickets", { persons })), persons };
    sessionStorage.setItem(KEPT, JSON.stringify(fresh));
    show(fresh);
  });
});

onHand(note);

for (const button of card.querySelectorAll("[data-code]")) {
  button.addEventListener("click", () => NONSENSE[button.dataset.code]());
}

export function showHolds(lanes) {
  match(
    at.holds,
    lanes,
    () => {
      const row = make("li");
      row.append(make("b"));
      for (const side of ["entry", "exit"]) {
        const button = make("button", say(side), { type: "button" });
        button.addEventListener("click", () => holdTo(row.dataset.name, side, button));
        row.append(button);
      }
      return row;
    },
    (row, lane) => {
      if (row.dataset.name !== lane.name) {
        row.dataset.name = lane.name;
        write(row.children[0], lane.name);
        row.children[1].setAttribute("aria-label", say("hold_of", { name: lane.name, side: say("entry") }));
        row.children[2].setAttribute("aria-label", say("hold_of", { name: lane.name, side: say("exit") }));
      }
    },
  );
}

restore();
