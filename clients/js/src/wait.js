// Waiting for what a client sees, without sleeping.

/** How long anything awaited may take. Restarts of the server and the SDK's own back-off lie within. */
export const PATIENCE = 60_000;

/** How often a look is repeated for what nothing announces, in milliseconds. */
const NOW_AND_THEN = 500;

/**
 * Looks until there is what it looks for: at once, and again whenever one of the sources has a tick.
 *
 * @param {string} what for the failure
 * @param {import("node:events").EventEmitter[]} sources what emits "tick" when something may have changed
 * @param {() => any} look gives what was looked for, or throws what is missing; may be asynchronous
 * @param {number} [interval] for what nothing announces: after how many milliseconds at the latest it looks again
 * @returns {Promise<any>} what the look gave
 */
export async function until(what, sources, look, interval = NOW_AND_THEN) {
    const deadline = Date.now() + PATIENCE;
    let wake = () => {};
    let ticked = false;
    const tick = () => {
        ticked = true;
        wake();
    };
    for (const source of sources) source.on("tick", tick);
    const timer = setInterval(tick, interval);
    try {
        for (;;) {
            ticked = false;
            try {
                return await look();
            } catch (missing) {
                if (!(missing instanceof Missing)) throw missing;
                if (Date.now() > deadline) {
                    throw new Error(`${what}: not within ${PATIENCE / 1000} s; ${missing.message}`);
                }
            }
            if (!ticked) await new Promise((resolve) => (wake = resolve));
        }
    } finally {
        clearInterval(timer);
        for (const source of sources) source.off("tick", tick);
    }
}

/** What a look throws when it has to be repeated. */
export class Missing extends Error {}

/** Throws what is missing unless the condition holds. */
export function need(condition, missing) {
    if (!condition) throw new Missing(typeof missing === "function" ? missing() : missing);
    return condition;
}

/** A promise that has to be settled in time. */
export async function inTime(what, promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what}: not within ${PATIENCE / 1000} s`)), PATIENCE);
    });
    try {
        return await Promise.race([promise, late]);
    } catch (error) {
        throw new Error(`${what}: ${error?.message ?? error}`, { cause: error });
    } finally {
        clearTimeout(timer);
    }
}
