// What the visitor holds in their hand: a text in the field, or bytes that no field can hold.

const input = document.getElementById("hand");
const listeners = [];
let hex = "";

/** What is held to a reader, as the server takes it; null when the hand is empty. */
export function hand() {
  if (hex) {
    return { code_hex: hex };
  }
  return input.value ? { code: input.value } : null;
}

/** Puts a text, or bytes as hex, into the hand. */
export function take(text, bytes = "") {
  input.value = text;
  hex = bytes;
  changed();
}

/** Calls back whenever the hand holds something else. */
export function onHand(listener) {
  listeners.push(listener);
}

function changed() {
  listeners.forEach((listener) => listener());
}

input.addEventListener("input", () => {
  hex = "";
  changed();
});
