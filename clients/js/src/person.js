// A person at a browser with a window on the server's own pages: what they do there, step by step. The driver (`driver.js`)
// lends it to the tests in Rust.

import assert from "node:assert/strict";

import { Window, startChromium } from "./chromium.js";
import { inTime } from "./wait.js";

/** What a browser says of an app that nobody installed, after the server has sent it there. */
const NO_SUCH_APP = /Failed to launch '[^']*' because the scheme does not have a registered handler/;

/** Somebody, in whose browser nobody is signed in at first. */
export class Person {
    /** Sits down at a browser; with `withoutScripts`, at one that runs none. */
    static async arrive({ withoutScripts = false, ...options } = {}) {
        const person = new Person();
        person.chromium = await startChromium();
        person.window = await Window.open(person.chromium, { javaScriptEnabled: !withoutScripts, ...options });
        return person;
    }

    get page() {
        return this.window.page;
    }

    /** Goes; the pages had nothing to complain of. */
    async leave() {
        this.window.complaints = this.window.complaints.filter((text) => !NO_SUCH_APP.test(text));
        try {
            await this.window.close();
        } finally {
            await this.chromium.close();
        }
    }

    /** Opens an address. */
    open(url) {
        return this.page.goto(`${url}`);
    }

    /** Makes an account on the page that is open. */
    async signUp(name, password) {
        await this.window.shows("Create an account");
        await this.window.fill({ user_name: name, password });
        await this.window.click("Create account");
    }

    /** Signs in on the page that is open. */
    async signIn(name, password) {
        await this.window.shows("Sign in");
        await this.window.fill({ user_name: name, password });
        await this.window.click("Sign in");
    }

    /** Lets the client in that the page asks about, or not; gives the address that the browser is sent to. */
    async decide(yes = true) {
        await this.window.shows(/Continue to .*\?/);
        return this.#sent(() => this.window.click(yes ? "Continue" : "Cancel"));
    }

    /**
     * The person's part of a login by authorization code: opens the client's address, makes an account or signs in where the
     * page asks for that, and lets the client in. Gives the address that the browser is sent to.
     */
    async logIn(url, { create, signIn } = {}) {
        await this.open(url);
        if (create) await this.signUp(create.name, create.password);
        if (signIn) await this.signIn(signIn.name, signIn.password);
        return this.decide();
    }

    /** Lets a device in: types its code at the address that it shows, or opens the one that has the code in it. */
    async connect(url, code) {
        await this.open(url);
        await this.window.shows("Connect a device");
        const field = this.page.locator("input[name=user_code]");
        if (code) await field.fill(code);
        const typed = await field.inputValue();
        assert.ok(typed, "the field has no code");
        await this.window.click("Next");
        await this.window.shows(/Connect .*\?/);
        assert.ok((await this.page.textContent("main")).includes(typed.toUpperCase()), "the page does not show the code again");
        await this.window.click("Continue");
        await this.window.shows("Done");
        await this.page.getByText("The device is connected").waitFor();
    }

    /** Says on the page that the digital identity may be replaced. */
    async allowReset(url) {
        await this.open(url);
        await this.window.shows("Reset your digital identity?");
        await this.window.click("Allow the reset");
        await this.window.shows("Done");
    }

    /** The address on another host, or of an app, to which what is done leads. */
    async #sent(act) {
        const here = new URL(this.page.url()).origin;
        // The protocol tells of every answer; Playwright not of one that leads to an app.
        const protocol = await this.window.context.newCDPSession(this.page);
        await protocol.send("Network.enable");
        const sending = new Promise((resolve) => {
            protocol.on("Network.responseReceivedExtraInfo", ({ headers }) => {
                const place = Object.entries(headers).find(([name]) => name.toLowerCase() === "location")?.[1];
                if (place && new URL(place, here).origin !== here) resolve(new URL(place));
            });
        });
        // Where the place is on no network, the window waits for it in vain.
        act().catch(() => undefined);
        const sent = await inTime("being sent on", sending);
        await protocol.detach();
        // The app has taken over, and its tab goes: it asks whether to open an app, and takes nothing else.
        if (!sent.protocol.startsWith("http")) await this.window.anew();
        return sent;
    }
}
