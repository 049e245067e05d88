/** The program: reads the command line, has the daemon do what it says, and ends with what came of it. */
import { parseCommandLine, UsageError } from "./cli/parse.ts";
import { whatIsLacking } from "./limits.ts";
import type { ByteString } from "./options.ts";

const STDOUT = 1;
const STDERR = 2;
/**
 * How many times as often as usual code must run to be compiled: what a start runs again and again it hardly runs later. A mount
 * in use ends that (fuse/session.ts). Older versions of Bun cannot be told.
 */
const RELUCTANCE = 8;
/** Errors whose message says all there is to say. */
const EXPECTED = [
	"UsageError",
	"LayerUnusable",
	"MountFailed",
	"HandshakeFailed",
	"LibraryMissing",
	"LogUnusable",
];

/** Loaded when it is needed, which few mounts ever do: it takes 0.6 MiB of a daemon and a part of its start. */
const fileSystem = () => process.getBuiltinModule("node:fs");

/** The user's arguments, byte by byte: the end of the process's, of which Bun shows as many, decoded. */
function userArguments(): ByteString[] {
	const shown = process.argv.slice(2);
	const count = shown.length;
	const isAscii = shown.every((argument) => Buffer.byteLength(argument) === argument.length);
	if (isAscii) return shown as string[] as ByteString[];
	try {
		const all = fileSystem()
			.readFileSync("/proc/self/cmdline", "latin1")
			.split("\0")
			.slice(0, -1) as ByteString[];
		return count === 0 ? [] : all.slice(-count);
	} catch {
		// Without /proc names that are not UTF-8 cannot be told; others can.
		return shown.map((argument) => Buffer.from(argument).toString("latin1")) as ByteString[];
	}
}

async function main(args: readonly ByteString[]): Promise<number> {
	const commandLine = parseCommandLine(args, { root: process.getuid?.() === 0, environment: process.env });
	switch (commandLine.kind) {
		case "help": {
			const { renderHelp } = await import("./cli/help.ts");
			return print(await renderHelp());
		}
		case "version": {
			return print(await versions());
		}
		case "mount": {
			const { isStartedAgain, serve, startAgain } = await import("./daemon.ts");
			if (isStartedAgain()) return serve(commandLine.options);
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

/** Writes what was asked for; returns what to exit with. */
function print(text: string): number {
	try {
		for (let rest = Buffer.from(`${text}\n`); rest.length > 0; )
			rest = rest.subarray(fileSystem().writeSync(STDOUT, rest));
		return 0;
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		// Who has closed the pipe wants no more, and no word about it.
		if (code !== "EPIPE") tell(`cannot write to standard output: ${code}`);
		return 1;
	}
}

function tell(message: string): void {
	try {
		fileSystem().writeSync(STDERR, `fuse-overlayfs: ${message}\n`);
	} catch {
		// Nobody reads it, or its disk is full: a mount that can be is made all the same.
	}
}

/** Says why there is no mount, in one line; with `isTracing` also where in the program, if it is the program's fault. */
function explain(error: unknown, isTracing: boolean): void {
	if (error instanceof UsageError) for (const warning of error.warnings) tell(warning);
	const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
	const lacking = whatIsLacking(error);
	if (lacking !== undefined) tell(lacking);
	else if (EXPECTED.includes(name)) tell(message);
	else if (name === "Errno") tell(`a system call failed: ${message}`);
	else {
		const what = `${name}: ${message}`.replace(/\s*\n\s*/g, " ");
		tell(`a defect of this program: ${what}: please report it, with what the option -d shows`);
		if (isTracing) for (const line of (stack ?? "").split("\n")) tell(line);
	}
}

Bun.unsafe.setJITPolicy?.(RELUCTANCE);
const args = userArguments();
try {
	process.exit(await main(args));
} catch (error) {
	const isTracing = args.some((argument: string) => argument === "-d" || argument === "--debug");
	explain(error, isTracing);
	process.exit(1);
}
