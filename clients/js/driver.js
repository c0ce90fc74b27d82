// A person at a browser for tests in other languages: one request a line on standard input, one answer a line on standard
// output, both JSON. The first word is what to do, the others are what it is done with; see `src/person.js`.

import { createInterface } from "node:readline";

import { Person } from "./src/person.js";

const DOES = {
    log_in: async (person, { url, create, sign_in: signIn }) => `${await person.logIn(url, { create, signIn })}`,
    connect: (person, { url, code }) => person.connect(url, code),
    allow_reset: (person, { url }) => person.allowReset(url),
    leave: (person) => person.leave(),
};

const person = await Person.arrive();
for await (const line of createInterface({ input: process.stdin })) {
    const { does, ...what } = JSON.parse(line);
    let answer;
    try {
        answer = { done: (await DOES[does](person, what)) ?? null };
    } catch (error) {
        const shown = does === "leave" ? "" : await person.page.textContent("main").catch(() => "nothing");
        answer = { failed: `${error.stack}\nThe page at ${person.page.url()} shows: ${shown}` };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
    if (does === "leave") break;
}
// Whoever ends without taking leave has failed; the browser goes, too.
await person.chromium.close();
process.exit();
