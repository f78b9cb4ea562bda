// The few ways in which this page touches its document. Whatever comes from a server goes in as
// text, never as markup.

/** The element with an id. */
export function at(id) {
  return document.getElementById(id);
}

/** Sets a text; an element that has it already is left alone. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A new element with a class and children, which are elements or texts. */
export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/**
 * Gives `parent` one child for each item, in order. The child of an item with the same `id` as
 * before is kept, so that nothing moves and nothing is read again unless it is new.
 */
export function each(parent, items, make, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.id, child]));
  const wanted = new Set(items.map(({ id }) => String(id)));
  // Before the others are put in order, or all that come after would be moved.
  for (const [id, child] of known) if (!wanted.has(id)) child.remove();
  items.forEach((item, index) => {
    const id = String(item.id);
    const child = known.get(id) ?? make(item);
    child.dataset.id = id;
    update(child, item);
    const there = parent.children[index] ?? null;
    if (there !== child) parent.insertBefore(child, there);
  });
}

/** Gives `parent` so many marks, which are all alike. */
export function marks(parent, count) {
  while (parent.childElementCount > count) parent.lastElementChild.remove();
  while (parent.childElementCount < count) parent.append(element("i", "mark"));
}
