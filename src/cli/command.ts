/**
 * The command as citty describes it: what it is called and which arguments it has. Only `--help` is made
 * from it, the arguments themselves are read in arguments.ts.
 */
import { defineCommand } from "citty";
import manifest from "../../package.json" with { type: "json" };

export const command = defineCommand({
	meta: {
		name: manifest.name,
		version: manifest.version,
		description: "Merge directory trees into one mount: a writable layer over read-only ones",
	},
	args: {
		mountpoint: {
			type: "positional",
			description: "Where to mount; /dev/fd/N is a /dev/fuse that is mounted already",
		},
		options: {
			type: "string",
			alias: "o",
			valueHint: "OPTION[,OPTION...]",
			description: "Mount options, see below; may be repeated",
		},
		foreground: { type: "boolean", alias: "f", description: "Stay in the foreground" },
		debug: { type: "boolean", alias: "d", description: "Trace requests; stay in the foreground" },
		help: { type: "boolean", alias: "h", description: "Show this help" },
		version: { type: "boolean", alias: "V", description: "Show the versions of this program and of FUSE" },
	},
});
