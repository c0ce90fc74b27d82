// Who somebody is, told to a client that knows OpenID Connect and nothing of this server (jose): by the keys that it publishes.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";

import { createRemoteJWKSet, errors, jwtVerify } from "jose";

import { step } from "../src/log.js";
import { Browser } from "../src/pages.js";
import { Server } from "../src/server.js";

const PASSWORD = "correct horse battery staple";
const REDIRECT = "https://shop.example.org/back";
const SHOP = { client_name: "Shop", client_uri: "https://shop.example.org/", redirect_uris: [REDIRECT], application_type: "web" };

test("an ordinary client of OpenID Connect learns who somebody is", { timeout: 60_000 }, async (t) => {
    const server = await Server.start();
    t.after(() => server.stop());
    const get = async (url) => (await fetch(url)).json();
    const post = async (url, body) => (await fetch(url, { method: "POST", body })).json();
    const metadata = await get(`${server.url}/.well-known/openid-configuration`);
    assert.deepEqual(metadata.id_token_signing_alg_values_supported, ["RS256", "EdDSA"]);
    const register = (more) => post(metadata.registration_endpoint, JSON.stringify({ ...SHOP, ...more }));

    const alice = new Browser();
    let page = await alice.open(`${server.url}/oauth2/sign-up`);
    page = await alice.submit(page, { user_name: "alice", password: PASSWORD });
    assert.match(page.html, /@alice:localhost/);

    /** An ID token for a client that registered this. */
    const tokenFor = async (client) => {
        const [verifier, nonce] = [randomBytes(32).toString("base64url"), randomBytes(8).toString("hex")];
        const query = new URLSearchParams({
            client_id: client.client_id, redirect_uri: REDIRECT, response_type: "code", scope: "openid profile", nonce, max_age: "3600",
            code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256",
        });
        const asked = await alice.open(`${metadata.authorization_endpoint}?${query}`);
        assert.match(asked.title, /Continue to Shop/);
        const sent = await alice.submit(asked, { decision: "approve" });
        const tokens = await post(metadata.token_endpoint, new URLSearchParams({
            grant_type: "authorization_code", code: sent.url.searchParams.get("code"), redirect_uri: REDIRECT,
            client_id: client.client_id, code_verifier: verifier,
        }));
        return { token: tokens.id_token, nonce };
    };
    const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
    const read = async ({ token, nonce }, client, algorithm) => {
        const { payload, protectedHeader } = await jwtVerify(token, keys, {
            issuer: metadata.issuer, audience: client.client_id, algorithms: [algorithm], maxTokenAge: "1 minute",
            requiredClaims: ["sub", "exp", "iat", "auth_time"],
        });
        assert.equal(payload.nonce, nonce);
        return { payload, kid: protectedHeader.kid };
    };

    step("RS256 where the client says nothing");
    const shop = await register({});
    assert.equal(shop.id_token_signed_response_alg, "RS256");
    const signed = await tokenFor(shop);
    const { payload, kid } = await read(signed, shop, "RS256");
    assert.equal(payload.sub, "@alice:localhost");
    assert.equal(payload.preferred_username, "alice");
    assert.ok(Date.now() / 1000 - payload.auth_time < 60);

    step("EdDSA where it wants that");
    const modern = await register({ id_token_signed_response_alg: "EdDSA" });
    await read(await tokenFor(modern), modern, "EdDSA");
    assert.notEqual(modern.client_id, shop.client_id);

    step("what this server does not sign with is not registered");
    for (const id_token_signed_response_alg of ["none", "HS256", "ES256"]) {
        assert.equal((await register({ id_token_signed_response_alg })).error, "invalid_client_metadata");
    }

    step("a token that was changed is none");
    const [header, claims, signature] = signed.token.split(".");
    const other = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(claims, "base64url")), sub: "@bob:localhost" })).toString("base64url");
    await assert.rejects(jwtVerify(`${header}.${other}.${signature}`, keys), errors.JWSSignatureVerificationFailed);

    step("the key outlives a kill");
    await server.crash();
    assert.equal((await read(await tokenFor(shop), shop, "RS256")).kid, kid);
    await read(signed, shop, "RS256");
});
