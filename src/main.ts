/** The program: reads the command line, has the daemon do what it says, and ends with what came of it. */
import { readFileSync, writeSync } from "node:fs";
import { parseCommandLine, UsageError } from "./cli/parse.ts";
import { whatIsLacking } from "./limits.ts";
import type { ByteString } from "./options.ts";

const STDERR = 2;
/** Errors that say all there is to say; of others the stack is shown. */
const EXPECTED = [
	"LayerUnusable",
	"MountFailed",
	"HandshakeFailed",
	"LibraryMissing",
	"LogUnusable",
	"Errno",
];

/** The user's arguments, byte by byte: the end of the process's, of which Bun shows as many, decoded. */
function userArguments(): ByteString[] {
	const count = process.argv.length - 2;
	try {
		const all = readFileSync("/proc/self/cmdline", "latin1").split("\0").slice(0, -1) as ByteString[];
		return count === 0 ? [] : all.slice(-count);
	} catch {
		// Without /proc names that are not UTF-8 cannot be told; others can.
		return process.argv.slice(2).map((argument) => Buffer.from(argument).toString("latin1")) as ByteString[];
	}
}

async function main(): Promise<number> {
	const commandLine = parseCommandLine(userArguments(), {
		root: process.getuid?.() === 0,
		environment: process.env,
	});
	switch (commandLine.kind) {
		case "help": {
			const { renderHelp } = await import("./cli/help.ts");
			writeSync(1, `${await renderHelp()}\n`);
			return 0;
		}
		case "version": {
			writeSync(1, `${await versions()}\n`);
			return 0;
		}
		case "mount": {
			const { isStartedAgain, serve, startAgain } = await import("./daemon.ts");
			if (isStartedAgain()) {
				await serve(commandLine.options);
				return 0;
			}
			for (const warning of commandLine.warnings) tell(warning);
			return startAgain(commandLine.options);
		}
	}
}

async function versions(): Promise<string> {
	const { versionLines } = await import("./cli/help.ts");
	const { libraryVersions } = await import("./mount.ts");
	const { version } = await import("../package.json");
	return versionLines({ version, fusermount: fusermountVersion(), ...libraryVersions() });
}

function fusermountVersion(): string | undefined {
	try {
		const { stdout } = Bun.spawnSync(["fusermount3", "--version"]);
		return stdout.toString().split(": ")[1]?.trim();
	} catch {
		// Not installed: root can do without it.
		return undefined;
	}
}

function tell(line: string): void {
	try {
		writeSync(STDERR, `${line}\n`);
	} catch {
		// Nobody reads it, or its disk is full: a mount that can be is made all the same.
	}
}

try {
	process.exit(await main());
} catch (error) {
	const known = error instanceof UsageError || (error instanceof Error && EXPECTED.includes(error.name));
	const text =
		error instanceof Error ? (known ? error.message : (error.stack ?? error.message)) : String(error);
	tell(`fuse-overlayfs: ${whatIsLacking(error) ?? text}`);
	process.exit(1);
}
