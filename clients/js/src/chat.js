// An open room on one device: what is said in it and what can be seen of it.

import assert from "node:assert/strict";

import { decrypt, encrypt } from "./attachment.js";
import { Missing, inTime, need } from "./wait.js";

const BACKWARDS = "b";

/** A room's timelines on one device. */
export class Chat {
    constructor(device, room) {
        Object.assign(this, { device, room, client: device.client, label: device.label });
    }

    get id() {
        return this.room.roomId;
    }

    /** Sends a text, into a thread where its root is given; gives the event's id once the server has acknowledged it. */
    say(body, thread = null) {
        return this.send("m.room.message", { msgtype: "m.text", body }, thread);
    }

    /** Edits a message. */
    async edit(from, to) {
        const event_id = (await this.sees(from)).getId();
        const text = (body) => ({ msgtype: "m.text", body });
        const relation = { "m.new_content": text(to), "m.relates_to": { rel_type: "m.replace", event_id } };
        return this.send("m.room.message", { ...text(`* ${to}`), ...relation });
    }

    /** Reacts to a message; gives the reaction's id. */
    async react(to, key) {
        const event_id = (await this.sees(to)).getId();
        return this.send("m.reaction", { "m.relates_to": { rel_type: "m.annotation", event_id, key } });
    }

    /** Replies to a message. */
    async reply(to, body) {
        const event_id = (await this.sees(to)).getId();
        return this.send("m.room.message", { msgtype: "m.text", body, "m.relates_to": { "m.in_reply_to": { event_id } } });
    }

    /** Redacts an event. */
    redact(eventId) {
        return this.#persist(`redacting ${eventId}`, (txnId) => this.client.redactEvent(this.id, eventId, txnId));
    }

    /** Sends an event; gives its id. */
    send(type, content, thread = null) {
        const what = content.body ?? type;
        return this.#persist(what, (txnId) => this.client.sendEvent(this.id, thread, type, content, txnId));
    }

