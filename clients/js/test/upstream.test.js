// Signing in with a provider that others wrote (oidc-provider): over HTTP, by its pages and ours.

import assert from "node:assert/strict";
import { test } from "node:test";

import { OAuth2, createClient } from "matrix-js-sdk";

import { logs, step } from "../src/log.js";
import { Browser } from "../src/pages.js";
import { Provider } from "../src/provider.js";
import { Server, freePort } from "../src/server.js";

const PASSWORD = "correct horse battery staple";
const REDIRECT = "https://chat.example.org/";
const APP = { client_name: "App", client_uri: REDIRECT, redirect_uris: [REDIRECT], application_type: "web" };

const configuration = (issuer) => `
[[oauth.providers]]
id = "example"
name = "Example ID"
issuer = "${issuer}"
client_id = "myelin"
client_secret = "a secret / with + signs"
`;

test("people sign up and in with an OpenID Connect provider, connect accounts, and sign out there", { timeout: 120_000 }, async (t) => {
    const port = await freePort();
    const server = await Server.start(() => configuration(`http://127.0.0.1:${port}`));
    const provider = await Provider.start(port, server.url);
    t.after(async () => {
        provider.stop();
        await server.stop();
    });
    const signIn = `${server.url}/oauth2/sign-in`;
    const person = () => new Browser(server.url, provider.issuer);
    /** Goes through the provider's pages as somebody there. */
    const beAt = async (browser, page, name) => {
        page = await browser.submit(page, { login: name, password: "any" });
        return browser.submit(page, {});
    };
    const comeAs = async (browser, name, from = signIn) => {
        const page = await browser.open(from);
        assert.match(page.html, /Continue with .*Example ID/);
        return beAt(browser, await browser.follow(page, "/oauth2/upstream/example"), name);
    };
    const isSignedIn = (page, name) => assert.match(page.html, new RegExp(`@${name}:localhost`), page.html + server.log());

    step("the operator is told what to register, and that it works");
    const [checked] = (await server.operate("provider", "check")).trim().split("\n").map(JSON.parse);
    assert.equal(checked.works, true, JSON.stringify(checked));
    assert.equal(checked.redirect_uri, `${server.url}/oauth2/upstream/example/callback`);
    assert.equal(checked.tells_of_logouts, true);

    step("alice comes for the first time, and her account is made");
    const alice = person();
    isSignedIn(await comeAs(alice, "alice"), "alice");

    step("she comes again from another browser, over a kill in between");
    await server.crash();
    isSignedIn(await comeAs(person(), "alice"), "alice");

    step("who is to show anew who they are does so at the provider, and can't leave it out");
    const anew = `${server.url}/oauth2/upstream/example`;
    const asked = await alice.open(anew);
    assert.equal(asked.url.origin, provider.issuer, "she is signed in there, and asked all the same");
    isSignedIn(await alice.submit(asked, { login: "alice", password: "any" }), "alice");
    const striking = (age) => (place) => {
        if (place.origin !== provider.issuer || !place.searchParams.has("prompt")) return place;
        place.searchParams.delete("prompt");
        place.searchParams.delete("max_age");
        if (age) place.searchParams.set("max_age", age);
        return place;
    };
    assert.match((await alice.open(anew, striking())).html, /does not tell this server when you signed in there/);
    provider.age = 3600;
    assert.match((await alice.open(anew, striking("99999"))).html, /let you in without asking who you are/);
    provider.age = 0;

    step("a name that somebody has is not given away");
    const local = person();
    let page = await local.open(`${server.url}/oauth2/sign-up`);
    isSignedIn(await local.submit(page, { user_name: "bob", password: PASSWORD }), "bob");
    const bob = person();
    page = await comeAs(bob, "bob");
    assert.match(page.title, /Choose your user name/);
    page = await bob.submit({ ...page, action: page.url }, { user_name: "bob" });
    assert.match(page.html, /This name is taken/);
    page = await bob.submit({ ...page, action: page.url }, { user_name: "bobby" });
    isSignedIn(page, "bobby");

    step("the account page connects another account there, and disconnects it");
    page = await local.open(`${server.url}/account?action=org.myelin.providers`);
    page = await beAt(local, await local.follow(page, "connect=yes"), "robert");
    assert.match(page.title, /Connect Example ID/);
    assert.match(page.html, /robert/);
    page = await local.submit({ ...page, action: page.url }, {});
    assert.match(page.html, /Connected: .*robert/);
    isSignedIn(await comeAs(person(), "robert"), "bob");
    const disconnect = page.html.match(/<form class="inline" method="post" action="(\/account\?action=org.myelin.providers)">/)[1];
    page = await local.submit({ ...page, action: disconnect }, { disconnect: "example", user: "@bob:localhost" });
    assert.doesNotMatch(page.html, /robert/);
    page = await comeAs(person(), "robert");
    assert.match(page.html, /@robert:localhost/, "they are strangers again");

    step("the only way to sign in is not taken away");
    page = await alice.open(`${server.url}/account?action=org.myelin.providers`);
    page = await alice.submit({ ...page, action: disconnect }, { disconnect: "example", user: "@alice:localhost" });
    assert.match(page.html, /your only way to sign in/);

    step("an answer that comes twice, or to another browser, or that says no, lets nobody in");
    const eve = new Browser(server.url);
    const away = await eve.open(`${server.url}/oauth2/upstream/example`);
    assert.equal(away.url.origin, provider.issuer);
    const state = away.url.searchParams.get("state");
    const answer = (more) => `${server.url}/oauth2/upstream/example/callback?${new URLSearchParams({ state, iss: provider.issuer, ...more })}`;
    assert.match((await person().open(answer({ code: "x" }))).html, /begun in another browser/);
    assert.match((await eve.open(answer({ code: "x", iss: "https://evil.example" }))).html, /did not come from where you were sent/);
    assert.match((await eve.open(answer({ error: "access_denied" }))).html, /did not let you in/);
    assert.match((await eve.open(answer({ code: "x" }))).html, /was done already/);

    step("a client of the older login is led straight to the provider");
    const flows = (await (await fetch(`${server.url}/_matrix/client/v3/login`)).json()).flows;
    const sso = flows.find((flow) => flow.type === "m.login.sso");
    assert.deepEqual(sso.identity_providers, [{ id: "example", name: "Example ID" }]);
    const legacy = person();
    page = await legacy.open(`${server.url}/_matrix/client/v3/login/sso/redirect/example?redirectUrl=https://old.example.org/`);
    page = await beAt(legacy, page, "alice");
    assert.match(page.title, /Continue to https:\/\/old.example.org/);

    step("who signs out at the provider is signed out here, with what was opened in that session");
    const carol = person();
    const visitor = createClient({ baseUrl: server.url, logger: logs("js-upstream").of("visitor") });
    const metadata = await visitor.getAuthMetadata();
    const clientId = await OAuth2.registerClient(metadata, APP);
    const oauth = new OAuth2(metadata, { clientId });
    page = await carol.open(await oauth.generateAuthorizationCodeGrantUrl("s", REDIRECT));
    page = await beAt(carol, await carol.follow(page, "/oauth2/upstream/example"), "carol");
    assert.match(page.title, /Continue to App/);
    const sent = await carol.submit(page, { decision: "approve" });
    const tokens = await oauth.completeAuthorizationCodeGrant(new URLSearchParams(sent.url.hash.slice(1) || sent.url.search).get("code"), REDIRECT);
    const whoami = () => fetch(`${server.url}/_matrix/client/v3/account/whoami`, { headers: { authorization: `Bearer ${tokens.access_token}` } });
    assert.equal((await whoami()).status, 200);
    const other = person();
    isSignedIn(await comeAs(other, "carol"), "carol");
    page = await carol.open(`${provider.issuer}/session/end`);
    await carol.submit(page, { logout: "yes" });
    assert.deepEqual(provider.log, []);
    assert.equal((await whoami()).status, 401, server.log());
    assert.match((await carol.open(`${server.url}/account`)).title, /Sign in/);
    assert.match((await other.open(`${server.url}/account`)).title, /Your account/, "another session there goes on");
});
