/** The region for what system calls see: blocks that never overlap and are used again, and exact bytes in them. */
import { describe, expect, test } from "bun:test";
import {
	advance,
	allocate,
	base,
	blockSize,
	bytes,
	copy,
	distance,
	EMPTY_NAME,
	getInt64,
	getNumber,
	lengthOf,
	readBytes,
	readString,
	release,
	reserve,
	setInt64,
	setNumber,
	smaller,
	store,
	view,
	writeString,
} from "../../src/native/memory.ts";
import type { ByteString } from "../../src/options.ts";
import { fillRandomly, randomNumbers } from "../overlay/random.ts";

/** Every byte a file name may hold. */
const everyByte = Array.from({ length: 255 }, (_, index) => String.fromCharCode(index + 1)).join(
	"",
) as ByteString;

describe("reserve", () => {
	test.each([
		[1, 16],
		[100, 16],
		[4095, 16],
		[4096, 4096],
		[100_000, 4096],
	])("%i bytes are aligned to %i, zero, and nobody else's", (size, alignment) => {
		const start = reserve(size);
		expect((base + start) % alignment).toBe(0);
		expect(bytes.subarray(start, start + size).every((byte) => byte === 0)).toBeTrue();
		const other = reserve(1);
		expect(other < start || other >= start + size).toBeTrue();
	});

	test("offset 0 and the empty name read as empty strings", () => {
		expect([readString(0), readString(EMPTY_NAME)]).toEqual(["", ""] as ByteString[]);
		expect(EMPTY_NAME).toBeGreaterThan(0);
	});

	test("more than there is throws, and takes nothing", () => {
		expect(() => reserve(bytes.length)).toThrow("out of memory");
		expect(reserve(16)).toBeLessThan(bytes.length / 2);
	});
});

describe("blocks", () => {
	test.each([
		[0, 8],
		[1, 8],
		[8, 8],
		[9, 16],
		[1024, 1024],
		[1025, 2048],
		[2048, 2048],
		[100_000, 131_072],
	])("for %i bytes take %i", (size, taken) => {
		expect(blockSize(size)).toBe(taken);
	});

	test.each([1, 8, 30, 255, 1024, 1025, 65_536])("of %i bytes are used again once given back", (size) => {
		const first = allocate(size);
		const second = allocate(size);
		expect(second).not.toBe(first);
		release(first, size);
		release(second, size);
		expect([allocate(size), allocate(size)].sort()).toEqual([first, second].sort());
	});

	test("are used again by other sizes that take as much", () => {
		const block = allocate(33);
		release(block, 33);
		expect(allocate(40)).toBe(block);
		expect(allocate(41)).not.toBe(block);
	});

	test("never overlap, and keep their content, while others come and go", () => {
		const random = randomNumbers(1);
		const held: { at: number; size: number; mark: number }[] = [];
		const isIntact = ({ at, size, mark }: { at: number; size: number; mark: number }) =>
			bytes.subarray(at, at + size).every((byte) => byte === mark);
		for (let turn = 0; turn < 20_000; turn++) {
			if (random(2) === 0 || held.length === 0) {
				const size = random(10) === 0 ? 1 + random(10_000) : 1 + random(300);
				const mark = turn & 0xff;
				const at = allocate(size);
				bytes.fill(mark, at, at + size);
				held.push({ at, size, mark });
			} else {
				const [block] = held.splice(random(held.length), 1);
				if (!isIntact(block!)) throw new Error(`a block of ${block!.size} bytes was overwritten`);
				release(block!.at, block!.size);
			}
		}
		expect(held.every(isIntact)).toBeTrue();
	});

	test("that come and go take no more memory than once", () => {
		const before = reserve(16);
		for (let turn = 0; turn < 100_000; turn++) {
			const name = store("a name of some length" as ByteString);
			const large = allocate(5000);
			release(large, 5000);
			release(name, 22);
		}
		expect(reserve(16) - before).toBeLessThan(1 << 18);
	});
});

