// Waiting for a state, with a limit. No test sleeps for a time and hopes.

/** The longest that anything here may take, in milliseconds; a busy machine is no failure. */
export const LIMIT_MS = 30_000;
const PAUSE_MS = 50;

/** Waits until `state` gives something, and returns it. */
export async function until(what, state) {
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const found = await state();
    if (found) return found;
    if (Date.now() > end) throw new Error(`in ${LIMIT_MS / 1000} s there was not: ${what}`);
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
}
