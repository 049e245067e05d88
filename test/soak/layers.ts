/** The lower layers that the load works on. */

import { type Description, sparseFile } from "../harness/layers.ts";

export const processes = 8;
export const directoryCount = 40;
export const fileCount = 300;
/** Files for each process that are copied up in the background. */
export const largeCount = 8;

export function describeLayers(): Description[] {
	const top: Record<string, string> = {};
	const bottom: Record<string, string | ReturnType<typeof sparseFile>> = { lock: "", "shared/s0": "" };
	for (let directory = 0; directory < directoryCount; directory++) {
		for (let file = 0; file < fileCount; file++) {
			const layer = file % 3 === 0 ? top : bottom;
			layer[`d${directory}/file ${file}`] = `content ${file}`;
		}
	}
	for (let process = 0; process < processes; process++) {
		bottom[`gone${process}/below`] = "";
		for (let file = 0; file < largeCount; file++) {
			bottom[`large/${process}-${file}`] = sparseFile(4 << 20, { 0: "a", [3 << 20]: "b" });
		}
	}
	return [top, bottom];
}
