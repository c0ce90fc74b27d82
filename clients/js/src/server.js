// The server's binary as a child process: started on a free port and a folder of its own, killed and started again.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

/** How long a server may take until it answers `/health`, in milliseconds. */
const START = 20_000;

/** A Myelin server with open registration. */
export class Server {
    #child;

    #arguments = [];

    /** Starts one on an empty folder; `configuration` makes the text of its configuration file from its URL. */
    static async start(configuration) {
        const server = new Server();
        server.folder = mkdtempSync(join(tmpdir(), "myelin-js-test-"));
        server.port = await freePort();
        server.url = `http://127.0.0.1:${server.port}`;
        if (configuration) {
            const file = join(server.folder, "myelin.toml");
            writeFileSync(file, configuration(server.url));
            server.#arguments = ["--config", file];
        }
        await server.run();
        return server;
    }

    /** Starts the process and waits until it answers. */
    async run() {
        const log = openSync(join(this.folder, "server.log"), "a");
        const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MYELIN_")));
        const child = spawn(binary(), this.#arguments, {
            env: {
                ...env,
                MYELIN_DATA_DIR: join(this.folder, "data"),
                MYELIN_LISTEN: `127.0.0.1:${this.port}`,
                MYELIN_REGISTRATION: "open",
                MYELIN_LIMITS__ENABLED: "false",
            },
            stdio: ["ignore", log, log],
        });
        closeSync(log);
        this.#child = child;
        process.once("exit", () => child.kill("SIGKILL"));
        const deadline = Date.now() + START;
        while (!(await answers(`${this.url}/health`))) {
            if (child.exitCode !== null || Date.now() > deadline) {
                throw new Error(`the server did not come up; its log:\n${this.log()}`);
            }
            await pause(5);
        }
    }

    /** Kills the server as a crash would. */
    async kill() {
        const child = this.#child;
        if (child.exitCode !== null || child.signalCode !== null) {
            throw new Error(`the server has ended by itself; its log:\n${this.log()}`);
        }
        const exit = once(child, "exit");
        child.kill("SIGKILL");
        await exit;
    }

    /** Kills the server and starts it again on the same folder and port. */
    async crash() {
        await this.kill();
        await this.run();
    }

    /** Ends it and removes its folder. */
    async stop() {
        await this.kill();
        rmSync(this.folder, { recursive: true, force: true });
    }

    /** What an operator's command says. */
    async operate(...words) {
        const place = [...this.#arguments, "--data-dir", join(this.folder, "data")];
        return (await promisify(execFile)(binary(), [...words, ...place])).stdout;
    }

    /** What it has logged. */
    log() {
        return readFileSync(join(this.folder, "server.log"), "utf8");
    }
}

/** Where what a test leaves for people goes: logs and screenshots. It is under the target folder. */
export function artifacts() {
    return join(dirname(dirname(binary())), "clients");
}

function binary() {
    const path = process.env.TEST_MYELIN_BINARY;
    if (!path) throw new Error("TEST_MYELIN_BINARY must name the binary under test; `cargo xtask test` sets it");
    return path;
}

async function answers(url) {
    try {
        return (await fetch(url)).ok;
    } catch {
        return false;
    }
}

/** A port on loopback that nobody listens on. */
export async function freePort() {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address();
    server.close();
    await once(server, "close");
    return port;
}
