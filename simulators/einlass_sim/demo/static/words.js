// The page's words in its language, sent along with it, and small helpers to put them in place.

const words = JSON.parse(document.getElementById("words").textContent);

export const language = document.documentElement.lang;

/** The words for a key, with {blanks} filled; the key itself when there are none. */
export function say(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export function has(key) {
  return key in words;
}

/** A decision or state in words; codes of a newer node are shown as they are. */
export function shown(code) {
  if (!code) {
    return "";
  }
  return has(`shown_${code}`) ? say(`shown_${code}`) : code;
}

/** Elements below root by their data-is. */
export function pieces(root) {
  return Object.fromEntries([...root.querySelectorAll("[data-is]")].map((piece) => [piece.dataset.is, piece]));
}

/** Writes only what changed, so that neither layout nor screen readers are troubled. */
export function write(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) {
    element.textContent = wanted;
  }
}

export function make(tag, text = "", properties = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  return Object.assign(element, properties);
}

/** Makes the children of a list match rows: draw(row) makes one, refresh(child, row) brings it up to date. */
export function match(list, rows, draw, refresh) {
  rows.forEach((row, index) => {
    if (!list.children[index]) {
      list.append(draw(row));
    }
    refresh(list.children[index], row);
  });
  while (list.children.length > rows.length) {
    list.lastElementChild.remove();
  }
}
