/**
 * Who works in a mount and is to notice nothing of what becomes of its daemon. Ends with 1, and says why, at the first error or
 * wrong answer. Arguments: what to do, a directory of its own in the mount, a seed, how often.
 */

import {
	appendFileSync,
	closeSync,
	existsSync,
	fstatSync,
	fsyncSync,
	ftruncateSync,
	linkSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	renameSync,
	rmdirSync,
	statSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import { flock, LOCK_EX, LOCK_UN, lseek, mapMemory, SEEK_DATA, SEEK_HOLE } from "../harness/native.ts";
import { fillRandomly, oneOf, randomNumbers } from "../overlay/random.ts";

const [task = "", directory = "", seed = "1", rounds = "100"] = process.argv.slice(2);
const random = randomNumbers(Number(seed));
const at = (...names: (string | number)[]) => join(directory, ...names.map(String));
const block = 4096;

function demand(isRight: boolean, what: string): void {
	if (!isRight) throw new Error(what);
}

function shell(command: string): void {
	const { exitCode, stdout, stderr } = Bun.spawnSync(["sh", "-euc", command], { cwd: directory });
	demand(exitCode === 0, `${command}: ${exitCode}: ${stdout}${stderr}`);
}

/** The state of one task, kept from round to round. */
type Round = (round: number) => void;
const content = new Map<string, string>();

const tasks: Readonly<Record<string, () => Round>> = {
	/** Commits, branches and packs, checked at the end. */
	git() {
		const git = "git -c user.name=n -c user.email=e -c gc.auto=0";
		shell("git init -q . && git config core.fsync none");
		return (round) => {
			for (let file = 0; file < 5; file++) writeFileSync(at(`f${random(40)}`), `${round} ${file}\n`);
			shell(`git add -A && ${git} commit -q --allow-empty -m ${round}`);
			if (round % 10 === 9) shell("git gc -q && git fsck --strict");
		};
	},

	/** Builds a small program anew. */
	build() {
		for (let unit = 0; unit < 6; unit++)
			writeFileSync(at(`u${unit}.c`), `#include <stdio.h>\nint u${unit}(void) { return puts("${unit}"); }\n`);
		const calls = Array.from({ length: 6 }, (_, unit) => `u${unit}();`).join(" ");
		writeFileSync(
			at("main.c"),
			`${"int u0(),u1(),u2(),u3(),u4(),u5();"} int main(void) { ${calls} return 0; }\n`,
		);
		writeFileSync(
			at("Makefile"),
			"all: u0.o u1.o u2.o u3.o u4.o u5.o main.o\n\tcc -o all $^\nclean:\n\trm -f *.o all\n",
		);
		return () => shell("make -s -j2 all && test \"$(./all | tr -d '\\n')\" = 012345 && make -s clean");
	},

	/** Transactions, and the database's own check. */
	sqlite() {
		shell("sqlite3 db 'pragma journal_mode=wal; create table t(a integer primary key, b text);'");
		return (round) => {
			shell(`sqlite3 db "insert into t(b) values('${"x".repeat(1 + random(3000))}');"`);
			if (round % 5 === 4)
				shell(
					`test "$(sqlite3 db 'pragma integrity_check; select count(*) from t;' | tr '\\n' ' ')" = "ok ${round + 1} "`,
				);
		};
	},

	/** Blocks are written at any place, synced now and then, and read again. */
	blocks() {
		const written = Buffer.alloc(64 * block);
		const fd = openSync(at("blocks"), "w+");
		return (round) => {
			const place = random(64) * block;
			const bytes = written.subarray(place, place + block);
			fillRandomly(bytes, round + 1);
			writeSync(fd, bytes, 0, block, place);
			if (random(4) === 0) fsyncSync(fd);
			const length = Math.max(fstatSync(fd).size, block);
			const from = random(length / block) * block;
			const read = Buffer.alloc(block);
			readSync(fd, read, 0, block, from);
			demand(read.equals(written.subarray(from, from + block)), `the block at ${from} is another`);
		};
	},

	/** Files and directories are made, renamed, exchanged, linked and removed; what there is is known. */
	names() {
		content.set("lower", "the lower one\n");
		return (round) => {
			const known = [...content.keys()];
			const fresh = `n${round}`;
			const some = known.length > 0 ? oneOf(random, known) : undefined;
			const choice = random(6);
			if (some === undefined || choice < 2) {
				writeFileSync(at(fresh), fresh, { flag: "wx" });
				content.set(fresh, fresh);
			} else if (choice === 2) {
				renameSync(at(some), at(fresh));
				content.set(fresh, content.get(some)!);
				content.delete(some);
			} else if (choice === 3) {
				const other = oneOf(random, known);
				renameSync(at(some), at(other));
				if (some !== other) {
					content.set(other, content.get(some)!);
					content.delete(some);
				}
			} else if (choice === 4) {
				linkSync(at(some), at(fresh));
				unlinkSync(at(some));
				content.set(fresh, content.get(some)!);
				content.delete(some);
			} else {
				unlinkSync(at(some));
				content.delete(some);
			}
			const shown = readdirSync(directory).sort();
			demand(
				Bun.deepEquals(shown, [...content.keys()].sort()),
				`round ${round}: ${shown} in place of ${[...content.keys()].sort()}`,
			);
			for (const [name, text] of content)
				demand(readFileSync(at(name), "utf8") === text, `${name} is not ${text}`);
		};
	},

	/** Where data and holes are is asked for of what has just been written, and reads at any place. */
	holes() {
		const size = 50 * block;
		const written = Buffer.alloc(size);
		return (round) => {
			fillRandomly(written, round + 1);
			const fd = openSync(at("holes"), round % 2 === 0 ? "w+" : "r+");
			writeSync(fd, written, 0, size, 0);
			demand(lseek(fd, 0, SEEK_DATA) === 0, "no data where there is");
			demand(lseek(fd, 0, SEEK_HOLE) === size, "a hole where there is data");
			const from = random(size - block);
			const read = Buffer.alloc(block);
			readSync(fd, read, 0, block, from);
			demand(read.equals(written.subarray(from, from + block)), `what is at ${from} is another`);
			closeSync(fd);
		};
	},

	/** Lines are appended to one file of the lower layer and to one that is new. */
	appends() {
		let lines = "";
		return (round) => {
			lines += `line ${round}\n`;
			for (const name of ["new", "lower"]) {
				appendFileSync(at(name), `line ${round}\n`);
				const text = readFileSync(at(name), "utf8");
				demand(
					text.endsWith(lines) && text.length === lines.length + (name === "lower" ? 14 : 0),
					`${name}: ${text.length} bytes`,
				);
			}
		};
	},

	/** A mapping of a file is written to, and the file read by others. */
	mapping() {
		const fd = openSync(at("mapped"), "w+");
		ftruncateSync(fd, 16 * block);
		const mapped = mapMemory(16 * block, fd);
		return (round) => {
			const place = random(16) * block;
			mapped.bytes.writeUInt32LE(round, place);
			if (random(2) === 0) mapped.sync();
			const read = readFileSync(at("mapped")).readUInt32LE(place);
			demand(read === round, `${read} in place of ${round}`);
		};
	},

	/** Open files and directories lose their names and are used on. */
	nameless() {
		return (round) => {
			const fd = openSync(at(`gone${round}`), "w+");
			writeSync(fd, `content ${round}`);
			unlinkSync(at(`gone${round}`));
			mkdirSync(at(`dir${round}`));
			const held = openSync(at(`dir${round}`), "r");
			rmdirSync(at(`dir${round}`));
			Bun.sleepSync(random(40));
			const bytes = Buffer.alloc(64);
			const length = readSync(fd, bytes, 0, 64, 0);
			demand(bytes.toString("utf8", 0, length) === `content ${round}`, `round ${round}: ${length} bytes`);
			writeSync(fd, "more", 100);
			demand(fstatSync(fd).size === 104 && fstatSync(fd).nlink === 0, `round ${round}: size, links`);
			demand(fstatSync(held).isDirectory(), "no directory");
			closeSync(fd);
			closeSync(held);
		};
	},

	/** A counter that two count under a lock; what it is then, both are told by its size. */
	locks() {
		const path = join(directory, "..", "counter");
		const fd = openSync(path, "a+");
		let own = 0;
		return () => {
			flock(fd, LOCK_EX);
			const before = existsSync(path) ? statSync(path).size : 0;
			writeSync(fd, "x");
			demand(statSync(path).size === before + 1, "another has counted under the lock");
			flock(fd, LOCK_UN);
			own++;
			appendFileSync(at("own"), "x");
			demand(statSync(at("own")).size === own, "its own count is wrong");
		};
	},
};

mkdirSync(directory, { recursive: true });
const run = tasks[task]!();
for (let round = 0; round < Number(rounds); round++) run(round);
