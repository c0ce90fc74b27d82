// A person's browser without scripts, over the server's own pages: cookies, redirects, forms.

import assert from "node:assert/strict";

const REDIRECTS = 12;

/** A browser in which nobody is signed in. It goes on to other origins only where they are named. */
export class Browser {
    #cookies = new Map();
    #elsewhere;

    constructor(...elsewhere) {
        this.#elsewhere = elsewhere;
    }

    /** Follows the link of a page whose address has this in it. */
    follow(page, part) {
        const links = [...page.html.matchAll(/<a [^>]*href="([^"]*)"/g)].map(([, link]) => unescaped(link));
        const link = links.find((link) => link.includes(part));
        assert.ok(link, `no link with ${part}: ${page.html}`);
        return this.open(new URL(link, page.url));
    }

    /** Opens an address; where it leads may be changed by who sits at the browser. */
    open(url, changed) {
        return this.#go(url, { method: "GET" }, changed);
    }

    /** Fills in the form of the page and sends it, with what is hidden in it. */
    submit(page, fields) {
        const form = new URLSearchParams({ ...page.hidden, ...fields });
        return this.#go(new URL(page.action, page.url), { method: "POST", body: form });
    }

    async #go(url, request, changed = (place) => place) {
        for (let count = 0; count < REDIRECTS; count++) {
            const { origin } = new URL(url);
            const cookies = this.#cookies.get(origin) ?? new Map();
            this.#cookies.set(origin, cookies);
            const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
            const answer = await fetch(url, { ...request, redirect: "manual", headers: { cookie, "accept-language": "en" } });
            for (const set of answer.headers.getSetCookie()) keep(cookies, set);
            const place = answer.headers.get("location");
            if (!place) return page(url, answer.status, await answer.text());
            const next = changed(new URL(place, url));
            // To the client: a real browser would leave the server here.
            const stays = next.origin === origin || this.#elsewhere.includes(next.origin);
            if (!stays || next.hash) return { url: next };
            [url, request] = [next, { method: "GET" }];
        }
        throw new Error(`the server sends the browser round in circles: ${url}`);
    }
}

function keep(cookies, set) {
    const [pair, ...attributes] = set.split("; ");
    const [name, value] = pair.split(/=(.*)/s);
    if (attributes.includes("Max-Age=0") || !value) cookies.delete(name);
    else cookies.set(name, value);
}

function unescaped(text) {
    return text.replaceAll("&quot;", '"').replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

function page(url, status, html) {
    const hidden = {};
    for (const [input] of html.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
        hidden[input.match(/name="([^"]*)"/)[1]] = unescaped(input.match(/value="([^"]*)"/)[1]);
    }
    const action = html.match(/<form[^>]*action="([^"]*)"/)?.[1];
    const title = html.match(/<title>(.*?)<\/title>/)?.[1];
    assert.ok(title, `no page: ${status} ${html}`);
    return { url, status, html, hidden, title, action: action && unescaped(action) };
}
