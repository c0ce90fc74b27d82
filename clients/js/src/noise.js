/** Bytes that do not compress, the same for the same seed. */
export function noise(length, seed) {
    let state = BigInt(seed);
    return Buffer.from({ length }, () => {
        state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
        return Number(state >> 56n);
    });
}
