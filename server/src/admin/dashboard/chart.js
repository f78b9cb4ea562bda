// A small history: an area from the left (two minutes ago) to the right (now).

import { WINDOW_S } from "./history.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 56;
const TOP = 3;

/** Draws `series` into `parent`; `least` is the smallest figure that fills the height. */
export function chart(parent, series, least) {
  const svg = parent.firstElementChild ?? parent.appendChild(empty());
  const top = Math.max(least, ...series);
  const [area, line] = svg.children;
  const { filled, drawn } = paths(series, top);
  area.setAttribute("d", filled);
  line.setAttribute("d", drawn);
}

function empty() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const name of ["area", "line"]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", name);
    svg.append(path);
  }
  return svg;
}

/** The figures as paths, one for each stretch without a gap. */
export function paths(series, top) {
  const x = (index) => WIDTH - ((series.length - 1 - index) * WIDTH) / (WINDOW_S - 1);
  const y = (value) => HEIGHT - 1 - (value / top) * (HEIGHT - 1 - TOP);
  const point = (index) => `${x(index).toFixed(1)} ${y(series[index]).toFixed(1)}`;
  let filled = "";
  let drawn = "";
  for (let from = 0; from < series.length; from += 1) {
    if (series[from] == null) continue;
    let to = from;
    while (to + 1 < series.length && series[to + 1] != null) to += 1;
    const points = [];
    for (let index = from; index <= to; index += 1) points.push(point(index));
    const path = points.join("L");
    drawn += `M${path}`;
    filled += `M${x(from).toFixed(1)} ${HEIGHT}L${path}L${x(to).toFixed(1)} ${HEIGHT}Z`;
    from = to;
  }
  return { filled, drawn };
}
