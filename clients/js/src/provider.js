// An OpenID Connect provider that others wrote, on loopback, with a page on which everybody is whom they say.

import { once } from "node:events";
import { createServer } from "node:http";

import { Provider as OpenIdProvider } from "oidc-provider";

/** One that knows this server as the client `myelin`. */
export class Provider {
    /** Starts it on this port for the server at this URL. */
    static async start(port, serverUrl) {
        const provider = new Provider();
        provider.issuer = `http://127.0.0.1:${port}`;
        const here = `${serverUrl}/oauth2/upstream/example`;
        const openId = new OpenIdProvider(provider.issuer, {
            clients: [{
                client_id: "myelin",
                client_secret: "a secret / with + signs",
                redirect_uris: [`${here}/callback`],
                backchannel_logout_uri: `${here}/logout`,
                backchannel_logout_session_required: true,
                grant_types: ["authorization_code"],
            }],
            claims: { openid: ["sub"], profile: ["name", "preferred_username"], email: ["email", "email_verified"] },
            features: { backchannelLogout: { enabled: true } },
            // The interactions that it brings along, which ask for any name and any password.
            findAccount: (_, name) => ({
                accountId: name,
                claims: () => ({
                    sub: name,
                    name: `${name} of elsewhere`,
                    preferred_username: name,
                    email: `${name}@example.org`,
                    email_verified: true,
                }),
            }),
            cookies: { keys: ["a key for tests"] },
            // To loopback, where it goes to no client by itself.
            fetch: (url, { dispatcher, ...options }) => fetch(url, options),
        });
        // What it could not do.
        provider.log = [];
        openId.on("backchannel.error", (_, error) => provider.log.push(String(error)));
        openId.on("server_error", (_, error) => provider.log.push(String(error.stack)));
        // For how many seconds who comes next has been signed in already.
        provider.age = 0;
        openId.on("authorization.accepted", ({ oidc }) => {
            oidc.session.loginTs -= provider.age;
        });
        provider.server = createServer(openId.callback()).listen(port, "127.0.0.1");
        await once(provider.server, "listening");
        return provider;
    }

    /** Ends it. */
    stop() {
        this.server.closeAllConnections();
        this.server.close();
    }
}
