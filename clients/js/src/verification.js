// Verification by comparing emoji, both sides of it.

import assert from "node:assert/strict";

import { inTime, need, until } from "./wait.js";

const SAS = "m.sas.v1";
const { Requested, Ready, Started, Done } = { Requested: 2, Ready: 3, Started: 4, Done: 6 };

/** A device asks the other devices of its owner to verify it; one of them does. */
export async function verifyOwn(asker, answerer) {
    const request = await inTime("asking to be verified", asker.crypto.requestOwnUserVerification());
    await compare(asker, request, answerer);
    await asker.isCrossSigned();
    await asker.backsUp();
}

/** A person asks another, in a room of theirs, to verify. `meanwhile` runs when both see the emoji. */
export async function verifyOther(asker, answerer, roomId, meanwhile) {
    const asked = asker.crypto.requestVerificationDM(answerer.userId, roomId);
    await compare(asker, await inTime("asking another to verify", asked), answerer, meanwhile);
}

async function compare(asker, request, answerer, meanwhile = async () => {}) {
    const names = `${asker.label} and ${answerer.label}`;
    const sources = [asker.ticks, answerer.ticks];
    const incoming = await until(`${names}: the request`, sources, () => need(find(answerer, asker, request), "none"));
    await incoming.accept();
    await until(`${names}: accepted`, sources, () => need(request.phase >= Ready, `it is ${request.phase}`));
    const ours = await request.startVerification(SAS);
    const theirs = await until(`${names}: started`, sources, () =>
        need(incoming.phase === Started && incoming.verifier, `it is ${incoming.phase}`),
    );
    const verified = [ours.verify(), theirs.verify()].map((done) => inTime(`${names}: verified`, done));
    Promise.allSettled(verified);
    const shown = await Promise.all(
        [ours, theirs].map((verifier) =>
            until(`${names}: emoji`, sources, () => need(verifier.getShowSasCallbacks(), "none")),
        ),
    );
    assert.equal(shown[0].sas.emoji.length, 7);
    assert.deepEqual(shown[0].sas.emoji, shown[1].sas.emoji, "the emoji differ");
    await meanwhile();
    await Promise.all(shown.map((sas) => sas.confirm()));
    await Promise.all(verified);
    await until(`${names}: done`, sources, () =>
        need(request.phase === Done && incoming.phase === Done, `they are ${request.phase}, ${incoming.phase}`),
    );
}

/** The request as the other side has it. */
function find(device, from, { roomId, transactionId }) {
    const found = roomId
        ? [device.crypto.findVerificationRequestDMInProgress(roomId, from.userId)]
        : device.crypto.getVerificationRequestsToDeviceInProgress(from.userId);
    return found.find((one) => one?.phase === Requested && one.transactionId === transactionId);
}
