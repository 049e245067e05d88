/** Random numbers that are the same in every run, so that a failure can be looked at again. */

/** A source of integers `0 .. below - 1` (xorshift32); `seed` must not be 0. */
export function randomNumbers(seed: number): (below: number) => number {
	let state = Math.imul(seed, 0x9e3779b1) | 1;
	return (below) => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) % below;
	};
}

export function fillRandomly(target: Uint8Array, seed: number): void {
	const random = randomNumbers(seed);
	for (let index = 0; index < target.length; index++) target[index] = random(256);
}

/** One of them. */
export function oneOf<Item>(random: (below: number) => number, items: readonly Item[]): Item {
	return items[random(items.length)] as Item;
}