describe("strings", () => {
	test.each([
		["empty", ""],
		["every byte", everyByte],
		["not UTF-8", "\xff\xfe\xc0\x80"],
		["UTF-8", Buffer.from("grün/日本").toString("latin1")],
		["4 KiB", "x".repeat(4096)],
	])("%s", (_, text) => {
		const name = store(text as ByteString);
		expect(readString(name)).toBe(text as ByteString);
		expect(lengthOf(name)).toBe(text.length);
		expect(readBytes(name, text.length)).toBe(text as ByteString);
		expect([...bytes.subarray(name, name + text.length + 1)]).toEqual([...Buffer.from(text, "latin1"), 0]);
	});

	test("are written with their NUL and nothing behind it", () => {
		const target = reserve(32);
		bytes.fill(0xaa, target, target + 32);
		writeString(target, "abc\xff" as ByteString);
		expect([...bytes.subarray(target, target + 7)]).toEqual([0x61, 0x62, 0x63, 0xff, 0, 0xaa, 0xaa]);
		writeString(target, "" as ByteString);
		expect(readString(target)).toBe("" as ByteString);
		expect(bytes[target + 1]).toBe(0x62);
	});

	test("readBytes goes on over NULs", () => {
		const target = reserve(16);
		fillRandomly(bytes.subarray(target, target + 16), 2);
		bytes[target + 3] = 0;
		expect(
			Buffer.from(readBytes(target, 16), "latin1").equals(bytes.subarray(target, target + 16)),
		).toBeTrue();
	});
});

describe("copy", () => {
	test.each([0, 1, 63, 64, 65, 1000])("%i bytes, and no more", (length) => {
		const source = reserve(1024);
		const target = reserve(1024);
		fillRandomly(bytes.subarray(source, source + 1024), length);
		bytes.fill(0xaa, target, target + 1024);
		copy(target, source, length);
		expect(bytes.slice(target, target + length)).toEqual(bytes.slice(source, source + length));
		expect(bytes[target + length]).toBe(0xaa);
	});
});

describe("numbers", () => {
	test.each([0, 1, 255, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 40, 1e9, 2 ** 52 + 1, 2 ** 53 - 1])(
		"%d is kept as 64 bits",
		(value) => {
			const at = reserve(16);
			view.setBigUint64(at, 0xffffffffffffffffn, true);
			setNumber(at, value);
			expect(view.getBigUint64(at, true)).toBe(BigInt(value));
			expect(getNumber(at)).toBe(value);
			expect(getNumber(at + 8)).toBe(0);
		},
	);
});

describe("signed integers of 64 bits", () => {
	const values = [0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 3n, 2n ** 63n - 1n];

	test.each([...values, ...values.map((value) => -value), -(2n ** 63n)])("%d is kept exactly", (value) => {
		const at = reserve(16);
		view.setBigInt64(at, value, true);
		const read = getInt64(at);
		expect(BigInt(read)).toBe(value);
		expect(typeof read).toBe(value >= -(2n ** 53n) && value < 2n ** 53n ? "number" : "bigint");
		setInt64(at + 8, read);
		expect(view.getBigInt64(at + 8, true)).toBe(value);
	});

	test("sums and distances are exact, and equal ones are the same", () => {
		const largest = Number.MAX_SAFE_INTEGER;
		expect(advance(largest - 3, 3)).toBe(largest);
		expect(advance(largest, 4)).toBe(2n ** 53n + 3n);
		expect(advance(2n ** 62n, 1)).toBe(2n ** 62n + 1n);
		expect(distance(largest, 2n ** 53n + 3n, 100)).toBe(4);
		expect(distance(0, 2n ** 63n - 1n, 100)).toBe(100);
		expect([smaller(5, 2n ** 60n), smaller(2n ** 60n, Number.POSITIVE_INFINITY)]).toEqual([5, 2n ** 60n]);
	});
});
