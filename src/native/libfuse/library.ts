/** libfuse: finding it, and its functions as they are. Sessions and requests are its pointers, as numbers. */
import { dlopen, JSCallback, type Pointer } from "bun:ffi";
import type { ByteString } from "../../options.ts";
import { fuseArgs, fuseBuf, fuseLowlevelOps, O_DIRECTORY, O_PATH } from "../layout.ts";
import { close, type Fd, openAt, WORKING_DIRECTORY } from "../libc/file.ts";
import { base, type Offset, readString, reserve, store, view, words, writeString } from "../memory.ts";

/** A `struct fuse_session`, by its address. */
export type FuseSession = number & { readonly __brand: "FuseSession" };
/** A `fuse_req_t`, by its address: a request not yet answered. */
export type FuseRequest = number & { readonly __brand: "FuseRequest" };

/** so.4 is libfuse 3.17 and later, so.3 all before; this program works the same with both. */
const LIBRARIES = ["libfuse3.so.4", "libfuse3.so.3"];

const FUNCTIONS = {
	fuse_session_new: { args: ["usize", "usize", "usize", "usize"], returns: "ptr" },
	fuse_session_mount: { args: ["ptr", "usize"], returns: "i32" },
	fuse_session_destroy: { args: ["ptr"], returns: "void" },
	fuse_session_fd: { args: ["ptr"], returns: "i32" },
	fuse_session_process_buf: { args: ["ptr", "usize"], returns: "void" },
	fuse_reply_none: { args: ["ptr"], returns: "void" },
	fuse_reply_err: { args: ["ptr", "i32"], returns: "i32" },
	fuse_reply_buf: { args: ["ptr", "usize", "usize"], returns: "i32" },
	fuse_set_log_func: { args: ["ptr"], returns: "void" },
	fuse_pkgversion: { args: [], returns: "ptr" },
} as const;

const libc = dlopen("libc.so.6", {
	vsnprintf: { args: ["usize", "usize", "ptr", "ptr"], returns: "i32" },
	strnlen: { args: ["ptr", "usize"], returns: "usize" },
	memcpy: { args: ["usize", "ptr", "usize"], returns: "ptr" },
	fchdir: { args: ["i32"], returns: "i32" },
}).symbols;

const SELF = store("." as ByteString);
const TEXT_SIZE = 1024;
const TEXT = reserve(TEXT_SIZE);

/** Nothing that this program can run with is installed. */
export class LibraryMissing extends Error {
	override readonly name = "LibraryMissing";
}

function open() {
	// Bun looks in the working directory for a library that the system does not have: let that be one nobody can write to.
	// It is gone back to by a descriptor: it may have no path that leads there.
	const directory = openAt(WORKING_DIRECTORY, SELF, O_PATH | O_DIRECTORY);
	process.chdir("/");
	try {
		for (const file of LIBRARIES) {
			try {
				return dlopen(file, FUNCTIONS).symbols;
			} catch {
				// Not installed: the next one may be.
			}
		}
	} finally {
		libc.fchdir(directory);
		close(directory);
	}
	throw new LibraryMissing(
		`cannot load ${LIBRARIES.join(" or ")}: install libfuse 3.10 or later (Debian and Ubuntu: apt install libfuse3-3 fuse3)`,
	);
}

export class Libfuse {
	private readonly symbols: ReturnType<typeof open>;
	private readonly buffer = reserve(fuseBuf.sizeof);
	private logCallback: JSCallback | undefined;

	/** Throws LibraryMissing. */
	constructor() {
		this.symbols = open();
	}

	/** "3.14.0". */
	version(): string {
		const text = this.symbols.fuse_pkgversion() as Pointer;
		const length = Number(libc.strnlen(text, TEXT_SIZE - 1));
		libc.memcpy(base + TEXT, text, length);
		view.setUint8(TEXT + length, 0);
		return readString(TEXT);
	}

	/** The size of its `struct fuse_lowlevel_ops`: it complains of a table with more than it knows. */
	operationsSize(): number {
		const minor = Number(/^3\.(\d+)/.exec(this.version())?.[1] ?? 0);
		if (minor < 17) return fuseLowlevelOps.tmpfile;
		return minor < 18 ? fuseLowlevelOps.statx : fuseLowlevelOps.sizeof;
	}

	/** Has libfuse's own messages told to `log`, one line each, instead of written to stderr. */
	redirectLog(log: (message: string) => void): void {
		this.logCallback = new JSCallback(
			(_level: number, format: Pointer, args: Pointer) => {
				try {
					libc.vsnprintf(base + TEXT, TEXT_SIZE, format, args);
					log(readString(TEXT).trimEnd());
				} catch {
					// A message that cannot be told must not harm the request it is about.
				}
			},
			{ args: ["i32", "ptr", "ptr"], returns: "void" },
		);
		this.symbols.fuse_set_log_func(this.logCallback.ptr);
	}

	/** A session that calls `operations`, a `struct fuse_lowlevel_ops`; undefined where libfuse refuses `options`. */
	newSession(options: ByteString, operations: Offset, size: number): FuseSession | undefined {
		const args = ["fuse-overlayfs", "-o", options] as ByteString[];
		const vector = reserve((args.length + 1) * 8);
		args.forEach((arg, index) => {
			const at = reserve(arg.length + 1);
			writeString(at, arg);
			view.setBigUint64(vector + index * 8, BigInt(base + at), true);
		});
		const list = reserve(fuseArgs.sizeof);
		words[(list + fuseArgs.argc) >>> 2] = args.length;
		view.setBigUint64(list + fuseArgs.argv, BigInt(base + vector), true);
		const session = this.symbols.fuse_session_new(base + list, base + operations, size, 0);
		return session === null ? undefined : (Number(session) as FuseSession);
	}

	/** Mounts; false on failure, which libfuse has logged. */
	mount(session: FuseSession, mountpoint: Offset): boolean {
		return this.symbols.fuse_session_mount(session as unknown as Pointer, base + mountpoint) === 0;
	}

	destroy(session: FuseSession): void {
		this.symbols.fuse_session_destroy(session as unknown as Pointer);
	}

	descriptor(session: FuseSession): Fd {
		return this.symbols.fuse_session_fd(session as unknown as Pointer) as Fd;
	}

	/** Has libfuse take the `size` bytes at `message` apart and call the operation, before it returns. */
	process(session: FuseSession, message: Offset, size: number): void {
		const { buffer } = this;
		words[(buffer + fuseBuf.size) >>> 2] = size;
		words[(buffer + fuseBuf.mem) >>> 2] = base + message;
		words[(buffer + fuseBuf.mem + 4) >>> 2] = (base + message) / 2 ** 32;
		this.symbols.fuse_session_process_buf(session as unknown as Pointer, base + this.buffer);
	}

	/** Ends a request without an answer. */
	replyNone(request: FuseRequest): void {
		this.symbols.fuse_reply_none(request as unknown as Pointer);
	}

	/** Answers a positive errno, or 0 for success. */
	replyError(request: FuseRequest, errno: number): number {
		return this.symbols.fuse_reply_err(request as unknown as Pointer, errno);
	}

	/** Answers `size` bytes in the kernel's own layout; returns 0, or -errno where nobody waits any more. */
	replyBytes(request: FuseRequest, at: Offset, size: number): number {
		return this.symbols.fuse_reply_buf(request as unknown as Pointer, base + at, size);
	}
}
