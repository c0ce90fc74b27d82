// A person's browser without scripts, over the server's own pages: cookies, redirects, forms.

import assert from "node:assert/strict";

const REDIRECTS = 8;

/** A browser in which nobody is signed in. */
export class Browser {
    #cookies = new Map();

    /** Opens an address. */
    open(url) {
        return this.#go(url, { method: "GET" });
    }

    /** Fills in the form of the page and sends it, with what is hidden in it. */
    submit(page, fields) {
        const form = new URLSearchParams({ ...page.hidden, ...fields });
        return this.#go(new URL(page.action, page.url), { method: "POST", body: form });
    }

    async #go(url, request) {
        for (let count = 0; count < REDIRECTS; count++) {
            const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
            const answer = await fetch(url, { ...request, redirect: "manual", headers: { cookie, "accept-language": "en" } });
            for (const set of answer.headers.getSetCookie()) this.#keep(set);
            const place = answer.headers.get("location");
            if (!place) return page(url, answer.status, await answer.text());
            const next = new URL(place, url);
            // To the client: a real browser would leave the server here.
            if (next.origin !== new URL(url).origin || next.hash) return { url: next };
            [url, request] = [next, { method: "GET" }];
        }
        throw new Error(`the server sends the browser round in circles: ${url}`);
    }

    #keep(set) {
        const [pair, ...attributes] = set.split("; ");
        const [name, value] = pair.split(/=(.*)/s);
        if (attributes.includes("Max-Age=0")) this.#cookies.delete(name);
        else this.#cookies.set(name, value);
    }
}

function page(url, status, html) {
    const unescaped = (text) => text.replaceAll("&quot;", '"').replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
    const hidden = {};
    for (const [input] of html.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
        hidden[input.match(/name="([^"]*)"/)[1]] = unescaped(input.match(/value="([^"]*)"/)[1]);
    }
    const action = html.match(/<form[^>]*action="([^"]*)"/)?.[1];
    const title = html.match(/<title>(.*?)<\/title>/)?.[1];
    assert.ok(title, `no page: ${status} ${html}`);
    return { url, status, html, hidden, title, action: action && unescaped(action) };
}
