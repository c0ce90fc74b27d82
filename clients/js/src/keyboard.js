// Whether a page can be used by the keyboard alone (WCAG 2.2, 2.1.1, 2.1.2, 2.4.3, 2.4.7, 2.4.11): Tab goes to everything that
// can be used, in the order in which it is read, is caught nowhere, and one sees where one is.

import assert from "node:assert/strict";

/** Fails with what is wrong on the page that the window shows. */
export async function isWalkable(window, name) {
    const { page } = window;
    const all = await page.evaluate(everything);
    assert.ok(all.length > 0 || !(await page.locator("form").count()), `${name} has a form and nothing to use it by`);
    const walked = [];
    // One more than there are: after the last one comes the first again, perhaps by way of the page itself.
    for (let presses = 0; walked.length <= all.length && presses < all.length + 3; presses++) {
        await page.keyboard.press("Tab");
        const place = await page.evaluate(here);
        if (!place) continue;
        assert.ok(place.isShown, `${name}: ${place.path} is reached, and hidden`);
        assert.ok(place.isMarked, `${name}: ${place.path} does not show that it is where one is (${place.outline})`);
        walked.push(place.path);
    }
    // It may begin at a field that has the focus already.
    const first = all.indexOf(walked[0]);
    const expected = [...all.slice(first), ...all.slice(0, first)];
    assert.deepEqual(walked.slice(0, all.length), expected, `${name}: the order of what Tab goes to`);
}

/** What can be used on the page, in its order. */
function everything() {
    globalThis.pathOf = (element) => {
        const steps = [];
        for (let at = element; at.parentElement; at = at.parentElement) {
            steps.unshift(`${at.localName}${[...at.parentElement.children].indexOf(at)}`);
        }
        return `${steps.join(">")} "${(element.textContent || element.name || "").trim().slice(0, 40)}"`;
    };
    const used = [...document.querySelectorAll("a[href],button,input,select,textarea,summary,[tabindex='0']")];
    const isThere = (element) => element.type !== "hidden" && !element.disabled && element.checkVisibility();
    // Of the choices of one question Tab goes to one.
    const isOne = (element, number, all) =>
        element.type !== "radio" || number === all.findIndex((other) => other.type === "radio" && other.name === element.name);
    return used.filter(isThere).filter(isOne).map(globalThis.pathOf);
}

/** Where the focus is. */
function here() {
    const element = document.activeElement;
    if (!element || element === document.body || element === document.documentElement) return null;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const isInside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    return {
        path: globalThis.pathOf(element),
        isShown: element.checkVisibility() && isInside,
        // What the browser itself draws (`auto`) is made to be seen.
        isMarked: outlineStyle === "auto" || (outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 2),
        outline: `${outlineStyle} ${outlineWidth}`,
    };
}
