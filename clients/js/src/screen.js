// Pictures of a virtual screen: Xvfb keeps its frame buffer in a file in the format of X window dumps.

import { readFileSync, writeFileSync } from "node:fs";
import { crc32, deflateSync } from "node:zlib";

/** Writes what the frame buffer shows as a PNG. */
export function screenshot(dump, path) {
    const { width, height, row } = readDump(readFileSync(dump));
    const pixels = Buffer.alloc(height * (width * 3 + 1)); // each line begins with its filter: none
    for (let y = 0, to = 0; y < height; y++) {
        to++;
        for (let x = 0; x < width; x++) {
            const [blue, green, red] = row(y).subarray(x * 4);
            pixels[to++] = red;
            pixels[to++] = green;
            pixels[to++] = blue;
        }
    }
    const header = Buffer.alloc(13);
    header.writeUInt32BE(width, 0);
    header.writeUInt32BE(height, 4);
    header.set([8, 2], 8); // eight bits a channel, RGB
    const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
    const chunks = [chunk("IHDR", header), chunk("IDAT", deflateSync(pixels)), chunk("IEND", Buffer.alloc(0))];
    writeFileSync(path, Buffer.concat([signature, ...chunks]));
}

/** The lines of a dump with 32 bits a pixel, blue first. */
function readDump(dump) {
    const field = (index) => dump.readUInt32BE(index * 4);
    const [headerSize, width, height, bits, stride, colours] = [0, 4, 5, 11, 12, 19].map(field);
    if (bits !== 32) throw new Error(`a screen of ${bits} bits a pixel`);
    const start = headerSize + colours * 12;
    return { width, height, row: (y) => dump.subarray(start + y * stride, start + (y + 1) * stride) };
}

function chunk(type, data) {
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}
