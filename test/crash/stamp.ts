/**
 * Files that tell by themselves whether they are whole: each block carries the file's id and length, its own place, and
 * the version it was written in.
 */

export const blockSize = 4096;

export interface Stamp {
	readonly id: number;
	readonly version: number;
	/** Blocks of the whole file. */
	readonly blocks: number;
}

export function stampedBlock({ id, version, blocks }: Stamp, index: number): Buffer {
	return Buffer.alloc(blockSize, `${id} ${version} ${blocks} ${index}\n`);
}

export function stampedFile(stamp: Stamp): Buffer {
	return Buffer.concat(Array.from({ length: stamp.blocks }, (_, index) => stampedBlock(stamp, index)));
}

/** Files with an even id are written in place, so their blocks may differ in version; the others never. */
export function isWrittenInPlace(id: number): boolean {
	return id % 2 === 0;
}

export interface StampedFile {
	readonly id: number;
	/** Of each block. */
	readonly versions: readonly number[];
}

/** What a file holds, or in words what is wrong with it. */
export function readStamps(content: Buffer): StampedFile | string {
	const first = /^(\d+) (\d+) (\d+) (\d+)\n/.exec(content.toString("latin1", 0, 64));
	if (first === null) return `${content.length} bytes without a stamp`;
	const [id, blocks] = [Number(first[1]), Number(first[3])];
	if (content.length !== blocks * blockSize) return `${content.length} bytes of ${blocks * blockSize}`;
	const versions: number[] = [];
	for (let index = 0; index < blocks; index++) {
		const block = content.subarray(index * blockSize, (index + 1) * blockSize);
		const version = Number(/^\d+ (\d+) /.exec(block.toString("latin1", 0, 64))?.[1]);
		if (!block.equals(stampedBlock({ id, version, blocks }, index))) return `block ${index} is not whole`;
		versions.push(version);
	}
	if (!isWrittenInPlace(id) && new Set(versions).size > 1)
		return `mixed of versions ${[...new Set(versions)]}`;
	return { id, versions };
}
