/** Operations at random, each for the overlay under test and for a mount to compare it with. */

import {
	appendFileSync,
	chmodSync,
	lchownSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmdirSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { S_IFDIR, S_IFIFO, S_IFREG } from "../../../src/native/layout.ts";
import {
	mknod,
	RENAME_EXCHANGE,
	RENAME_NOREPLACE,
	removexattr,
	renameat2,
	setxattr,
} from "../../harness/native.ts";
import { oneOf } from "../random.ts";
import type { Client } from "./client.ts";
import { deepest, names, type Random } from "./random-layers.ts";

function randomPath(random: Random, known: readonly string[]): string {
	if (known.length > 0 && random(2) === 0) return oneOf(random, known);
	return Array.from({ length: 1 + random(deepest) }, () => oneOf(random, names)).join("/");
}

/** One operation, on the overlay under test and on the kernel's mount; each answers the error or what it saw. */
export interface Operation {
	readonly title: string;
	ours(core: Client): unknown;
	kernels(at: (path: string) => string): unknown;
}

/** @param known paths that exist: half of the time one of them is used */
export function randomOperation(random: Random, known: readonly string[]): Operation {
	const path = randomPath(random, known);
	const other = randomPath(random, known);
	const mode = oneOf(random, [0o644, 0o600, 0o4755, 0o2755, 0o1777, 0]);
	const text = "x".repeat(random(20));
	const operations: readonly (() => Operation)[] = [
		() => ({
			title: `create ${path}`,
			ours: (core) => void core.create(path, text),
			kernels: (at) => writeFileSync(at(path), text, { flag: "wx" }),
		}),
		() => ({
			title: `mkdir ${path}`,
			ours: (core) => void core.mkdir(path),
			kernels: (at) => void mkdirSync(at(path)),
		}),
		() => ({
			title: `symlink ${path}`,
			ours: (core) => void core.symlink("/dev/null", path),
			kernels: (at) => symlinkSync("/dev/null", at(path)),
		}),
		() => ({
			title: `mkfifo ${path}`,
			ours: (core) => void core.make(path, S_IFIFO | 0o640),
			kernels: (at) => mknod(at(path), 0o010640),
		}),
		() => ({
			title: `unlink ${path}`,
			ours: (core) => core.unlink(path),
			kernels: (at) => unlinkSync(at(path)),
		}),
		() => ({
			title: `rmdir ${path}`,
			ours: (core) => core.rmdir(path),
			kernels: (at) => rmdirSync(at(path)),
		}),
		() => ({
			title: `rename ${path} ${other}`,
			ours: (core) => core.rename(path, other),
			kernels: (at) => renameat2(at(path), at(other), 0),
		}),
		() => ({
			title: `rename without replacing ${path} ${other}`,
			ours: (core) => core.renameNoReplace(path, other),
			kernels: (at) => renameat2(at(path), at(other), RENAME_NOREPLACE),
		}),
		() => ({
			title: `exchange ${path} ${other}`,
			ours: (core) => core.exchange(path, other),
			kernels: (at) => renameat2(at(path), at(other), RENAME_EXCHANGE),
		}),
		() => ({
			title: `link ${path} ${other}`,
			ours: (core) => core.link(path, other),
			kernels: (at) => linkSync(at(path), at(other)),
		}),
		() => ({
			title: `chown ${path}`,
			ours: (core) => void core.change(path, { uid: mode, gid: 7 }),
			kernels: (at) => lchownSync(at(path), mode, 7),
		}),
		() => ({
			title: `readdir ${path}`,
			ours: (core) => core.names(path),
			kernels: (at) => readdirSync(at(path)).sort(),
		}),
	];
	/** On files or directories only: a symlink would be followed by the one and not by the other. */
	const onPlain: readonly (() => Operation)[] = [
		() => ({
			title: `append to ${path}`,
			ours: (core) => core.write(path, text, core.stat(path).size),
			kernels: (at) => appendFileSync(at(path), text),
		}),
		() => ({
			title: `truncate ${path}`,
			ours: (core) => void core.change(path, { size: 3 }),
			kernels: (at) => truncateSync(at(path), 3),
		}),
		() => ({
			title: `read ${path}`,
			ours: (core) => core.read(path),
			kernels: (at) => readFileSync(at(path), "latin1"),
		}),
		() => ({
			title: `chmod ${path}`,
			ours: (core) => void core.change(path, { mode }),
			kernels: (at) => chmodSync(at(path), mode),
		}),
		() => ({
			title: `setxattr ${path}`,
			ours: (core) => core.setxattr(path, "user.note", text),
			kernels: (at) => setxattr(at(path), "user.note", text),
		}),
		() => ({
			title: `removexattr ${path}`,
			ours: (core) => core.removexattr(path, "user.note"),
			kernels: (at) => removexattr(at(path), "user.note"),
		}),
	];
	if (random(3) > 0) return oneOf(random, operations)();
	const { title, ours, kernels } = oneOf(random, onPlain)();
	const onFiles = /^(append|truncate|read )/.test(title);
	return {
		title,
		ours(core) {
			const { kind } = core.stat(path);
			return kind === S_IFREG || (kind === S_IFDIR && !onFiles) ? ours(core) : undefined;
		},
		kernels(at) {
			const stats = lstatSync(at(path));
			return stats.isFile() || (stats.isDirectory() && !onFiles) ? kernels(at) : undefined;
		},
	};
}
