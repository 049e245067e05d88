/**
 * The other end of /dev/fuse: a program under test is given a socket for it, and the test says what the kernel would,
 * or would never. So another kernel's messages are tried on this machine's, byte for byte.
 */

import { dlopen } from "bun:ffi";
import { closeSync, existsSync, readFileSync, readSync, writeSync } from "node:fs";
import {
	FUSE_INIT,
	FUSE_KERNEL_VERSION,
	FUSE_ROOT_ID,
	fuseInHeader,
	fuseInitIn,
	fuseInitOut,
	fuseOutHeader,
} from "../../src/native/layout.ts";
import { type Description, type TemporaryTree, temporaryTree } from "../harness/layers.ts";
import { layerOptions, startProgram } from "../harness/mount.ts";
import { checked, stableBuffer } from "../harness/native.ts";

const libc = dlopen("libc.so.6", {
	socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
	setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
}).symbols;
const AF_UNIX = 1;
/** Messages arrive whole, one for each read(2), as from /dev/fuse. */
const SOCK_SEQPACKET_CLOEXEC = 0x80005;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const patienceSeconds = 10n;
const largestMessage = 1 << 21;

export interface Answer {
	/** 0, or a positive errno. */
	readonly error: number;
	readonly body: Buffer;
}

/** Numbers of 32 bits, and strings with their NUL, one after the other. */
export function bodyOf(...parts: readonly (number | bigint | string | Buffer)[]): Buffer {
	return Buffer.concat(
		parts.map((part) => {
			if (Buffer.isBuffer(part)) return part;
			if (typeof part === "string") return Buffer.from(`${part}\0`, "latin1");
			const number = Buffer.alloc(typeof part === "bigint" ? 8 : 4);
			if (typeof part === "bigint") number.writeBigUInt64LE(BigInt.asUintN(64, part));
			else number.writeUInt32LE(part);
			return number;
		}),
	);
}

function socketPair(): [number, number] {
	const pair = stableBuffer(8);
	checked("socketpair", libc.socketpair(AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0, pair));
	const [ours, theirs] = [pair.readInt32LE(0), pair.readInt32LE(4)];
	const patience = stableBuffer(16);
	patience.writeBigInt64LE(patienceSeconds);
	checked("setsockopt", libc.setsockopt(ours, SOL_SOCKET, SO_RCVTIMEO, patience, patience.length));
	return [ours, theirs];
}

/** A kernel that offers these flags, all below bit 32, by a protocol before 7.36. */
export interface KernelPlayed {
	readonly minor: number;
	readonly flags: number;
}

export class PlayedKernel implements AsyncDisposable {
	readonly tree: TemporaryTree = temporaryTree();
	readonly upper: string;
	/** The answer to INIT. */
	readonly init: Answer;
	readonly #fd: number;
	readonly #program: ReturnType<typeof startProgram>;
	readonly #log: string;
	#unique = 2n;

	/** Starts the program on layers, with `options` as one `-o` each, and says INIT. */
	constructor(kernel: KernelPlayed, lower: Description, options: readonly string[] = []) {
		const layers = this.tree.layers([lower]);
		this.upper = layers.upper;
		// Into a file: nobody reads a pipe while this waits for an answer.
		this.#log = this.tree.join("log");
		const [ours, theirs] = socketPair();
		this.#fd = ours;
		const given = [layerOptions(layers), ...options].flatMap((option) => ["-o", option]);
		this.#program = startProgram(["-f", ...given, "/dev/fd/3"], {
			inherit: [theirs],
			environment: { FUSE_OVERLAYFS_DEBUG_LOG: this.#log },
		});
		closeSync(theirs);
		const { maxReadahead, flags } = fuseInitIn;
		if (maxReadahead !== 8 || flags !== 12) throw new Error("INIT has another layout");
		this.init = this.ask(FUSE_INIT, bodyOf(FUSE_KERNEL_VERSION, kernel.minor, 131072, kernel.flags));
		// Libfuse answers too, and too late.
		this.#receive();
	}

	/** The flags taken by the answer to INIT. */
	get taken(): number {
		return this.init.body.readUInt32LE(fuseInitOut.flags);
	}

	/** One message and its answer. `uid` asks, of the node `node`. */
	ask(opcode: number, body: Buffer, node: bigint | number = FUSE_ROOT_ID, uid = 0): Answer {
		this.tell(opcode, body, node, uid);
		return this.#receive();
	}

	/** A message that has no answer. */
	tell(opcode: number, body: Buffer, node: bigint | number = FUSE_ROOT_ID, uid = 0): void {
		const message = Buffer.alloc(fuseInHeader.sizeof + body.length);
		message.writeUInt32LE(message.length, fuseInHeader.len);
		message.writeUInt32LE(opcode, fuseInHeader.opcode);
		message.writeBigUInt64LE(this.#unique++, fuseInHeader.unique);
		message.writeBigUInt64LE(BigInt(node), fuseInHeader.nodeid);
		message.writeUInt32LE(uid, fuseInHeader.uid);
		message.writeUInt32LE(uid, fuseInHeader.gid);
		message.writeUInt32LE(process.pid, fuseInHeader.pid);
		body.copy(message, fuseInHeader.sizeof);
		writeSync(this.#fd, message);
	}

	/** The next answer; what the program says unasked is passed over. */
	#receive(): Answer {
		const message = Buffer.alloc(largestMessage);
		for (;;) {
			const size = readSync(this.#fd, message);
			if (size === 0) throw new Error("the program has ended");
			if (message.readBigUInt64LE(fuseOutHeader.unique) === 0n) continue;
			const error = Math.abs(message.readInt32LE(fuseOutHeader.error));
			return { error, body: Buffer.from(message.subarray(fuseOutHeader.sizeof, size)) };
		}
	}

	/** Ends the mount, as the kernel does; returns what the program has complained of. */
	async end(): Promise<string> {
		closeSync(this.#fd);
		await this.#program.child.exited;
		return existsSync(this.#log) ? readFileSync(this.#log, "latin1") : "";
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#program.child.kill("SIGKILL");
		await this.#program.child.exited;
		this.tree[Symbol.dispose]();
	}
}
