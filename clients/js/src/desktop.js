// A desktop without a person: a virtual screen, a message bus, and the programs on them. All end with the test.

import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { screenshot } from "./screen.js";
import { inTime, need, until } from "./wait.js";

const run = promisify(execFile);
/** How long a tool that does one thing may take. */
const SOON = { timeout: 20_000 };
/** Looks at a screen: so many milliseconds apart, and so many have to be the same. A cursor blinks twice a second. */
const LOOK = { every: 80, still: 4 };

/** A bus of its own, which starts no services of the machine. */
const BUS = (folder) => `<busconfig><type>session</type><listen>unix:dir=${folder}</listen>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>`;

/** A screen and a bus. */
export class Desktop {
    #programs = [];

    /** Starts both; pictures and logs go to the folder. */
    static async start(artifacts) {
        const desktop = new Desktop();
        desktop.artifacts = artifacts;
        desktop.folder = mkdtempSync(join(tmpdir(), "myelin-desktop-"));
        const place = (name) => {
            mkdirSync(join(desktop.folder, name), { mode: 0o700 });
            return join(desktop.folder, name);
        };
        const [home, runtime, frames] = ["home", "run", "frames"].map(place);
        desktop.home = home;
        desktop.frames = join(frames, "Xvfb_screen0");
        desktop.env = { ...process.env, HOME: home, XDG_RUNTIME_DIR: runtime, LANG: "C.UTF-8" };
        for (const name of ["CONFIG", "DATA", "CACHE", "STATE"]) delete desktop.env[`XDG_${name}_HOME`];
        const config = join(runtime, "bus.conf");
        writeFileSync(config, BUS(runtime));
        const bus = desktop.#spawn("dbus-daemon", [`--config-file=${config}`, "--nofork", "--print-address=3"]);
        const screen = ["-screen", "0", "1280x800x24", "-fbdir", frames, "-nolisten", "tcp", "-displayfd", "3"];
        const display = desktop.#spawn("Xvfb", screen);
        desktop.env.DBUS_SESSION_BUS_ADDRESS = await said(bus, "the message bus");
        desktop.env.DISPLAY = `:${await said(display, "the virtual screen")}`;
        return desktop;
    }

    #spawn(command, args, env = {}) {
        const child = spawn(command, args, { env: { ...this.env, ...env }, stdio: ["ignore", "pipe", "pipe", "pipe"] });
        process.once("exit", () => child.kill("SIGKILL"));
        this.#programs.push(child);
        child.failed = once(child, "error").then(([error]) => error);
        return child;
    }

    /** Starts a program; what it prints is kept. */
    program(name, command, args, env) {
        return new Program(name, this.#spawn(command, args, env), join(this.artifacts, `${name}.log`));
    }

    /** Runs a tool of the desktop; gives what it prints. */
    async tool(command, ...args) {
        return (await run(command, args, { ...SOON, env: this.env })).stdout.trim();
    }

    /** Moves the keyboard to the window with this in its title, and says its size. */
    async focus(title) {
        const window = (await this.tool("xdotool", "search", "--sync", "--onlyvisible", "--name", title)).split("\n")[0];
        await this.tool("xdotool", "windowfocus", "--sync", window);
        const geometry = await this.tool("xdotool", "getwindowgeometry", "--shell", window);
        const number = (name) => Number(new RegExp(`^${name}=(\\d+)$`, "m").exec(geometry)[1]);
        return { width: number("WIDTH"), height: number("HEIGHT") };
    }

    /** Presses keys, one after the other. */
    press(...keys) {
        return this.tool("xdotool", "key", "--delay", "50", ...keys);
    }

    /** Types a text. */
    type(text) {
        return this.tool("xdotool", "type", "--delay", "10", text);
    }

    /** Does something that has to change what the screen shows, and waits until that stands still. */
    async changes(what, act) {
        const before = this.#shown();
        await act();
        await until(`${what}: the screen changes`, [], () => need(this.#shown() !== before, "it does not"), LOOK.every);
        await this.#standsStill(what);
    }

    async #standsStill(what) {
        let last;
        let still = 0;
        const look = () => {
            const now = this.#shown();
            still = now === last ? still + 1 : 0;
            last = now;
            need(still >= LOOK.still, "it does not");
        };
        await until(`${what}: the screen stands still`, [], look, LOOK.every);
    }

    #shown() {
        return createHash("sha256").update(readFileSync(this.frames)).digest("hex");
    }

    /** Keeps a picture of the screen among the artifacts. */
    picture(name) {
        screenshot(this.frames, join(this.artifacts, `${name}.png`));
    }

    /** Ends every program. */
    async stop() {
        for (const child of this.#programs.reverse()) {
            if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) continue;
            const exit = once(child, "exit");
            child.kill("SIGKILL");
            await exit;
        }
        rmSync(this.folder, { recursive: true, force: true });
    }
}

/** A program on the desktop, and what it has printed. */
class Program {
    constructor(name, child, log) {
        Object.assign(this, { name, child, printed: "", ticks: new EventEmitter() });
        const file = createWriteStream(log);
        for (const stream of [child.stdout, child.stderr]) {
            stream.setEncoding("utf8").on("data", (text) => {
                file.write(text);
                this.printed += text;
                this.ticks.emit("tick");
            });
        }
    }

    /** Waits until it has printed this; `meanwhile` is done now and then. */
    prints(text, meanwhile = async () => {}) {
        return until(`${this.name} prints ${JSON.stringify(text)}`, [this.ticks], async () => {
            if (this.printed.includes(text)) return;
            if (this.child.exitCode !== null || this.child.signalCode !== null) {
                throw new Error(`${this.name} has ended (${this.child.exitCode ?? this.child.signalCode}): ${this.printed}`);
            }
            await meanwhile();
            need(this.printed.includes(text), () => `the last is ${this.printed.slice(-600)}`);
        });
    }

    /** Asks it to end, and waits until it has. */
    async end() {
        const exit = once(this.child, "exit");
        this.child.kill("SIGTERM");
        await inTime(`${this.name} ends`, exit);
    }
}

/** The first line of a child's third stream. */
async function said(child, what) {
    const line = once(child.stdio[3].setEncoding("utf8"), "data").then(([text]) => text.split("\n")[0]);
    const failed = child.failed.then((error) => {
        throw error;
    });
    return inTime(what, Promise.race([line, failed]));
}