    /** Sends; where the SDK gives up, does what the user does who sees "not sent": sends it again. */
    async #persist(what, attempt) {
        const txnId = this.client.makeTxnId();
        let echo;
        const note = (event) => {
            if (event.getTxnId() === txnId) echo ??= event;
        };
        this.room.on("Room.localEchoUpdated", note);
        let sending = attempt(txnId);
        try {
            return await this.device.until(`sending ${what}`, async () => {
                try {
                    return (await sending).event_id;
                } catch (error) {
                    // The SDK fails where the event comes by sync, or from a thread, before the answer to its sending.
                    if (echo?.status === null) return echo.getId();
                    if (echo?.status === "not_sent") sending = this.client.resendEvent(echo, this.room);
                    throw new Missing(`${echo?.status}: ${error}`);
                }
            });
        } finally {
            this.room.off("Room.localEchoUpdated", note);
        }
    }

    /** Sends an image with a thumbnail, both encrypted. */
    async sendImage(body, bytes, thumbnail) {
        const upload = async (bytes) => {
            const { ciphertext, file } = await encrypt(bytes);
            const type = "application/octet-stream";
            const upload = this.client.uploadContent(ciphertext, { type, includeFilename: false });
            return { ...file, url: (await inTime("an upload", upload)).content_uri };
        };
        const [file, thumbnail_file] = [await upload(bytes), await upload(thumbnail)];
        const info = { mimetype: "image/png", size: bytes.length, w: 64, h: 48, thumbnail_file };
        return this.send("m.room.message", { msgtype: "m.image", body, file, info });
    }

    /** Downloads an image and its thumbnail from the server and decrypts them. */
    async image(body) {
        const { url, file, info } = (await this.sees(body)).getContent();
        assert.equal(url, undefined, `${this.label}: media in the clear`);
        const download = async (file) => {
            const url = this.client.mxcUrlToHttp(file.url, undefined, undefined, undefined, false, true, true);
            const headers = { Authorization: `Bearer ${this.client.getAccessToken()}` };
            const answer = await inTime("a download", fetch(url, { headers }));
            assert.equal(answer.status, 200, `${this.label}: ${url}`);
            return decrypt(Buffer.from(await answer.arrayBuffer()), file);
        };
        return { bytes: await download(file), thumbnail: await download(info.thumbnail_file) };
    }

    /** The events outside threads, in order. */
    main() {
        return chain(this.room.getLiveTimeline()).flatMap((timeline) => timeline.getEvents());
    }

    /** The events of a thread, in order. */
    inThread(root) {
        const thread = this.room.getThread(root);
        return thread ? chain(thread.liveTimeline).flatMap((timeline) => timeline.getEvents()) : [];
    }

    /** All events: those of the room, then those of its threads. */
    events() {
        const threads = this.room.getThreads().flatMap(({ id }) => this.inThread(id));
        return [...new Map([...this.main(), ...threads].map((event) => [event.getId(), event])).values()];
    }

    /** Waits for a message with this text. */
    sees(body, where = () => this.events()) {
        return this.device.until(JSON.stringify(body), () => {
            const found = where().find((event) => event.getContent().body === body && !event.status);
            return need(found, () => this.listing());
        });
    }

    /** Waits for a message as `sees` does, scrolling back for it: it may lie behind a gap. */
    finds(body) {
        return this.device.until(`${JSON.stringify(body)}, scrolling back`, async () => {
            const found = () => this.events().find((event) => event.getContent().body === body && !event.status);
            if (!found()) await this.loadHistory();
            return need(found(), () => this.listing());
        });
    }

    /** Waits until a message shows as edited. */
    async seesEdited(body) {
        const event = await this.sees(body);
        return this.device.until(`${body} as an edit`, () => need(event.replacingEvent(), "it is none"));
    }

    /** Waits until somebody's reaction shows on a message, or is gone. */
    async seesReaction(body, key, by, there = true) {
        const id = (await this.sees(body)).getId();
        return this.device.until(`${key} of ${by} on ${body}: ${there}`, () => {
            const relations = this.room.relations.getChildEventsForEvent(id, "m.annotation", "m.reaction");
            const [, of = new Set()] = relations?.getSortedAnnotationsByKey()?.find(([one]) => one === key) ?? [];
            const found = [...of].some((event) => event.getSender() === by && !event.status);
            need(found === there, () => `it is ${found}`);
        });
    }

    /** Waits for a message that replies to another. */
    async seesReply(body, to) {
        const event = await this.sees(body);
        assert.equal(event.replyEventId, to, `${this.label}: ${body} replies to another message`);
    }

    /** Waits until an event is redacted. */
    seesRedacted(eventId) {
        return this.device.until(`${eventId} redacted`, () =>
            need(this.room.findEventById(eventId)?.isRedacted(), () => this.listing()),
        );
    }

    /** Waits until somebody has read a message. */
    async seesRead(body, by) {
        const event = await this.sees(body);
        return this.device.until(`${body} read by ${by}`, () =>
            need(this.room.hasUserReadEvent(by, event.getId()), () => `read up to ${this.room.getEventReadUpTo(by)}`),
        );
    }

    /** Reads up to a message. */
    async read(body) {
        const event = await this.sees(body);
        await inTime("a receipt", this.client.sendReadReceipt(event));
    }

    /** Waits until nothing is unread here. */
    hasNothingUnread() {
        return this.device.until("nothing unread", () => {
            const counts = ["total", "highlight"].map((kind) => this.room.getUnreadNotificationCount(kind));
            need(counts.every((count) => count === 0), `there are ${counts}`);
        });
    }

    /** Waits until somebody types, or no longer does. */
    seesTyping(userId, typing) {
        return this.device.until(`typing of ${userId} is ${typing}`, () =>
            need(Boolean(this.room.getMember(userId)?.typing) === typing, "it is not"),
        );
    }

    /** Loads history until the start of the room and of its threads, as scrolling up and opening the threads does. */
    async loadHistory() {
        await this.device.until("the history", async () => {
            try {
                await this.#loadBack(this.room.getLiveTimeline());
                await this.room.createThreadsTimelineSets();
                await this.room.fetchRoomThreads();
                for (const thread of this.room.getThreads()) await this.#loadBack(thread.liveTimeline);
            } catch (error) {
                throw new Missing(String(error));
            }
            // Over sliding sync, the SDK puts what it finds in a gap before all else.
            const begins = ([first]) => first?.getType() === "m.room.create";
            const complete = begins(this.device.sliding ? this.main().filter((event) => event.isState()) : this.main());
            need(complete, () => `it does not begin with the room's creation: ${this.listing()}`);
        });
    }

    async #loadBack(live) {
        for (const timeline of chain(live).reverse()) {
            while (timeline.getPaginationToken(BACKWARDS)) {
                await this.client.paginateEventTimeline(timeline, { backwards: true, limit: 30 });
            }
        }
    }

    /** Waits until every event is decrypted, and none waits to be sent. */
    showsAllDecrypted() {
        return this.device.until("everything decrypted and sent", async () => {
            const events = this.events();
            for (const event of events) {
                // The edit that comes bundled with an event is an event of its own.
                for (const one of [event, event.replacingEvent()].filter(Boolean)) await this.client.decryptEventIfNeeded(one);
            }
            const bad = events.filter((event) => event.isEncrypted() && !event.isRedacted() && !event.getClearContent());
            const failed = events.filter((event) => event.isDecryptionFailure());
            // The SDK keeps the echo of what was sent just before a gap, though scrolling back has brought the event.
            const echoes = this.room.getPendingEvents().filter((echo) => !this.room.findEventById(echo.getId()));
            const all = [...new Set([...bad, ...failed, ...echoes])];
            need(all.length === 0, () => all.map(line).join("\n"));
            return events;
        });
    }

    /** What the timelines show, one event in a line. */
    listing() {
        const events = this.events();
        return [`there are ${events.length} events:`, ...events.map(line)].join("\n  ");
    }
}

/** The timelines up to this one, the first one first; between two there is no gap. */
function chain(live) {
    const timelines = [];
    for (let one = live; one; one = one.getNeighbouringTimeline(BACKWARDS)) timelines.unshift(one);
    return timelines;
}

/** The text of a message that is not an edit of another. */
export function body(event) {
    const shown = event.getType() === "m.room.message" && !event.isRelation("m.replace");
    return shown ? event.getContent().body : undefined;
}

function line(event) {
    const what = event.isDecryptionFailure()
        ? `unable to decrypt: ${event.decryptionFailureReason}`
        : (event.getContent().body ?? event.getType());
    const state = event.status ? ` ${event.status}` : event.isRedacted() ? " redacted" : "";
    return `${event.getSender()} ${JSON.stringify(what)}${state} (${event.getId()})`;
}
