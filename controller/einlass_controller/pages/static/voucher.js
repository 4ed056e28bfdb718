// Shows a digital voucher. The code stands behind the # of the address, which browsers send to nobody; it goes to the
// controller in the body of a question only.
"use strict";

const state = document.getElementById("state");
const picture = document.getElementById("picture");

async function show() {
  const code = decodeURIComponent(location.hash.slice(1));
  picture.hidden = true;
  if (!code) {
    state.textContent = state.dataset.unknown;
    return;
  }
  try {
    const answer = await fetch("/voucher/picture", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ code, language: document.documentElement.lang }),
    });
    if (!answer.ok) {
      state.textContent = answer.status === 404 ? state.dataset.unknown : state.dataset.lost;
      return;
    }
    const found = await answer.json();
    state.textContent = found.text;
    picture.src = "data:image/png;base64," + found.png;
    picture.hidden = false;
  } catch {
    state.textContent = state.dataset.lost;
  }
}

addEventListener("hashchange", show);
show();
