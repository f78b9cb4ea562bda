// How figures and times are written. Pure.
//
// A figure that nobody knows is a dash, and never 0.

export const UNKNOWN = "–";

const GROUPED = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A number of things, in full: `12,345`. */
export function whole(value) {
  return value == null ? UNKNOWN : GROUPED.format(value);
}

/** `1 client`, `2 clients`. */
export function many(count, one, more = `${one}s`) {
  return `${whole(count)} ${count === 1 ? one : more}`;
}

/** Three digits at most and a prefix of a thousand: `105k`. */
export function short(value) {
  if (value == null) return UNKNOWN;
  return scaled(value, 1000, ["", "k", "M", "G", "T"]);
}

/** Bytes with a binary prefix: `12.9 MiB`. */
export function bytes(value) {
  if (value == null) return UNKNOWN;
  return scaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]);
}

function scaled(value, step, units) {
  let unit = 0;
  // What would be rounded up to the next unit is written in it.
  while (unit < units.length - 1 && value >= step - 0.5) {
    value /= step;
    unit += 1;
  }
  return `${digits(value)}${units[unit]}`;
}

function digits(value) {
  if (value === 0 || value >= 99.95) return String(Math.round(value));
  return value.toFixed(1).replace(/\.0$/, "");
}

/** A share of one processor: `0.3 %`, `187 %`. */
export function percent(share) {
  if (share == null) return UNKNOWN;
  const value = share * 100;
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} %`;
}

/** How long something has been so, to the second: `8 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function span(seconds) {
  if (seconds == null) return UNKNOWN;
  const s = Math.floor(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** A bound of a histogram: `100 µs`, `2.5 ms`, `10 s`. */
export function bound(seconds) {
  if (seconds >= 1) return `${tidy(seconds)} s`;
  if (seconds >= 1e-3) return `${tidy(seconds * 1e3)} ms`;
  return `${tidy(seconds * 1e6)} µs`;
}

function tidy(value) {
  return String(Number(value.toPrecision(3)));
}
