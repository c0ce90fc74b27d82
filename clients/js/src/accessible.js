// Whether everybody can use a page: what axe-core finds by the rules of WCAG 2.2, levels A and AA, in light and dark, on a
// phone and a desk, and whether the page fits a narrow screen.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const axe = createRequire(import.meta.url)("axe-core");

const LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const SCREENS = { phone: { width: 360, height: 740 }, desk: { width: 1280, height: 900 } };
/** The width to which a page must fit without scrolling aside (WCAG 1.4.10), in pixels. */
const NARROW = { width: 320, height: 640 };

/** Fails with what is wrong on the page that the window shows. */
export async function isAccessible(window, name) {
    const { page } = window;
    // By the protocol, past the page's policy, which allows no script.
    await page.evaluate(axe.source);
    for (const [screen, size] of Object.entries(SCREENS)) {
        await page.setViewportSize(size);
        for (const colorScheme of ["light", "dark"]) {
            await page.emulateMedia({ colorScheme });
            const found = await page.evaluate((levels) => globalThis.axe.run({ runOnly: levels }), LEVELS);
            assert.deepEqual(found.violations.map(told), [], `${name}, ${colorScheme}, on a ${screen}`);
            assert.ok(found.passes.length > 2, `${name}: nothing was looked at`);
        }
    }
    await page.setViewportSize(NARROW);
    const [content, screen] = await page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
    assert.ok(content <= screen, `${name} is ${content} wide on a screen of ${screen}`);
    await page.setViewportSize(SCREENS.desk);
}

function told({ id, help, nodes }) {
    return `${id}: ${help}: ${nodes.map((node) => `${node.html} (${node.failureSummary})`).join("; ")}`;
}
