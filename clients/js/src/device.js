// A person's device: a client with its keys in memory, run the way Element Web runs it.

import { EventEmitter } from "node:events";

import { createClient } from "matrix-js-sdk";
import { SlidingSync } from "matrix-js-sdk/lib/sliding-sync.js";

import { Chat } from "./chat.js";
import { inTime, need, until } from "./wait.js";

/**
 * What a room's row in the list shows, and what an open room needs, as Element Web asks for it, but for the list's
 * timeline: the SDK sends a subscription once, and the protocol has no sticky parameters any more, so that what happens
 * later comes by the list.
 */
const LISTED = {
    timeline_limit: 20,
    required_state: [
        ["m.room.create", ""],
        ["m.room.name", ""],
        ["m.room.encryption", ""],
        ["m.room.join_rules", ""],
        ["m.room.member", "$ME"],
        ["m.room.member", "$LAZY"],
    ],
};
const OPENED = { timeline_limit: 50, required_state: [["*", "*"]] };

/** A logged-in client that syncs in the background. */
export class Device {
    /**
     * Makes an account by user-interactive authentication with its dummy stage; the answer logs this device in.
     *
     * @param {object} place where: the server and the logs
     * @param {string} user the localpart
     * @param {string} name the device's display name
     * @param {object} [options] `sliding`: sync by sliding sync
     */
    static async register(place, user, name, options) {
        const visitor = createClient({ baseUrl: place.server.url, logger: place.logs.of("visitor") });
        const wish = { username: user, password: password(user), initial_device_display_name: name };
        const refusal = await visitor.registerRequest(wish).then(
            () => undefined,
            (error) => error,
        );
        const { session, flows } = refusal?.data ?? {};
        if (!flows) throw new Error(`registering ${user} offered no stages: ${refusal}`);
        const auth = { type: "m.login.dummy", session };
        return Device.#run(place, user, name, await visitor.registerRequest({ ...wish, auth }), options);
    }

