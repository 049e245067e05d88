/** Changes at random to a mounted tree: directories are renamed most of all, and files changed in ways that leave their data. */

import {
	chmodSync,
	closeSync,
	constants,
	type Dirent,
	linkSync,
	lutimesSync,
	mkdirSync,
	openSync,
	readdirSync,
	renameSync,
	rmSync,
	truncateSync,
	writeSync,
} from "node:fs";
import { names, type Random } from "../overlay/core/random-layers.ts";
import { oneOf } from "../overlay/random.ts";
import { codeOf, RENAME_EXCHANGE, renameat2, setxattr } from "./native.ts";

const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = constants;

/** Of names that are taken, or free, or lie below what is to be moved; of a FIFO, and of a link that leads nowhere. */
const refusals = "EBUSY EEXIST EINVAL EISDIR ENOENT ENOTDIR ENOTEMPTY ENXIO EACCES EIO ERR_FS_EISDIR".split(
	" ",
);
/** In an order that is the same on each file system. */
function entriesIn(directory: string): Dirent[] {
	const entries = readdirSync(directory, { withFileTypes: true });
	return entries.sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** Paths of all directories, the root's is empty. */
export function directoriesIn(root: string, path = ""): string[] {
	const below = entriesIn(`${root}/${path}`).filter((entry) => entry.isDirectory());
	return [path, ...below.flatMap(({ name }) => directoriesIn(root, `${path}${name}/`))];
}

/** Paths of all regular files in these directories. */
export function filesIn(root: string, directories: readonly string[]): string[] {
	return directories.flatMap((path) =>
		entriesIn(`${root}/${path}`)
			.filter((entry) => entry.isFile())
			.map(({ name }) => `${path}${name}`),
	);
}

/** To a file, which is made where there is none; to a FIFO without waiting for a reader. */
function append(path: string, content: string): void {
	const fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK);
	try {
		writeSync(fd, content);
	} finally {
		closeSync(fd);
	}
}

/** Does something, or is refused as a file system may. `moves`: directories with lower content can be renamed. */
export function changeAtRandom(random: Random, root: string, moves: boolean): void {
	const directories = directoriesIn(root);
	const anyName = () => `${root}/${oneOf(random, directories)}${oneOf(random, names)}`;
	// Not the root, which is where the mount is.
	const anyDirectory = () => `${root}/${oneOf(random, directories.slice(1)) ?? names[0]}`.replace(/\/$/, "");
	const files = filesIn(root, directories);
	const anyFile = () => `${root}/${oneOf(random, files) ?? names[0]}`;
	const choice = random(20);
	const refused = codeOf(() => {
		if (choice < 5) renameSync(anyDirectory(), anyName());
		else if (choice < 6) renameat2(anyDirectory(), anyDirectory(), RENAME_EXCHANGE);
		else if (choice < 7) mkdirSync(anyName());
		else if (choice < 8) renameat2(anyName(), anyName(), RENAME_EXCHANGE);
		else if (choice < 9) append(anyName(), `${random(1000)}`);
		else if (choice < 10) rmSync(anyName(), { recursive: random(2) === 0 });
		else if (choice < 12) chmodSync(anyFile(), oneOf(random, [0o600, 0o644, 0o4755]));
		else if (choice < 13) lutimesSync(anyFile(), random(1000), random(1000));
		else if (choice < 14) setxattr(anyFile(), "user.note", `${random(1000)}`);
		else if (choice < 16) renameSync(anyFile(), anyName());
		else if (choice < 18) linkSync(anyFile(), anyName());
		else if (choice < 19) truncateSync(anyFile(), random(8));
		else append(anyFile(), `${random(1000)}`);
	});
	if (refused !== undefined && (moves || refused !== "EXDEV") && !refusals.includes(refused))
		throw new Error(`a change was refused: ${refused}`);
}
