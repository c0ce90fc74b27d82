// nheko, driven by its keys, its buttons, its log and its message bus.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { need, until } from "./wait.js";

/** No keyring is there to keep its secrets, and it shall answer on the message bus. */
const SETTINGS = "[General]\nrun_without_secure_secrets_service=true\n[user]\nexpose_dbus_api=true\n";
/** Where the button is that accepts the setup of encryption, from the window's lower right corner. */
const ACCEPT = { right: 153, bottom: 39 };

/** nheko on a desktop. */
export class Nheko {
    #starts = 0;

    constructor(desktop) {
        this.desktop = desktop;
        const settings = join(desktop.home, ".config", "nheko");
        mkdirSync(settings, { recursive: true });
        writeFileSync(join(settings, "nheko.conf"), SETTINGS);
    }

    /** Starts it. */
    async start() {
        const name = `nheko-${++this.#starts}`;
        const env = { QT_QUICK_BACKEND: "software", QT_QPA_PLATFORM: "xcb" };
        this.program = this.desktop.program(name, "nheko", ["--debug"], env);
        await this.program.prints("starting nheko");
        this.window = await this.desktop.focus("nheko");
    }

    /** Types user id, password and server into the page for that. */
    async logIn(userId, password, server) {
        const { desktop, program } = this;
        await desktop.changes("the login page", () => desktop.press("Tab", "Tab", "space"));
        await desktop.changes("the user id", async () => {
            await desktop.press("Tab");
            await desktop.type(userId);
        });
        // The server's name leads nowhere, whereupon it asks for the address.
        await desktop.changes("the field for the address", async () => {
            await desktop.press("Tab");
            await program.prints("Autodiscovery failed");
        });
        await desktop.changes("password, device and address", async () => {
            await desktop.type(password);
            await desktop.press("Tab");
            await desktop.type("nheko");
            await desktop.press("Tab", "ctrl+a");
            await desktop.type(server);
            await desktop.press("Tab");
        });
        // Until it has asked the server for its versions, this does nothing.
        await program.prints("Switching to chat page", () => desktop.press("Return"));
        await program.prints("initial sync completed");
    }

    /** Accepts what it proposes to a new account: cross-signing, secrets on the server, key backup. */
    async setUpEncryption() {
        const { desktop, program, window } = this;
        await program.prints("STATUS CHANGED: 1");
        const [x, y] = [window.width - ACCEPT.right, window.height - ACCEPT.bottom];
        const click = () => desktop.tool("xdotool", "mousemove", `${x}`, `${y}`, "click", "1");
        await program.prints("Clicked setup crossigning", click);
        // The last is said once the server has told it that its own device is signed: nothing is left to verify.
        const steps = ["Set up online key backup", "Crosssigning keys uploaded!", "STATUS CHANGED: 0"];
        for (const done of steps) await program.prints(done);
    }

    #call(method, ...args) {
        const to = ["--session", "--print-reply", "--dest=im.nheko.Nheko", "/", `im.nheko.Nheko.${method}`];
        return this.desktop.tool("dbus-send", ...to, ...args);
    }

    /** Waits until it answers on the message bus, which it does once it has read its rooms from its own store. */
    async resumes() {
        await this.program.prints("Restored");
        await until("nheko on the message bus", [this.program.ticks], async () => {
            const failure = await this.#call("rooms").then(
                () => undefined,
                (error) => error.message,
            );
            need(failure === undefined, failure);
        });
    }

    /** Waits until its list has a room of this name. */
    lists(name) {
        return until(`nheko lists ${name}`, [this.program.ticks], async () => {
            const rooms = await this.#call("rooms");
            need(rooms.includes(`string "${name}"`), () => `it lists ${rooms}`);
        });
    }

    /** Joins a room. */
    join(roomId) {
        return this.#call("joinRoom", `string:${roomId}`);
    }

    /** Shows a room and moves the keyboard into it. */
    async open(roomId) {
        await this.desktop.changes("the room", () => this.#call("activateRoom", `string:${roomId}`));
        await this.desktop.focus("nheko");
    }

    /** Writes a message into the room that it shows. */
    async say(text) {
        await this.desktop.type(text);
        await this.desktop.press("Return");
    }

    /** Replies to the last message of the room that it shows. */
    async reply(text) {
        await this.desktop.changes("the message replied to", () => this.desktop.press("alt+Up"));
        await this.say(text);
    }
}
