// A mail server on loopback that takes everything (RFC 5321, as far as somebody needs it who hands over mails).

import { once } from "node:events";
import { createServer } from "node:net";

/** A mail server and what it has taken. */
export class MailServer {
    mails = [];

    #waiting = [];

    static async start() {
        const server = new MailServer();
        server.listener = createServer((socket) => server.#converse(socket)).listen(0, "127.0.0.1");
        await once(server.listener, "listening");
        server.port = server.listener.address().port;
        return server;
    }

    stop() {
        this.listener.close();
    }

    /** The next mail, as it came. */
    next() {
        if (this.mails.length > 0) return Promise.resolve(this.mails.shift());
        return new Promise((resolve) => this.#waiting.push(resolve));
    }

    #take(mail) {
        const waits = this.#waiting.shift();
        if (waits) waits(mail);
        else this.mails.push(mail);
    }

    #converse(socket) {
        let [rest, mail] = ["", undefined];
        const say = (text) => socket.write(`${text}\r\n`);
        socket.on("error", () => socket.destroy());
        socket.on("data", (bytes) => {
            rest += bytes;
            for (let end; (end = rest.indexOf("\r\n")) >= 0; ) {
                const line = rest.slice(0, end);
                rest = rest.slice(end + 2);
                if (mail !== undefined && line !== ".") {
                    mail += `${line}\n`;
                } else if (mail !== undefined) {
                    this.#take(mail.replaceAll("=\n", "").replaceAll("=3D", "="));
                    mail = undefined;
                    say("250 ok");
                } else if (/^DATA$/i.test(line)) {
                    mail = "";
                    say("354 go on");
                } else if (/^QUIT$/i.test(line)) {
                    socket.end("221 bye\r\n");
                } else {
                    say("250 ok");
                }
            }
        });
        say("220 test ESMTP");
    }
}
