/** A tar archive that is the same for the same files: sorted, without owners, all of one time. */
import { basename, dirname } from "node:path";
import { run } from "./run.ts";

/** Packs the directory, under its own name, into `archive`; `made`: in seconds since 1970. */
export function packTarball(directory: string, archive: string, made: number): void {
	const plain = archive.replace(/\.xz$/, "");
	run([
		...["tar", "--sort=name", "--format=ustar", "--owner=0", "--group=0", "--numeric-owner"],
		...["--mode=u+rwX,go+rX,go-w", `--mtime=@${made}`],
		...["-C", dirname(directory), "-cf", plain, basename(directory)],
	]);
	// A number of threads, of which the blocks depend, whatever the machine has.
	run(["xz", "-6", "--threads=2", "--force", plain]);
}
