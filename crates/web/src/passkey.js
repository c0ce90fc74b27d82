// Passkeys (WebAuthn): asks the browser for one, and sends its answer with the page's form. Nothing is decided here.
"use strict";
(() => {
    const button = document.querySelector("button[data-passkey]");
    if (!button || !window.PublicKeyCredential || !navigator.credentials) return;
    const form = button.form;
    const failed = document.querySelector("[data-passkey-failed]");
    const options = JSON.parse(button.dataset.passkey).publicKey;
    const bytes = (text) =>
        Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
    const text = (buffer) =>
        btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

    options.challenge = bytes(options.challenge);
    if (options.user) options.user.id = bytes(options.user.id);
    for (const list of [options.allowCredentials, options.excludeCredentials]) {
        for (const credential of list ?? []) credential.id = bytes(credential.id);
    }

    const asJson = ({ id, rawId, type, response }) => {
        const told = {};
        for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
            if (response[name]) told[name] = text(response[name]);
        }
        return JSON.stringify({ id, type, rawId: text(rawId), response: told, clientExtensionResults: {} });
    };

    let waiting = null;
    const ask = async (more) => {
        const request = { publicKey: options, ...more };
        const credentials = navigator.credentials;
        const credential = await (options.user ? credentials.create(request) : credentials.get(request));
        form.elements.namedItem("answer").value = asJson(credential);
        form.requestSubmit(button);
    };

    button.hidden = false;
    button.addEventListener("click", async (event) => {
        // What is sent by the script comes here, too.
        if (form.elements.namedItem("answer").value) return;
        event.preventDefault();
        waiting?.abort();
        if (failed) failed.hidden = true;
        try {
            await ask({});
        } catch {
            if (failed) failed.hidden = false;
        }
    });

    // Where the browser can, it offers passkeys beside the names that it fills in.
    const offer = async () => {
        if (options.user || !document.querySelector("[autocomplete~=webauthn]")) return;
        if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
        waiting = new AbortController();
        await ask({ mediation: "conditional", signal: waiting.signal });
    };
    offer().catch(() => {});
})();
