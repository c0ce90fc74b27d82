// Encrypted attachments as the specification describes them: AES-CTR with a key, a hash and a counter in the event.

import { webcrypto } from "node:crypto";

const { subtle } = webcrypto;
const CTR = (iv) => ({ name: "AES-CTR", counter: iv, length: 64 });
const unpadded = (bytes) => Buffer.from(bytes).toString("base64").replace(/=+$/, "");

/** Encrypts bytes; gives the ciphertext and the `EncryptedFile` without its `url`. */
export async function encrypt(bytes) {
    const key = await subtle.generateKey({ name: "AES-CTR", length: 256 }, true, ["encrypt", "decrypt"]);
    const iv = new Uint8Array(16);
    webcrypto.getRandomValues(iv.subarray(0, 8));
    const ciphertext = Buffer.from(await subtle.encrypt(CTR(iv), key, bytes));
    const hash = await subtle.digest("SHA-256", ciphertext);
    const file = { v: "v2", key: await subtle.exportKey("jwk", key), iv: unpadded(iv), hashes: { sha256: unpadded(hash) } };
    return { ciphertext, file };
}

/** Decrypts what an `EncryptedFile` describes. */
export async function decrypt(ciphertext, file) {
    const hash = unpadded(await subtle.digest("SHA-256", ciphertext));
    if (hash !== file.hashes.sha256) throw new Error(`another file than was sent: its hash is ${hash}`);
    const key = await subtle.importKey("jwk", file.key, { name: "AES-CTR" }, false, ["decrypt"]);
    return Buffer.from(await subtle.decrypt(CTR(Buffer.from(file.iv, "base64")), key, ciphertext));
}
