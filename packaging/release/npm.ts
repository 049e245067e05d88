/** The npm package: npm keeps the modes of files, which depend on the umask that the checkout was made with. */
import { chmodSync, copyFileSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "./run.ts";
import { project } from "./tree.ts";

const EXECUTABLE_BY_OWNER = 0o100;

/** Packs it into the directory `output`, by way of a copy in `scratch`, which is missing. */
export function packNpm(scratch: string, output: string): void {
	const pack = ["npm", "pack", "--ignore-scripts"];
	const [{ files }] = JSON.parse(run([...pack, "--dry-run", "--json"], { cwd: project })) as [
		{ files: readonly { path: string }[] },
	];
	for (const { path } of files) {
		const [from, to] = [join(project, path), join(scratch, path)];
		mkdirSync(dirname(to), { recursive: true });
		copyFileSync(from, to);
		chmodSync(to, (statSync(from).mode & EXECUTABLE_BY_OWNER) !== 0 ? 0o755 : 0o644);
	}
	run([...pack, "--pack-destination", output], { cwd: scratch });
}
