// Asks the demonstration to do something, and says what came of it.

import { say } from "./words.js";

const NOTICE_MS = 6000;

const notice = document.getElementById("notice");
const problem = document.getElementById("problem");
let hiding = 0;

problem.querySelector("button").addEventListener("click", () => {
  problem.hidden = true;
});

/** One sentence, for everybody; it goes away by itself. */
export function tell(text) {
  notice.textContent = text;
  notice.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => {
    notice.hidden = true;
  }, NOTICE_MS);
}

/** What did not work; it stays until it is closed or something works. */
export function complain(text) {
  notice.hidden = true;
  problem.querySelector("span").textContent = say("failed", { detail: text });
  problem.hidden = false;
}

/** POST; the answer's JSON. Throws an Error with the server's own sentence. */
export async function post(path, body, type = "application/json") {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": type },
      body: type === "application/json" ? JSON.stringify(body ?? {}) : body,
    });
  } catch {
    throw new Error(say("unreachable"));
  }
  const text = await answer.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    value = { detail: text.slice(0, 200) };
  }
  if (!answer.ok) {
    throw new Error(value?.detail ?? `${answer.status} ${answer.statusText}`);
  }
  return value;
}

/** Does it while the button is busy, and shows what went wrong; undefined then. */
export async function doing(button, work) {
  button?.setAttribute("aria-busy", "true");
  try {
    const value = await work();
    problem.hidden = true;
    return value;
  } catch (error) {
    complain(error.message);
    return undefined;
  } finally {
    button?.removeAttribute("aria-busy");
  }
}
