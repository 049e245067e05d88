/**
 * One process of the load: a mix of what users do, in a directory of its own and in one that all share, until its time
 * is up; then it removes what it made.
 *
 * Arguments: the mountpoint, which process of the load it is, a seed, how many seconds.
 */

import {
	chmodSync,
	closeSync,
	constants,
	copyFileSync,
	fdatasyncSync,
	fsyncSync,
	linkSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	renameSync,
	rmSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import { O_TMPFILE } from "../harness/descriptor.ts";
import {
	flock,
	LOCK_EX,
	LOCK_UN,
	linkDescriptor,
	mapMemory,
	mknod,
	RENAME_EXCHANGE,
	removexattr,
	renameat2,
	setxattr,
} from "../harness/native.ts";
import { oneOf, randomNumbers } from "../overlay/random.ts";
import { directoryCount, fileCount, largeCount, processes } from "./layers.ts";

const [mountpoint = "", process_ = "0", seed = "1", seconds = "1"] = process.argv.slice(2);
const index = Number(process_);
const random = randomNumbers(Number(seed));
const own = join(mountpoint, `own${index}`);
const shared = join(mountpoint, "shared");
const block = Buffer.alloc(8192, index);
let serial = 0;

/**
 * What may come of working on the same names as others do; EPERM: link(2) of a directory, ENOTSUP: O_TMPFILE with an
 * older libfuse.
 */
const expected = [
	"ENOENT",
	"EEXIST",
	"ENOTEMPTY",
	"EISDIR",
	"ENOTDIR",
	"EINVAL",
	"EXDEV",
	"EPERM",
	"ENOTSUP",
];

const fresh = () => join(own, `n${serial++}`);
const someShared = () => join(shared, `s${random(20)}`);
/** Of the lower directories this one's share is changed by nobody else. */
const ownLower = () => join(mountpoint, `d${random(directoryCount / processes) * processes + index}`);
const anyLower = () => join(mountpoint, `d${random(directoryCount)}`);
const anyFile = () => join(anyLower(), `file ${random(fileCount)}`);

function withOpen(path: string, flags: string | number, action: (fd: number) => void): void {
	const fd = openSync(path, flags, 0o644);
	try {
		action(fd);
	} finally {
		closeSync(fd);
	}
}

function list(): void {
	const path = anyLower();
	for (const name of readdirSync(path)) lstatSync(join(path, name));
}

function read(): void {
	for (let count = 0; count < 20; count++) readFileSync(anyFile());
}

function readMissing(): void {
	for (let count = 0; count < 20; count++) lstatSync(`${anyFile()}x`, { throwIfNoEntry: false });
}

/** Copies up a file of this process's share, by one door or another. */
function copyUp(): void {
	const path = join(ownLower(), `file ${random(fileCount)}`);
	const doors = [
		() => withOpen(path, "a", (fd) => writeSync(fd, "more")),
		() => chmodSync(path, oneOf(random, [0o600, 0o644])),
		() => truncateSync(path, random(20)),
		() => setxattr(path, "user.note", `${serial++}`),
		() => renameSync(path, `${path}.moved`),
		() => linkSync(path, `${path}.link`),
		() => unlinkSync(path),
	];
	oneOf(random, doors)();
}

/** Of a size that is a job. */
function copyUpLarge(): void {
	withOpen(join(mountpoint, "large", `${index}-${random(largeCount)}`), "r+", (fd) => writeSync(fd, block));
}

/** Makes files and directories over whiteouts, and removes them again. */
function replaceLower(): void {
	const path = join(mountpoint, `gone${index}`);
	rmSync(path, { recursive: true, force: true });
	if (random(2) === 0) {
		mkdirSync(path);
		writeFileSync(join(path, "new"), "new");
	} else writeFileSync(path, "new");
}

function write(): void {
	const path = fresh();
	withOpen(path, "wx+", (fd) => {
		for (let count = random(20); count >= 0; count--) writeSync(fd, block);
		oneOf(random, [fsyncSync, fdatasyncSync, () => {}, () => {}])(fd);
		readSync(fd, Buffer.alloc(4096), 0, 4096, 0);
	});
	copyFileSync(path, `${path}.copy`, random(2) * constants.COPYFILE_EXCL);
	truncateSync(path, random(50_000));
	renameSync(path, `${path}.copy`);
	unlinkSync(`${path}.copy`);
}

function useUnlinked(): void {
	const path = fresh();
	withOpen(path, "wx+", (fd) => {
		unlinkSync(path);
		writeSync(fd, block);
		fsyncSync(fd);
	});
	tolerate(useNameless);
}

function useNameless(): void {
	const path = fresh();
	withOpen(own, O_TMPFILE | constants.O_RDWR, (fd) => {
		writeSync(fd, block);
		if (random(2) === 0) return;
		linkDescriptor(fd, path);
		unlinkSync(path);
	});
}

function map(): void {
	const path = fresh();
	withOpen(path, "wx+", (fd) => {
		writeSync(fd, block);
		using mapping = mapMemory(4096, fd);
		mapping.bytes.fill(7);
		if (random(2) === 0) mapping.sync();
	});
	unlinkSync(path);
}

function makeTree(): void {
	const path = fresh();
	for (let depth = 0, deep = path; depth < 5; depth++, deep = join(deep, "d")) {
		mkdirSync(deep);
		for (let file = 0; file < 10; file++) writeFileSync(join(deep, `f${file}`), "x");
	}
	renameSync(path, `${path}.moved`);
	readdirSync(`${path}.moved`, { recursive: true });
	rmSync(`${path}.moved`, { recursive: true });
}

function makeSpecial(): void {
	const path = fresh();
	mknod(path, 0o010600);
	symlinkSync("target", `${path}.l`);
	linkSync(`${path}.l`, `${path}.m`);
	setxattr(path, "trusted.note", "x");
	removexattr(path, "trusted.note");
	for (const end of ["", ".l", ".m"]) unlinkSync(path + end);
}

/** Names that all processes work on at once. */
function contend(): void {
	const changes = [
		() => writeFileSync(someShared(), block),
		() => mkdirSync(someShared()),
		() => unlinkSync(someShared()),
		() => rmSync(someShared(), { recursive: true, force: true }),
		() => renameSync(someShared(), someShared()),
		() => linkSync(someShared(), someShared()),
		() => renameat2(someShared(), someShared(), RENAME_EXCHANGE),
		() => readFileSync(someShared()),
		() => readdirSync(shared),
		() =>
			withOpen(join(mountpoint, "lock"), "r+", (fd) => {
				flock(fd, LOCK_EX);
				writeSync(fd, block, 0, 100);
				flock(fd, LOCK_UN);
			}),
	];
	for (let count = 0; count < 10; count++) tolerate(oneOf(random, changes));
}

function tolerate(action: () => void): void {
	try {
		action();
	} catch (error) {
		if (!expected.includes((error as { code: string }).code)) throw error;
	}
}

const mix = [
	list,
	read,
	readMissing,
	copyUp,
	replaceLower,
	write,
	useUnlinked,
	map,
	makeTree,
	makeSpecial,
	contend,
];
const end = Date.now() + Number(seconds) * 1000;
let actions = 0;

rmSync(own, { recursive: true, force: true });
mkdirSync(own);
for (; Date.now() < end; actions++) tolerate(random(300) === 0 ? copyUpLarge : oneOf(random, mix));
rmSync(own, { recursive: true });
console.log(actions);
