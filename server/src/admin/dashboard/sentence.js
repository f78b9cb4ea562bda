// The one sentence that says how it goes. Pure.
//
// It is made of clauses, and has a key that stays the same while only its figures change: what is
// read aloud is read again when the key is another one, and not whenever a figure is.

import { many, percent, whole } from "./words.js";

/** Less than this share of one processor is idleness. */
export const IDLE = 0.1;

/** `text`, its `key`, and `title`, the same in a few words for the title of the window. */
export function sentence(status, scene, cpu, turningAway) {
  const clauses = [trouble(status, scene), main(status, scene), away(turningAway), line(status, scene), processor(cpu)];
  const said = clauses.filter(Boolean);
  const text = said.map(([, words]) => words).join("; ");
  return {
    key: said.map(([key]) => key).join(" "),
    text: `${text[0].toUpperCase()}${text.slice(1)}.`,
    title: title(status, scene),
  };
}

/** In a few words. */
function title(status, { held, places, owns, pool, waiting }) {
  const parts = [];
  if (status.state !== "ready") parts.push(status.state);
  parts.push(owns === "connection" && pool ? `${whole(held)}/${whole(places)} held` : `${whole(held)} inside`);
  parts.push(`${whole(waiting.known)} waiting`);
  return parts.join(", ");
}

function trouble({ workers_wanted: wanted }, { phases: { hung, gone }, unit }) {
  const parts = [];
  if (hung > 0) parts.push(`${hung} of ${many(wanted, unit)} ${hung === 1 ? "hangs and is" : "hang and are"} being ended`);
  if (gone > 0) parts.push(`${gone} of ${many(wanted, "worker")} ${gone === 1 ? "has ended and its successor is" : "have ended and their successors are"} coming`);
  return parts.length > 0 ? [`trouble-${hung > 0}-${gone > 0}`, parts.join(", ")] : null;
}

function main(status, scene) {
  if (status.state === "starting") return starting(status);
  if (status.state === "draining") {
    return ["draining", `the server ends: nobody new is taken in, ${many(scene.open, "client")} ${are(scene.open)} still connected`];
  }
  if (scene.owns === "request") return shared(status, scene);
  return scene.pool ? owned(scene) : each(scene);
}

function starting({ workers, workers_wanted: wanted }) {
  const ready = workers.filter((worker) => worker.state === "ready").length;
  return ["starting", wanted > 0 ? `the server starts: ${ready} of ${many(wanted, "worker")} ${are(ready)} ready` : "the server starts"];
}

/** A pool whose workers own their clients. */
function owned({ held, places, unit, phases: { quiet, busy } }) {
  const all = places === 1 ? `the only ${unit}` : `${whole(Math.min(held, places))} of ${many(places, unit)}`;
  const is = places === 1 || held === 1 ? "is" : "are";
  if (held === 0) return ["free", places === 1 ? `${all} is free` : `all ${many(places, unit)} are free`];
  if (held < places) {
    const free = places - held;
    return ["some", `${all} ${is} held${busy === 0 ? by(held) : ""}; ${whole(free)} ${are(free)} free`];
  }
  if (busy === 0) return ["quiet", `${all} ${is} held${by(held)}`];
  if (quiet === 0) return ["busy", `${all} ${is} busy`];
  return ["held", `${all} ${is} held, some of them by quiet clients`];
}

function by(held) {
  return held === 1 ? " by a quiet client" : " by quiet clients";
}

/** A worker for each client. */
function each({ held, places, unit }) {
  if (held === 0) return ["free", `no client is connected; each gets a ${unit} of its own`];
  if (held >= places) return ["full", `all ${many(places, "place")} are taken, by a ${unit} each`];
  return ["each", held === 1 ? `1 client has a ${unit} of its own` : `${whole(held)} clients have a ${unit} each`];
}

/** Workers that are done with a client when it has its answer. */
function shared({ workers_wanted: wanted }, { held, places, unit }) {
  if (held === 0) return ["free", `no client is connected; ${many(wanted, unit)} ${wanted === 1 ? "is" : "are"} ready`];
  if (held >= places) return ["full", `all ${many(places, "place")} are taken`];
  const share = held === 1 ? "is" : "share";
  const who = held === 1 ? `1 client is served by ${many(wanted, unit)}` : `${whole(held)} clients ${share} ${many(wanted, unit)}`;
  return ["shared", `${who} and hold${held === 1 ? "s" : ""} none of them while quiet`];
}

function away(turningAway) {
  return turningAway ? ["away", "clients are being turned away"] : null;
}

function line({ state }, { waiting: { total, known }, held, places }) {
  if (total == null && known === 0) {
    return held >= places && state === "ready" ? ["unknown", "who waits, the kernel does not tell"] : null;
  }
  if (known === 0) return state === "ready" ? ["nobody", "nobody waits"] : null;
  if (held < places && state === "ready") return ["coming", `${many(known, "client")} ${are(known)} on the way in`];
  return ["waiting", `${many(known, "client")} ${known === 1 ? "waits" : "wait"}, connected, with no answer`];
}

function processor(cpu) {
  if (cpu == null) return null;
  if (cpu < IDLE) return ["idle", `the processor is idle (${percent(cpu)})`];
  return ["working", `the server uses ${percent(cpu)} of a processor`];
}

function are(count) {
  return count === 1 ? "is" : "are";
}