    /** Logs in to an account that `register` made. */
    static async logIn(place, user, name, options) {
        const visitor = createClient({ baseUrl: place.server.url, logger: place.logs.of("visitor") });
        const session = await visitor.loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user },
            password: password(user),
            initial_device_display_name: name,
        });
        return Device.#run(place, user, name, session, options);
    }

    /** Runs a device that somebody logged in by OAuth 2.0, as this client. */
    static adopt(place, user, name, { refresh_token: refreshToken, ...session }, oauthClientId) {
        return Device.#run(place, user, name, { ...session, refreshToken, oauthClientId });
    }

    static async #run(place, user, name, session, { sliding = false } = {}) {
        const device = new Device();
        Object.assign(device, { place, user, label: `${user}'s ${name}`, ticks: new EventEmitter() });
        device.ticks.setMaxListeners(100);
        device.client = createClient({
            baseUrl: place.server.url,
            userId: session.user_id,
            deviceId: session.device_id,
            fetchFn: (resource, options) => {
                if (`${resource}`.includes("/keys/query")) device.asked = Date.now();
                return fetch(resource, options);
            },
            accessToken: session.access_token,
            refreshToken: session.refreshToken,
            oauthClientId: session.oauthClientId,
            timelineSupport: true,
            disableVoip: true,
            logger: place.logs.of(device.label),
            cryptoCallbacks: {
                getSecretStorageKey: async ({ keys }) =>
                    device.recoveryKey ? [Object.keys(keys)[0], device.recoveryKey] : null,
                cacheSecretStorageKey: (_id, _info, key) => (device.recoveryKey = key),
            },
        });
        const emit = device.client.emit.bind(device.client);
        device.client.emit = (...what) => {
            const heard = emit(...what);
            device.ticks.emit("tick");
            return heard;
        };
        await device.client.initRustCrypto({ useIndexedDB: false });
        await device.#startSync(sliding);
        return device;
    }

    async #startSync(sliding) {
        const options = {
            initialSyncLimit: 20,
            pendingEventOrdering: "detached",
            lazyLoadMembers: true,
            threadSupport: true,
        };
        if (sliding) {
            const lists = new Map([["all", { ranges: [[0, 19]], ...LISTED }]]);
            this.sliding = new SlidingSync(this.place.server.url, lists, OPENED, this.client, 20_000);
            options.slidingSync = this.sliding;
        }
        await this.client.startClient(options);
        await this.until("the first sync", () => need(this.client.getSyncState() === "SYNCING", "it is not done"));
    }

    get userId() {
        return this.client.getUserId();
    }

    get deviceId() {
        return this.client.getDeviceId();
    }

    get crypto() {
        return this.client.getCrypto();
    }

    /** Ends the app, and its keys with it. */
    close() {
        this.client.stopClient();
    }

    /** Waits until the look finds something here. */
    until(what, look) {
        return until(`${this.label}: ${what}`, [this.ticks], look);
    }

    /** Waits until this device knows the room, as the membership given. */
    room(roomId, membership = "join") {
        return this.until(`${roomId} as ${membership}`, () => {
            const room = this.client.getRoom(roomId);
            need(room?.getMyMembership() === membership, () => `it is ${room?.getMyMembership()}`);
            return room;
        });
    }

    /** Opens a joined room. */
    async open(roomId) {
        const room = await this.room(roomId);
        if (this.sliding) {
            this.sliding.modifyRoomSubscriptions(this.sliding.getRoomSubscriptions().add(roomId));
        }
        await this.until(`${roomId} is encrypted`, async () =>
            need(await this.crypto.isEncryptionEnabledInRoom(roomId), "it is not"),
        );
        return new Chat(this, room);
    }

    /** Makes cross-signing keys, secret storage and a key backup; gives the recovery key. */
    async setUpRecovery() {
        await inTime(`${this.label}: cross-signing`, this.crypto.bootstrapCrossSigning({
            authUploadDeviceSigningKeys: (request) => this.#authenticated(request),
        }));
        await inTime(`${this.label}: secret storage`, this.crypto.bootstrapSecretStorage({
            createSecretStorageKey: () => this.crypto.createRecoveryKeyFromPassphrase(),
            setupNewKeyBackup: true,
        }));
        await this.isCrossSigned();
        await this.backsUp();
        need(await this.crypto.isSecretStorageReady(), "secret storage is not ready");
        return this.recoveryKey;
    }

    /** Gets the secrets from secret storage, and every key from the backup. */
    async recover(recoveryKey) {
        this.recoveryKey = recoveryKey;
        await this.until("the own identity", async () =>
            need(await this.crypto.userHasCrossSigningKeys(this.userId, true), "it is unknown"),
        );
        await inTime(`${this.label}: cross-signing`, this.crypto.bootstrapCrossSigning({}));
        await inTime(`${this.label}: the backup's key`, this.crypto.loadSessionBackupPrivateKeyFromSecretStorage());
        await inTime(`${this.label}: the backup checked`, this.crypto.checkKeyBackupAndEnable());
        await this.isCrossSigned();
        await this.backsUp();
        return inTime(`${this.label}: the backup restored`, this.crypto.restoreKeyBackup());
    }

    async #authenticated(request) {
        try {
            return await request(null);
        } catch (refusal) {
            const { session, flows } = refusal?.data ?? {};
            if (!flows) throw refusal;
            const identifier = { type: "m.id.user", user: this.userId };
            return request({ type: "m.login.password", session, identifier, password: password(this.user) });
        }
    }

    /**
     * Waits until this device knows its owner's keys, and asks for none any more: the SDK drops the private keys that it makes
     * while it hears of those before.
     */
    async hasSettled() {
        await this.until("the own identity", async () =>
            need(await this.crypto.userHasCrossSigningKeys(this.userId), "it is unknown"),
        );
        await this.until("no more questions for keys", () => need(Date.now() - this.asked > 1000, "there are"));
    }

    /** Waits until this device is signed by its owner, and holds the owner's cross-signing keys. */
    isCrossSigned() {
        return this.until("signed by its owner, with the secrets", async () => {
            const status = await this.crypto.getDeviceVerificationStatus(this.userId, this.deviceId);
            const { privateKeysCachedLocally: secrets } = await this.crypto.getCrossSigningStatus();
            const done = status?.crossSigningVerified && Object.values(secrets).every(Boolean);
            need(done, () => `it is ${JSON.stringify({ status, secrets })}`);
        });
    }

    /** Waits until this device uses its owner's key backup. */
    backsUp() {
        return this.until("key backup in use", async () =>
            need(await this.crypto.getActiveSessionBackupVersion(), "it is not"),
        );
    }

    /** Waits until the server holds a backup of at least as many keys. */
    hasBackedUp(keys) {
        return this.until(`${keys} keys backed up`, async () => {
            const { count } = await this.client.http.authedRequest("GET", "/room_keys/version");
            need(count >= keys, `there are ${count}`);
        });
    }

    /** Waits until this device trusts the other person's identity. */
    trusts(userId) {
        return this.until(`${userId} verified`, async () => {
            const status = await this.crypto.getUserVerificationStatus(userId);
            need(status.isCrossSigningVerified(), "not verified");
        });
    }

    /** Makes an encrypted room, invites, and gives its id. */
    async makeRoom(name, invite) {
        const encryption = { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } };
        const preset = invite.length === 1 ? "trusted_private_chat" : "private_chat";
        const request = { name, preset, invite, is_direct: invite.length === 1, initial_state: [encryption] };
        const { room_id: roomId } = await inTime("making a room", this.client.createRoom(request));
        return roomId;
    }

    /** Waits for an invite and joins. */
    async join(roomId) {
        await this.room(roomId, "invite");
        await inTime("joining", this.client.joinRoom(roomId));
        return this.room(roomId);
    }
}

/** The password of a user of these tests. */
export function password(user) {
    return `${user} keeps a long secret`;
}
