// Where the SDK's logs go, and what a test says of its progress.

import { createWriteStream, mkdirSync } from "node:fs";
import { join } from "node:path";
import { formatWithOptions } from "node:util";

import { artifacts } from "./server.js";

/** Opens the logs of a test, in files of their own under the target folder; what the SDK prints goes there too. */
export function logs(test) {
    const folder = join(artifacts(), test);
    mkdirSync(folder, { recursive: true });
    const shared = logger(join(folder, "sdk.log"));
    for (const method of ["trace", "debug", "info", "warn", "error"]) console[method] = shared[method];
    console.log = shared.info;
    // Some requests of the SDK nobody waits for. A browser notes their failure; the runner would take it for the test's.
    process.removeAllListeners("unhandledRejection").on("unhandledRejection", (error) => {
        if (error?.name !== "ConnectionError") throw error;
        console.warn("nobody waited for", error);
    });
    return { folder, of: (label) => logger(join(folder, `${label.replaceAll(/\W+/g, "-")}.log`)) };
}

/** Says which step a test has come to, and after how long. */
export function step(what) {
    process.stdout.write(`${process.uptime().toFixed(1).padStart(7)} s  ${what}\n`);
    console.info(`step: ${what}`);
}

/** A logger as the SDK wants it. */
function logger(path) {
    const file = createWriteStream(path);
    const child = (prefix) => {
        const write = (level) => (...what) => {
            const text = formatWithOptions({ depth: 4, breakLength: 200 }, ...what);
            file.write(`${new Date().toISOString()} ${level} ${prefix}${text}\n`);
        };
        return {
            trace: write("TRACE"),
            debug: write("DEBUG"),
            info: write("INFO"),
            warn: write("WARN"),
            error: write("ERROR"),
            getChild: (name) => child(`${prefix}${name} `),
        };
    };
    return child("");
}
